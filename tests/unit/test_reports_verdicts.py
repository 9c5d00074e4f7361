"""What Evidently's numbers mean: a large distance is drift, and so is a small p-value."""

from __future__ import annotations

import pytest

from pilothouse.ops.reports.report import has_drifted


@pytest.mark.parametrize(
    ("method", "value", "threshold", "drifted"),
    [
        ("Wasserstein distance (normed)", 0.3, 0.1, True),
        ("Jensen-Shannon distance", 0.05, 0.1, False),
        ("K-S p_value", 0.3, 0.05, False),
        ("chi-square p_value", 0.001, 0.05, True),
        ("Z-test p_value", 0.2, 0.05, False),
    ],
)
def test_a_distance_and_a_chance_are_read_in_opposite_ways(
    method: str, value: float, threshold: float, drifted: bool
) -> None:
    assert has_drifted(method, value, threshold) is drifted

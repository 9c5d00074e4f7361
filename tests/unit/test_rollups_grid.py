"""The look-up table gives the bins of a search, whatever the edges and the values."""

from __future__ import annotations

import numpy as np
import pytest

from pilothouse.data.rollups.grid import Grid

DICE = np.random.default_rng(7)
LAWS = {
    "normal": DICE.normal(size=9000),
    "far from zero": DICE.normal(1e6, 1, 9000),
    "lognormal": DICE.lognormal(0, 3, 9000),
    "negative lognormal": -DICE.lognormal(0, 3, 9000),
    "Cauchy": DICE.standard_cauchy(9000),
    "whole numbers": DICE.integers(-20, 50, 9000).astype(float),
    "one decimal": np.round(DICE.random(9000) * 9, 1),
    "mostly zero": np.where(DICE.random(9000) < 0.7, 0.0, DICE.gamma(2, 1, 9000)),
    "denormal": DICE.random(9000) * 5e-319,
    "huge": DICE.normal(size=9000) * 1e307,
    "one value": np.array([3.0]),
    "zero alone": np.array([0.0]),
}


@pytest.mark.parametrize("law", LAWS)
def test_bins_are_those_of_a_search(law: str) -> None:
    values = LAWS[law]
    lefts = np.unique(np.quantile(values, np.arange(160) / 160, method="lower"))
    edges = np.unique(np.append(lefts, np.nextafter(values.max(), np.inf)))
    asked = np.concatenate(
        [
            DICE.choice(values, 4000),
            *(edges, -edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)),
            [0.0, -0.0, np.inf, -np.inf, 5e-324, -5e-324, 1.7e308, -1.7e308],
        ]
    )
    assert (Grid.of(edges).count_below(asked) == np.searchsorted(edges, asked, side="right")).all()


def test_missing_values_do_no_harm() -> None:
    grid = Grid.of(np.array([0.0, 1.0, 2.0]))
    quiet, odd = np.nan, np.array([0xFFF8_0000_0000_0001], np.uint64).view(np.float64)[0]
    assert grid.count_below(np.array([quiet, 1.5, odd])).tolist()[1] == 2

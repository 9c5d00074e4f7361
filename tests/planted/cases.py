"""The planted cases, each with the function that makes its worlds and judges them."""

from __future__ import annotations

from collections.abc import Callable

from tests.planted import (
    additive,
    classes,
    contributions,
    estimate_classes,
    estimates,
    impact,
    months,
    performance,
    quality,
    quiet_answers,
    quiet_months,
    shared_health,
    shared_hours,
    shared_impact,
    shared_months,
    shared_segments,
    weak_segments,
)
from tests.planted.verdict import Verdict

CASES: dict[str, Callable[[str], list[Verdict]]] = {
    "additive": additive.run,
    "classes": classes.run,
    "contributions": contributions.run,
    "estimates": estimates.run,
    "estimate_classes": estimate_classes.run,
    "impact": impact.classification,
    "impact_regression": impact.regression,
    "months": months.run,
    "performance": performance.run,
    "quiet_answers": quiet_answers.run,
    "quiet_months": quiet_months.run,
    "shared_health": shared_health.run,
    "shared_hours": shared_hours.run,
    "shared_impact": shared_impact.run,
    "shared_months": shared_months.run,
    "shared_segments": shared_segments.run,
    "weak_segments": weak_segments.run,
    "quality": quality.run,
}
"""By name; the argument is the size: `small` for a few seeds, `full` for those that the figures rest on."""

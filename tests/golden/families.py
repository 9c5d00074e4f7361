"""The families of measures, each with the function that compares it with others."""

from __future__ import annotations

from collections.abc import Callable

from tests.golden import (
    chances,
    drift,
    estimate_classes,
    estimates,
    explain,
    fairness,
    impact,
    performance,
    quality,
    together,
)
from tests.golden.agreement import Agreement

FAMILIES: dict[str, Callable[[], list[Agreement]]] = {
    "chances": chances.run,
    "drift": drift.run,
    "estimates": estimates.run,
    "estimate_classes": estimate_classes.run,
    "explain": explain.run,
    "impact": impact.run,
    "performance": performance.run,
    "fairness": fairness.run,
    "quality": quality.run,
    "together": together.run,
}

"""Attribution drift: whether features contribute more, or less, to the answers than they did on the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.windows import Window

FALSE_SHARE = 0.05
"""Of the features that are said to have changed, the share that may be said so wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionChange:
    """How much a feature contributes: mean size of its contributions in the reference and in the window.

    change : window minus reference, with its 95 % band. p : chance of a change this large where there is none.
    changed : whether that is said, among all features at once.
    """

    name: str
    reference: float
    window: float
    change: Metric
    p: float
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionDrift:
    """Change of every feature's contributions between reference and window, largest first.

    rows : explained ones of the window, of `of_rows` there are; reference_rows : explained ones of the reference.
    unshown : the sentence on features that are not shown. reason : why nothing can be said.
    """

    model: str
    version: int
    window: Window
    reference_rows: int
    rows: int
    of_rows: int
    features: tuple[AttributionChange, ...]
    unshown: str = ""
    reason: str = ""


def measure_attribution(names: Sequence[str], reference: Floats, window: Floats) -> tuple[AttributionChange, ...]:
    """Each feature's change, largest first.

    reference, window : float64, shape (rows, features), at least 2 rows each: contributions, row by row.
    Means of the sizes are compared by Welch's test (Welch 1947); what is said to have changed holds the false discovery
    rate at 5 % (Benjamini and Hochberg 1995).
    """
    before, now = np.abs(reference), np.abs(window)
    ps, halves = _welch(before, now)
    said = _discoveries(ps)
    changes = now.mean(axis=0) - before.mean(axis=0)
    found = [
        AttributionChange(
            name=name, reference=float(before[:, j].mean()), window=float(now[:, j].mean()), p=float(ps[j]),
            change=Metric(
                value=float(changes[j]), low=float(changes[j] - halves[j]), high=float(changes[j] + halves[j]),
                kind="sampled",
            ),
            changed=bool(said[j]),
        )
        for j, name in enumerate(names)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: -abs(each.change.value or 0.0)))


def _welch(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Chance of each difference of means under none, and half widths of 95 % bands."""
    from scipy.stats import t

    a, b = before.var(axis=0, ddof=1) / len(before), now.var(axis=0, ddof=1) / len(now)
    spread, gap = a + b, np.abs(now.mean(axis=0) - before.mean(axis=0))
    flat = spread <= 0
    freedom = np.ones_like(spread)
    below = a**2 / (len(before) - 1) + b**2 / (len(now) - 1)
    np.divide(spread**2, below, out=freedom, where=below > 0)
    error = np.sqrt(spread)
    ps = 2 * t.sf(np.divide(gap, error, out=np.zeros_like(gap), where=~flat), freedom)
    # Rows that all have one size leave no doubt: the means are equal, or they are not.
    ps = np.where(flat, np.where(gap > 0, 0.0, 1.0), ps)
    return ps, np.where(flat, 0.0, t.ppf(0.975, freedom) * error)


def _discoveries(ps: Floats) -> npt.NDArray[np.bool_]:
    order, count = np.argsort(ps), len(ps)
    passed = np.flatnonzero(ps[order] <= FALSE_SHARE * np.arange(1, count + 1) / count)
    said = np.zeros(count, bool)
    if len(passed):
        said[order[: passed[-1] + 1]] = True
    return said

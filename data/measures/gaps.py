"""The mean of some rows beside that of the others: how far apart, and whether chance alone would do it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, mean_metric
from pilothouse.data.measures.outcomes import Bools, Floats, Ints, Sums
from pilothouse.data.measures.two_samples import false_discovery


def benjamini_yekutieli(chances: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the share of false finds, whatever the tests have to do with each other.

    Source: Benjamini and Yekutieli (2001), theorem 1.3.

    >>> [round(q, 4) for q in benjamini_yekutieli([0.5, 0.01])]
    [0.75, 0.03]
    """
    harmonic = sum(1 / rank for rank in range(1, len(chances) + 1))
    return [min(1.0, harmonic * q) for q in false_discovery(chances)]


def welch(inside: Floats, outside: Floats) -> Floats:
    """Welch's z of the difference of two means; -inf where either side has fewer than two rows or no spread.

    inside, outside : float64, shape (3, ...): rows, sum, sum of squares. Source: Welch (1947).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = inside[1] / inside[0] - outside[1] / outside[0]
        found = gap / np.sqrt(_of_mean(inside) + _of_mean(outside))
    return np.where(np.isfinite(found) & (inside[0] > 1) & (outside[0] > 1), found, -np.inf)


def difference(inside: Bools, loss: Floats, days: Ints | None = None) -> Metric:
    """Mean loss of the rows `inside` less that of the others, with its 95 % band.

    loss : finite, shape (rows,). days : rows of one day count as one draw. Source: Welch (1947); by days the sandwich of
    Liang and Zeger (1986), with Student's law of days - 1 degrees of freedom.
    """
    small = min(int(inside.sum()), int((~inside).sum()))
    if small < 2:
        return Metric(value=None, reason=f"{small} rows on one side; 2 would do")
    value, error, freedom = _gap(inside, loss, days)
    half = _quantile(freedom) * error
    return Metric(value=value, low=value - half, high=value + half)


def chance_of(inside: Bools, loss: Floats, days: Ints | None = None) -> float:
    """One-sided p-value that the rows `inside` have no higher mean loss than the others; 1 where it cannot be said."""
    if min(int(inside.sum()), int((~inside).sum())) < 2:
        return 1.0
    value, error, freedom = _gap(inside, loss, days)
    if error <= 0:
        return 1.0
    if math.isinf(freedom):
        return math.erfc(value / error / math.sqrt(2)) / 2
    from scipy.special import stdtr

    return float(stdtr(freedom, -value / error))


def _gap(inside: Bools, loss: Floats, days: Ints | None) -> tuple[float, float, float]:
    """A difference of means, its standard error, and the degrees of freedom of that."""
    here, there = loss[inside], loss[~inside]
    value = float(here.mean() - there.mean())
    error = math.sqrt(here.var(ddof=1) / len(here) + there.var(ddof=1) / len(there))
    if days is None:
        return value, error, math.inf
    pull = np.where(inside, (loss - here.mean()) / len(here), -(loss - there.mean()) / len(there))
    _, places = np.unique(days, return_inverse=True)
    by_day = np.bincount(places, pull)
    freedom = max(1, len(by_day) - 1)
    return value, math.sqrt(float((by_day**2).sum()) * len(by_day) / freedom), freedom


def _quantile(freedom: float) -> float:
    if math.isinf(freedom):
        return Z
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def mean(values: Floats) -> Metric:
    """Mean of finite values with its band."""
    return mean_metric(Sums.of(values))


def _of_mean(sums: Floats) -> Floats:
    """Variance of a mean."""
    spread: Floats = np.maximum(0.0, sums[2] - sums[1] ** 2 / sums[0]) / (sums[0] - 1) / sums[0]
    return spread


def sums_of(values: Floats) -> Floats:
    """Rows, sum, sum of squares."""
    return np.array([len(values), values.sum(), (values**2).sum()])

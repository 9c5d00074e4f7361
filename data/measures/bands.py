"""95 % bands of measured values: how far chance alone may have moved them."""

from __future__ import annotations

import math

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.outcomes import Ints, Sums

Z = 1.959963984540054
"""The 97.5 % point of the standard normal law."""

Band = tuple[float, float]


def wilson(hits: int, n: int, z: float = Z) -> Band:
    """Band of a share, `hits` of `n`. Source: Wilson (1927), the score interval without correction.

    >>> low, high = wilson(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    """
    share, z2 = hits / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def normal(sums: Sums, z: float = Z, *, lowest: float = -math.inf, highest: float = math.inf) -> Band:
    """Band of a mean from n, sum and sum of squares, by the central limit theorem; a point when n is 1.

    lowest, highest : what no value can pass, where the band is cut: with few rows the law reaches beyond it.

    >>> normal(Sums(n=3, total=0.3, squares=0.07), lowest=0.0)[0]
    0.0
    """
    mean = sums.total / sums.n
    if sums.n < 2:
        return mean, mean
    variance = max(0.0, (sums.squares - sums.n * mean * mean) / (sums.n - 1))
    half = z * math.sqrt(variance / sums.n)
    return max(lowest, mean - half), min(highest, mean + half)


def auc_with_variance(positives: Ints, negatives: Ints) -> tuple[float, float]:
    """ROC AUC and its variance from counts by rising score slot; rows in one slot count as ties.

    positives, negatives : int64, shape (slots,), each with a sum of at least 1; with a sum of 1 the variance is infinite.
    Source: DeLong, DeLong and Clarke-Pearson (1988); the placement values of all rows of a slot are equal.
    """
    m, n = int(positives.sum()), int(negatives.sum())
    beaten = (negatives.cumsum() - negatives / 2) / n
    beating = (m - positives.cumsum() + positives / 2) / m
    auc = float((positives * beaten).sum() / m)
    if m < 2 or n < 2:
        return auc, math.inf
    of_positives = float((positives * (beaten - auc) ** 2).sum() / (m - 1))
    of_negatives = float((negatives * (beating - auc) ** 2).sum() / (n - 1))
    return auc, of_positives / m + of_negatives / n


def auc_band(auc: float, variance: float, z: float = Z, *, rarer: int | None = None) -> Band:
    """Band of a ROC AUC, normal around the value and cut at 0 and 1.

    rarer : rows of the rarer class. Where it tells the classes apart without a fault the variance is 0 however few the
    rows; the band is then that of a share of so many rows (Wilson), which is wider than it need be.
    """
    if variance == 0 and rarer:
        return wilson(round(auc * rarer), rarer, z)
    half = z * math.sqrt(variance)
    return max(0.0, auc - half), min(1.0, auc + half)


def share_metric(hits: int, n: int, reason: str) -> Metric:
    """A share with its Wilson band; absent for the `reason` where there is nothing to share."""
    if n == 0:
        return Metric(value=None, reason=reason)
    low, high = wilson(hits, n)
    return Metric(value=hits / n, low=low, high=high)


def mean_metric(
    sums: Sums, reason: str = "no labelled rows", *, lowest: float = -math.inf, highest: float = math.inf
) -> Metric:
    """A mean with its band, cut as `normal` cuts it; absent for the `reason` where there are no values."""
    if sums.n == 0:
        return Metric(value=None, reason=reason)
    if sums.n == 1:
        return Metric(value=sums.total, reason="one row has no band")
    low, high = normal(sums, lowest=lowest, highest=highest)
    return Metric(value=sums.total / sums.n, low=low, high=high)


def standard_error(metric: Metric) -> float | None:
    """Of a value with a 95 % band by the normal law; None without a band, or where the band is a point."""
    if metric.low is None or metric.high is None or metric.high <= metric.low:
        return None
    return (metric.high - metric.low) / (2 * Z)

"""Bands of values whose rows come in buckets, such as days, and share something within them: weather, a campaign, a price.

A band that takes each row as one draw of its own is then too narrow. Here a value is measured anew without each bucket
in turn, and its band is as wide as these values lie apart, and never narrower than that of single rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.outcomes import Floats, Ints

_Numbers = TypeVar("_Numbers", Floats, Ints)

LEAST_BUCKETS = 6
"""Buckets, of equal size, below which too little is known of how far they lie apart."""
UNIT = (0.0, 1.0)
RANGES = {
    "mcc": (-1.0, 1.0),
    "kappa": (-1.0, 1.0),
    "gini": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
    "brier": (0.0, 2.0),
    **dict.fromkeys(("log_loss", "mae", "rmse", "median_ae", "mape", "smape"), (0.0, math.inf)),
    **dict.fromkeys(("bias", "error_p05", "error_p25", "error_p50", "error_p75", "error_p95"), (-math.inf, math.inf)),
}
"""What values a metric can have; one that is not here lies between 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far a value lies off by chance, its rows taken bucket by bucket.

    error : standard error. buckets : how many of equal size they are worth. alone : the standard error with each row
    taken by itself, where it is another figure than the one that the value's own band tells.
    """

    error: float
    buckets: float
    alone: float | None = None


def jackknife(values: Floats, rows: npt.NDArray[np.number], alone: float | None = None) -> Spread | None:
    """Spread of a value by leaving out each bucket in turn; None where that is not known well enough.

    values : float64, shape (buckets + 1,): the value of all rows, then without each bucket. rows : shape (buckets,).
    None for fewer than LEAST_BUCKETS of equal size, or where the value is NaN without one of them.
    Sources: Tukey (1958); of clusters, with the value of all rows in the middle (CV3), MacKinnon, Nielsen and Webb (2023).

    >>> found = jackknife(np.array([3.5, 4.0, 3.8, 3.6, 3.4, 3.2, 3.0]), np.ones(6))
    >>> (round(found.error, 3), found.buckets) if found else None
    (0.764, 6.0)
    """
    there = rows > 0
    buckets = equal_buckets(rows)
    without = values[1:][there]
    if not enough(rows) or not np.isfinite(values[0]) or not np.isfinite(without).all():
        return None
    n = len(without)
    with np.errstate(over="ignore"):
        error = math.sqrt((n - 1) / n * float(((without - values[0]) ** 2).sum()))
    return Spread(error=error, buckets=buckets, alone=alone) if math.isfinite(error) else None


def equal_buckets(rows: npt.NDArray[np.number]) -> float:
    """How many buckets of equal size these are worth: (sum of rows)^2 / sum of squares.

    Source: Kish (1965), ch. 11; for degrees of freedom, Carter, Schnepel and Steigerwald (2017).
    """
    sizes = rows.astype(np.float64)
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def enough(rows: npt.NDArray[np.number]) -> bool:
    """Whether so many buckets of rows tell how far they lie apart."""
    return equal_buckets(rows) >= LEAST_BUCKETS


def wider(metric: Metric, spread: Spread | None) -> float:
    """By what factor the band of `metric` must grow for buckets of rows; 1 where they are no further apart than rows.

    Few buckets do not tell surely how far they lie apart, so the band is that of Student's law with one degree of
    freedom less than there are buckets of equal size.
    """
    if spread is None or metric.low is None or metric.high is None or metric.high <= metric.low:
        return 1.0
    plain = (metric.high - metric.low) / (2 * Z) if spread.alone is None else spread.alone
    return max(1.0, _reach(spread) / (Z * plain)) if plain > 0 else 1.0


def widened(metric: Metric, spread: Spread | None, by: str, limits: tuple[float, float] = UNIT) -> Metric:
    """The metric with a band that holds for buckets of rows. by : what they are, such as "days". limits : of the value.

    Without a spread it is returned as it is: its band takes rows one by one, and says so. One that has no band of rows
    is given that of the buckets, unless all of these agree.
    """
    if spread is None or metric.value is None:
        return metric
    value, factor = metric.value, wider(metric, spread)
    if metric.low is None or metric.high is None:
        below = above = _reach(spread)
    else:
        below, above = factor * (value - metric.low), factor * (metric.high - value)
    if below <= 0 and above <= 0:
        return metric
    return replace(
        metric, low=max(limits[0], value - below), high=min(limits[1], value + above), by=by, wider=factor
    )  # fmt: skip


def of_rows(metric: Metric) -> Metric:
    """The metric with the band that `widened` began with: each row by itself.

    >>> of_rows(Metric(value=0.5, low=0.25, high=0.75, by="days", wider=2.0)).low
    0.375
    """
    if metric.value is None or metric.low is None or metric.high is None:
        return metric
    low, high = (metric.value - (metric.value - end) / metric.wider for end in (metric.low, metric.high))
    return replace(metric, low=low, high=high, by="rows", wider=1.0)


def _reach(spread: Spread) -> float:
    """Half the width of a 95 % band by the buckets alone."""
    return Z * student(spread.buckets) * spread.error


def student(buckets: float) -> float:
    """By what factor so few buckets widen a 95 % band: Student's law against the normal one."""
    from scipy.special import stdtrit

    return float(stdtrit(buckets - 1, 0.975)) / Z


def widened_each(metrics: Mapping[str, Metric], spreads: Mapping[str, Spread | None], by: str) -> dict[str, Metric]:
    """Each of `metrics` with the band that its spread asks for, by name."""
    return {name: widened(m, spreads.get(name), by, RANGES.get(name, UNIT)) for name, m in metrics.items()}


def without_each(buckets: _Numbers) -> _Numbers:
    """Sums over all buckets, then over all but each: shape (buckets, ...) -> (buckets + 1, ...)."""
    total = buckets.sum(axis=0, keepdims=True)
    left: _Numbers = np.concatenate([total, total - buckets])
    return left


def design_effect(seen: float, rows: float, other_rows: float) -> float:
    """By how much buckets make a variance larger where they have `other_rows` each, when with `rows` it is `seen`.

    At least 1. Source: Kish (1965), 5.4: 1 + (rows of a bucket - 1) x the correlation of two of them.

    >>> design_effect(3.0, 201, 101)
    2.0
    """
    alike = max(0.0, seen - 1) / max(1.0, rows - 1)
    return 1 + max(0.0, other_rows - 1) * alike


def variance_of_sums(sums: Floats) -> float:
    """Variance of a total by its parts, one a bucket: float64, shape (buckets,), that add up to about 0.

    With the factor of Student's law for so few buckets, so that the normal law may be used with it.
    """
    n = len(sums)
    return n / (n - 1) * float(sums @ sums) * student(n) ** 2


def share_spread(hits: Floats, rows: Floats) -> Spread | None:
    """Spread of a share of rows, and what it would be row by row. hits, rows : float64, shape (buckets,)."""
    n, share = float(rows.sum()), float(hits.sum()) / max(1.0, float(rows.sum()))
    whole, left = without_each(rows), without_each(hits)
    values = np.divide(left, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return jackknife(values, rows, alone=math.sqrt(share * (1 - share) / max(1.0, n)))

"""The mean of some rows beside that of the others: how far apart, and whether chance alone would do it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, mean_metric
from pilothouse.data.measures.outcomes import Bools, Floats, Ints, Sums
from pilothouse.data.measures.pulls import ENDLESS, Pulls, of_means
from pilothouse.data.measures.row_buckets import Buckets
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gap:
    """Some rows beside all others. inside, outside : float64, shape (3, buckets): rows, sum, sum of squares by bucket.

    by : what the buckets are, such as "days"; None where each row is a draw of its own.
    """

    inside: Floats
    outside: Floats
    by: str | None = None

    @classmethod
    def of(cls, inside: Bools, values: Floats, together: Buckets | None = None) -> Gap:
        """Of the rows `inside`. values : finite, shape (rows,). together : rows that count as one draw."""
        buckets = together or Buckets.one(len(values))
        # About 0, so that sums of squares keep their digits.
        beyond = values - values.mean() if len(values) else values
        here, everywhere = (
            sums_by(buckets.places[rows], buckets.number, beyond[rows]) for rows in (inside, slice(None))
        )
        return cls(inside=here, outside=everywhere - here, by=None if together is None else together.by)

    @property
    def rows(self) -> int:
        """Of the smaller side."""
        return int(min(self.inside[0].sum(), self.outside[0].sum()))

    def metric(self) -> Metric:
        """The difference of the means with its 95 % band. Source: Welch (1947); see `Pulls` for buckets."""
        if self.rows < 2:
            return Metric(value=None, reason=f"{self.rows} rows on one side; 2 would do")
        value, error = self._by_rows()
        plain = Metric(value=value, low=value - Z * error, high=value + Z * error)
        return plain if self.by is None else self._pulls().widen(plain, self.by, ENDLESS)

    def chance(self) -> float:
        """One-sided p-value that the rows inside have no higher mean than the others; 1 where it cannot be said.

        Of buckets by Student's law with one degree of freedom less than the smaller side has of equal size.
        """
        if self.rows < 2:
            return 1.0
        value, error = self._by_rows()
        by_rows = math.erfc(value / error / math.sqrt(2)) / 2 if error > 0 else 1.0
        if self.by is None:
            return by_rows
        spread = self._pulls().spread()
        if spread is None or spread.error <= 0:
            return 1.0
        from scipy.special import stdtr

        return max(by_rows, float(stdtr(spread.buckets - 1, -value / spread.error)))

    def _by_rows(self) -> tuple[float, float]:
        """The difference, and its standard error where each row is a draw."""
        here, there = self.inside.sum(axis=1), self.outside.sum(axis=1)
        return float(here[1] / here[0] - there[1] / there[0]), math.sqrt(_of_mean(here) + _of_mean(there))

    def _pulls(self) -> Pulls:
        return of_means(self.inside).less(of_means(self.outside))


def difference(inside: Bools, values: Floats, together: Buckets | None = None) -> Metric:
    """The mean of the rows `inside` less that of the others, with its 95 % band; see `Gap`."""
    return Gap.of(inside, values, together).metric()


def sums_by(places: Ints, buckets: int, values: Floats) -> Floats:
    """Rows, sum and sum of squares by bucket: float64, shape (3, buckets). places : the bucket of each row."""
    counts = np.bincount(places, minlength=buckets).astype(np.float64)
    return np.stack([counts, np.bincount(places, values, buckets), np.bincount(places, values * values, buckets)])


def mean(values: Floats, together: Buckets | None = None) -> Metric:
    """Mean of finite values with its band. together : rows that count as one draw."""
    plain = mean_metric(Sums.of(values))
    if together is None:
        return plain
    return of_means(sums_by(together.places, together.number, values)).widen(plain, together.by, ENDLESS)


def _of_mean(sums: Floats) -> Floats:
    """Variance of a mean."""
    spread: Floats = np.maximum(0.0, sums[2] - sums[1] ** 2 / sums[0]) / (sums[0] - 1) / sums[0]
    return spread


def sums_of(values: Floats) -> Floats:
    """Rows, sum, sum of squares."""
    return np.array([len(values), values.sum(), (values**2).sum()])

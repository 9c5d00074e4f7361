"""What rows of a day have in common in their features, for reference rows of which no day is known: as the window's days tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.together import equal_buckets, student

MOST_FEATURES = 8
"""Features that influence is told by: those in which rows of a day are most alike. With more it would take long."""


class Told(Protocol):
    """A feature of the reference rows, and the window's rows by day and slot; as `impact.Shift`."""

    @property
    def codes(self) -> Ints: ...
    @property
    def ordered(self) -> int: ...
    @property
    def buckets(self) -> Ints | None: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Feature:
    """codes : int64, shape (reference rows,). counts : of them by slot. buckets : float64, shape (days, slots): the
    window's rows, in the slots in which the reference has as high a rank. alike : 0 to 1, how alike rows of a day are.
    """

    codes: Ints
    counts: Ints
    buckets: Floats
    alike: float

    @property
    def by_chance(self) -> float:
        """What days seem to differ by if slots differ by chance alone, as a multiple of the variance of one row."""
        rows, shares = self.buckets.sum(axis=1), self.counts / self.counts.sum()
        expected = rows.sum() * shares + (rows @ rows) * shares**2
        beyond = (self.buckets**2).sum(axis=0) - expected
        return float((beyond / np.maximum(self.counts, 1))[self.counts > 0].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Of the influence of one reference row. told : what its features tell of its variance. covariance : with that of
    another row of its day, by these features; 0 or more."""

    told: float
    covariance: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayParts:
    """The features in which rows of a day are most alike, most first. rows : float64, shape (days,), of the window."""

    features: tuple[_Feature, ...]
    rows: Floats

    @classmethod
    def of(cls, told: Iterable[Told]) -> DayParts | None:
        """None where the window's rows are not told apart by day, or are no more alike within a day than elsewhere."""
        found = sorted(_alike(told), key=lambda feature: -feature.alike)[:MOST_FEATURES]
        return cls(features=tuple(found), rows=found[0].buckets.sum(axis=1)) if found else None

    def common(self, influence: Floats) -> Common:
        """What reference rows of one day have in common. influence : float64, shape (reference rows,), with a mean near 0.

        It is told by the slots of one feature after the other (an additive model, Buja, Hastie and Tibshirani 1989, one
        pass), and that is summed over the rows of each day of the window. A number counts by its rank, so that drift alone
        makes days neither more alike nor less. What the means of small slots owe to chance is taken off. With the factor
        of Student's law for so few days. Source of the covariance: the mean over pairs, Donner (1986).
        """
        rest, told, by_chance = influence.copy(), np.zeros_like(influence), 0.0
        of_days = np.zeros(len(self.rows))
        for feature in self.features:
            by_slot = np.bincount(feature.codes, rest, len(feature.counts)) / np.maximum(feature.counts, 1)
            part = by_slot[feature.codes]
            rest -= part
            told += part
            of_days += feature.buckets @ by_slot
            by_chance += feature.by_chance * _mean_square(rest)
        square = _mean_square(told)
        return Common(told=square, covariance=self._covariance(of_days, square, by_chance))

    def _covariance(self, of_days: Floats, square: float, by_chance: float) -> float:
        n, days = float(self.rows.sum()), equal_buckets(self.rows)
        away = of_days - self.rows * (of_days.sum() / n)
        shared = float(away @ away) * days / (days - 1) - n * square - by_chance
        pairs = float(self.rows @ (self.rows - 1))
        return min(square, max(0.0, shared / pairs)) * student(days) ** 2


def _mean_square(values: Floats) -> float:
    # Not `@`, which shares out so short a product among threads: on a busy machine they wait for each other.
    return float((values**2).mean())


def _alike(told: Iterable[Told]) -> Iterator[_Feature]:
    for each in told:
        if each.buckets is None or not len(each.codes):
            continue
        alike = _alikeness(each.buckets.astype(np.float64))
        if alike > 0:
            counts = np.bincount(each.codes, minlength=each.buckets.shape[1])
            moved = each.buckets @ _by_rank(each.buckets.sum(axis=0), counts, each.ordered)
            yield _Feature(codes=each.codes, counts=counts, buckets=moved, alike=alike)


def _alikeness(buckets: Floats) -> float:
    """By how much likelier two rows of one day are in one slot than two of any days, of what it can be at most."""
    rows, by_slot = buckets.sum(axis=1), buckets.sum(axis=0)
    pairs, n = float(rows @ (rows - 1)), float(rows.sum())
    if pairs <= 0 or equal_buckets(rows) <= 1:
        return 0.0
    within = float((buckets * (buckets - 1)).sum()) / pairs
    anywhere = float(by_slot @ (by_slot - 1)) / (n * (n - 1))
    return (within - anywhere) / (1 - anywhere) if anywhere < 1 else 0.0


def _by_rank(current: Ints, reference: Ints, ordered: int) -> Floats:
    """What share of each slot's rows, by their rank among the ordered ones, lies in each slot of the reference.

    current, reference : int64, shape (slots,). Returns float64, shape (slots, slots).
    """
    moved = np.eye(len(current))
    now, then = current[:ordered], reference[:ordered]
    if now.sum() and then.sum():
        (low, high), (floor, ceiling) = _ends(now), _ends(then)
        both = np.minimum(high[:, None], ceiling) - np.maximum(low[:, None], floor)
        whole = np.where(now > 0, high - low, np.inf)
        moved[:ordered, :ordered] = np.maximum(0.0, both) / whole[:, None]
    return moved


def _ends(counts: Ints) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    high = counts.cumsum() / counts.sum()
    return high - counts / counts.sum(), high

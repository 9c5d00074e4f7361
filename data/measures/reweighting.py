"""A metric measured again on the same rows with other weights: what it would be if one feature were distributed otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pilothouse.data.measures.outcomes import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A metric of weighted rows. influence : float64, shape (rows,): how fast `value` moves as a row's weight grows.

    Scaled so that the influence, times the weights, has a mean of 0, and a mean of squares that is the variance of
    `value` times the number of rows.
    """

    value: float
    influence: Floats


class Judge(Protocol):
    """Measures one metric on rows it holds. weights : float64, shape (rows,), not negative, with a mean of 1."""

    def judge(self, weights: Floats) -> Judged | None:
        """None where the rows with any weight cannot say it: no row, or one class alone for a ROC AUC."""
        ...


class WeightedAuc:
    """Weighted ROC AUC: chance that a positive drawn by weight scores above a negative so drawn; ties count half.

    scores : float64, shape (rows,), none missing. positive : bool, same shape. The scores are sorted once, so each set
    of weights costs two cumulative sums. Influence: the placement values of DeLong, DeLong and Clarke-Pearson (1988).

    >>> rows = WeightedAuc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> rows.judge(np.ones(4)).value
    0.75
    """

    def __init__(self, scores: Floats, positive: npt.NDArray[np.bool_]) -> None:
        self._positives = _rising(scores, np.flatnonzero(positive))
        self._negatives = _rising(scores, np.flatnonzero(~positive))
        above, below = scores[self._positives], scores[self._negatives]
        self._beaten = (below.searchsorted(above, "left"), below.searchsorted(above, "right"))
        self._beating = (above.searchsorted(below, "left"), above.searchsorted(below, "right"))

    def judge(self, weights: Floats) -> Judged | None:
        positives, negatives = weights[self._positives], weights[self._negatives]
        m, n = float(positives.sum()), float(negatives.sum())
        if m <= 0 or n <= 0:
            return None
        beaten = _passed(negatives, self._beaten) / n
        value = float(positives @ beaten) / m
        influence = np.empty(len(weights))
        influence[self._positives] = (beaten - value) * (len(weights) / m)
        influence[self._negatives] = (1 - _passed(positives, self._beating) / m - value) * (len(weights) / n)
        return Judged(value=value, influence=influence)


class WeightedMean:
    """Weighted mean of one figure a row: a loss, an absolute error, 1 for a right answer. values : float64, shape (rows,)."""

    def __init__(self, values: Floats) -> None:
        self._values = values

    def judge(self, weights: Floats) -> Judged | None:
        total = float(weights.sum())
        if total <= 0:
            return None
        value = float(weights @ self._values) / total
        return Judged(value=value, influence=(self._values - value) * (len(weights) / total))


class WeightedRoot:
    """Root of the weighted mean of squares. errors : float64, shape (rows,)."""

    def __init__(self, errors: Floats) -> None:
        self._squares = WeightedMean(errors**2)

    def judge(self, weights: Floats) -> Judged | None:
        found = self._squares.judge(weights)
        if found is None:
            return None
        root = float(np.sqrt(found.value))
        # Where every error is 0 no weight can move it.
        return Judged(value=root, influence=found.influence / (2 * root) if root else found.influence)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Support:
    """How a window's rows lie over slots, and by how much the reference rows of each slot must count to lie so too.

    shares : float64, shape (slots,): the window's, over slots in which the reference has rows; they add up to 1.
    ratios : float64, same shape: the weight of a reference row by its slot; 0 where there is none.
    counts : int64, same shape: reference rows. rows : the window's rows that the shares speak of.
    unsupported : share of the window's rows in slots without a reference row.
    stands : int64, same shape: the slot whose reference rows stand for each; one without rows stands for nothing.
    """

    shares: Floats
    ratios: Floats
    counts: Ints
    rows: int
    unsupported: float
    stands: Ints

    def by_bucket(self, values: Floats, buckets: Ints) -> Floats:
        """What the rows of each bucket add to the window's mean of `values`, less their share of it.

        values : float64, shape (slots,). buckets : int64, shape (buckets, slots), of the window's rows.
        Returns float64, shape (buckets,).
        """
        there = self.counts[self.stands] > 0
        away = np.where(there, values[self.stands] - float(self.shares @ values), 0.0)
        summed: Floats = buckets @ away / max(self.rows, 1)
        return summed

    def alike(self, values: Floats, buckets: Ints) -> float:
        """Correlation, 0 to 1, of what two of the window's rows of one bucket have of `values`; both as in `by_bucket`.

        Source: the intraclass correlation as a mean over pairs, Donner (1986).
        """
        there = self.counts[self.stands] > 0
        away = np.where(there, values[self.stands] - float(self.shares @ values), 0.0)
        rows = buckets.sum(axis=1).astype(np.float64)
        squares, pairs = float(buckets.sum(axis=0) @ away**2), float(rows @ (rows - 1))
        if squares <= 0 or pairs <= 0:
            return 0.0
        shared = (float(((buckets @ away) ** 2).sum()) - squares) / pairs
        return min(1.0, max(0.0, shared * float(rows.sum()) / squares))

    @property
    def effective_share(self) -> float:
        """(sum of weights)^2 / (rows x sum of their squares), 0 to 1. Source: Kish (1965), Survey Sampling, ch. 11."""
        squares = float(self.counts @ self.ratios**2)
        return float(self.counts @ self.ratios) ** 2 / (float(self.counts.sum()) * squares) if squares else 0.0


def support(reference: Ints, current: Ints, ordered: int) -> Support:
    """How the window's rows can be stood for by reference rows.

    reference, current : int64, shape (slots,), missing values included. ordered : how many slots, the first, are
    numbers in rising order. What lies in one of these without reference rows is stood for by the nearest that has
    some: a value just beyond the range is more like the highest seen than like the average. What is in another slot
    without reference rows, such as a new category, nothing can stand for: it is left out, and counted as unsupported.
    """
    held = reference > 0
    total = int(current.sum())
    unsupported = float(current[~held].sum()) / total if total else 0.0
    stands = _nearest(held, ordered)
    stood_for = np.bincount(stands, weights=current, minlength=len(current))
    stood_for[~held] = 0
    rows = int(stood_for.sum())
    shares: Floats = stood_for / max(rows, 1)
    ratios = np.divide(shares * reference.sum(), reference, out=np.zeros(len(reference)), where=held)
    return Support(shares=shares, ratios=ratios, counts=reference, rows=rows, unsupported=unsupported, stands=stands)


def _nearest(held: npt.NDArray[np.bool_], ordered: int) -> Ints:
    """For each slot the one that stands for it: itself, or the nearest ordered one that has reference rows."""
    slots = np.arange(len(held))
    known = np.flatnonzero(held[:ordered])
    if len(known):
        after = known[np.minimum(known.searchsorted(slots[:ordered]), len(known) - 1)]
        before = known[np.maximum(known.searchsorted(slots[:ordered], "right") - 1, 0)]
        nearer = np.abs(slots[:ordered] - before) <= np.abs(after - slots[:ordered])
        slots[:ordered] = np.where(nearer, before, after)
    return slots


def _rising(scores: Floats, rows: Ints) -> Ints:
    rising: Ints = rows[scores[rows].argsort(kind="stable")]
    return rising


def _passed(weights: Floats, places: tuple[Ints, Ints]) -> Floats:
    """Weight below each of `places` in rising order, and half of what ties with it."""
    running = np.concatenate([[0.0], weights.cumsum()])
    passed: Floats = (running[places[0]] + running[places[1]]) / 2
    return passed

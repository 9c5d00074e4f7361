"""How far each bucket of rows, such as a day, pulls a value: what it would be without that bucket, less what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.measures.together import LEAST_BUCKETS, UNIT, Spread, enough, equal_buckets, widened

ENDLESS = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pulls:
    """What leaving out each bucket changes in a value.

    changes : float64, shape (buckets,); infinite or NaN where there is no value without one of them. rows : shape
    (buckets,), those that tell how many buckets of equal size the value rests on. held : buckets with rows.
    """

    changes: Floats
    rows: Floats
    held: int

    def less(self, other: Pulls) -> Pulls:
        """Of the difference of two values of other rows in the same buckets: what moves both alike cancels out."""
        fewer = min(self, other, key=lambda one: equal_buckets(one.rows))
        held = int(np.count_nonzero(self.rows + other.rows))
        return Pulls(changes=self.changes - other.changes, rows=fewer.rows, held=held)

    def spread(self) -> Spread | None:
        """None for fewer than LEAST_BUCKETS of equal size, or where there is no value without one of them.

        Source: of clusters, with the value of all rows in the middle (CV3), MacKinnon, Nielsen and Webb (2023).
        """
        if not enough(self.rows) or not np.isfinite(self.changes).all():
            return None
        error = math.sqrt((self.held - 1) / self.held * float(self.changes @ self.changes))
        return Spread(error=error, buckets=equal_buckets(self.rows))

    def widen(self, metric: Metric, by: str, limits: tuple[float, float] = UNIT) -> Metric:
        """The metric with a band that holds for whole buckets; without one where too few of these hold its rows."""
        if metric.value is None:
            return metric
        spread = self.spread()
        if spread is not None:
            return widened(metric, spread, by, limits)
        worth = f"{equal_buckets(self.rows):.1f} {by} of equal size; {LEAST_BUCKETS} would do"
        reason = f"no band: rows worth {worth}"
        return replace(metric, low=None, high=None, reason=reason)


def of_means(sums: Floats) -> Pulls:
    """Of a mean, exactly. sums : rows and their sum by bucket, float64, shape (2 or more, buckets)."""
    rows, total = sums[:2]
    mean = total.sum() / rows.sum() if rows.any() else 0.0
    return Pulls(changes=_without(total - mean * rows, rows), rows=rows, held=int(np.count_nonzero(rows)))


class Ranks:
    """Rows in the order of their scores, in buckets.

    slots : int64, shape (rows,), rising with the score, equal where it ties. positive : bool, shape (rows,).
    """

    def __init__(self, slots: Ints, positive: Bools, places: Ints) -> None:
        self._slots, self._positive, self._cells = slots, positive, places * 2 + positive
        self._size = int(slots.max(initial=-1)) + 1
        self._buckets = int(places.max(initial=-1)) + 1
        self._rows = self._added(slice(None))

    def of_auc(self, rows: Ints) -> tuple[Pulls, Pulls]:
        """Of the ROC AUC of these rows, and of that of all others. rows : their places.

        To first order, by DeLong's placements, each weighed by what is left of its class without the bucket.
        Source: Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data".
        """
        own = self._by_slot(rows)
        inside, outside = self._added(rows), self._rows - self._added(rows)
        placed, beyond = _placements(own), _placements(self._by_slot(slice(None)) - own)
        of_rest = self._added(slice(None), beyond) - self._added(rows, beyond)
        return _pulls(self._added(rows, placed), inside), _pulls(of_rest, outside)

    def _by_slot(self, rows: Ints | slice) -> Ints:
        """Rows by class and slot: int64, shape (2, slots)."""
        at = self._positive[rows] * self._size + self._slots[rows]
        return np.bincount(at, minlength=2 * self._size).reshape(2, self._size)

    def _added(self, rows: Ints | slice, weights: Floats | None = None) -> Floats:
        """Rows, or their weights by class and slot, added up by bucket and class: float64, shape (buckets, 2)."""
        of_each = None if weights is None else weights[self._positive[rows].astype(np.int64), self._slots[rows]]
        added = np.bincount(self._cells[rows], of_each, 2 * self._buckets)
        return added.astype(np.float64).reshape(self._buckets, 2)


def _placements(by_slot: Ints) -> Floats:
    """By class and slot, the share of the other class that such a row is told apart from, less the mean of that share."""
    negatives, positives = by_slot
    m, n = positives.sum(), negatives.sum()
    if not m or not n:
        return np.full(by_slot.shape, np.nan)
    beaten = (negatives.cumsum() - negatives / 2) / n
    auc = float((positives * beaten).sum() / m)
    return np.stack([(m - positives.cumsum() + positives / 2) / m - auc, beaten - auc])


def _pulls(added: Floats, rows: Floats) -> Pulls:
    of_both = rows.sum(axis=1)
    return Pulls(changes=_without(added, rows).sum(axis=1), rows=of_both, held=int(np.count_nonzero(of_both)))


def _without(beyond: Floats, rows: Floats) -> Floats:
    """By bucket, what the mean loses without it. beyond : by how much its rows are above the mean, added up."""
    left = rows.sum(axis=0) - rows
    lost: Floats = np.divide(-beyond, left, out=np.full(beyond.shape, np.nan), where=left > 0)
    return lost

"""Segments beside the rest: one metric of the rows that share a value (or two), of all other rows, and the difference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, auc_band, auc_with_variance, share_metric, wilson
from pilothouse.data.measures.gaps import sums_by
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.measures.pulls import ENDLESS, Pulls, Ranks, of_means
from pilothouse.data.measures.row_buckets import Buckets
from pilothouse.data.measures.together import UNIT
from pilothouse.data.windows import Window

LABELLED_ROWS = 100
"""Labelled rows from which a segment's metric is said."""

Estimate = tuple[float, float]
"""A value and its variance."""
Said = tuple[Metric, Metric, Metric]
"""Of a segment, of the rest, and the difference."""
Limits = tuple[float, float]
_APART: Limits = (-1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSegment:
    """Rows that share a value of each column. rest : of all other rows, so both samples are independent.

    score_psi : of the model's score against the reference rows of the same segment, in nats.
    """

    values: tuple[str, ...]
    rows: int
    labelled: int
    coverage: float
    metric: Metric
    rest: Metric
    difference: Metric
    score_psi: Metric

    @property
    def name(self) -> str:
        return " and ".join(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentComparison:
    """Segments by one column or two, worst first; those of which nothing can be said come last, the largest first.

    metric : what is compared. unlisted : segments beyond the commonest, which are not listed, and their rows.
    """

    model: str
    columns: tuple[str, ...]
    version: int | None
    window: Window
    metric: str
    rows: int
    labelled: int
    segments: tuple[ComparedSegment, ...]
    unlisted: int
    unlisted_rows: int


def compare_ranking(
    groups: Ints, n: int, score: Floats, positive: Bools, together: Buckets | None = None
) -> list[Said]:
    """ROC AUC of each group, of the rest, and the difference, from every score.

    groups : int64, shape (rows,), n and above for rows of no listed group. score : finite. together : rows that bands
    count as one draw; without it they take each row by itself. Source: DeLong et al. (1988).
    """
    _, slots = np.unique(score, return_inverse=True)
    size = int(slots.max()) + 1 if len(slots) else 0
    came = np.bincount(slots[positive], minlength=size)
    stayed = np.bincount(slots[~positive], minlength=size)
    ranks = None if together is None else Ranks(slots, positive, together.places)
    found = []
    for rows in _rows_of(groups, n):
        p, q = _by_slot(slots[rows], positive[rows], size)
        said = _compared(_auc(p, q), _auc(came - p, stayed - q), len(rows), len(score) - len(rows), 1.0)
        found.append(
            said if ranks is None or together is None else _widened(said, ranks.of_auc(rows), together.by, UNIT, _APART)
        )
    return found


def compare_shares(groups: Ints, n: int, hits: Bools, together: Buckets | None = None) -> list[Said]:
    """Share of hits of each group, of the rest, and the difference, which is not sure where all are hits, or none.

    Sources: Wilson (1927); of the difference Newcombe (1998), "Interval estimation for the difference between independent
    proportions", method 10.
    """
    sums = _Summed(hits.astype(np.float64), together)
    found = []
    for rows in _rows_of(groups, n):
        own, rest = sums.of(rows)
        (of, hit), (others, elsewhere) = (side[:2].sum(axis=1).astype(int).tolist() for side in (own, rest))
        found.append(sums.widened(_shares(hit, of, elsewhere, others), own, rest, UNIT, _APART))
    return found


def _shares(hit: int, rows: int, hit_elsewhere: int, others: int) -> Said:
    here, there = (
        share_metric(of_those, of, "") if of >= LABELLED_ROWS else Metric(value=None, reason=_too_few(of))
        for of_those, of in ((hit, rows), (hit_elsewhere, others))
    )
    if here.value is None or there.value is None:
        return here, there, Metric(value=None, reason=here.reason or there.reason)
    gap, (low, high), (least, most) = here.value - there.value, wilson(hit, rows), wilson(hit_elsewhere, others)
    down, up = math.hypot(here.value - low, most - there.value), math.hypot(high - here.value, there.value - least)
    return here, there, Metric(value=gap, low=gap - down, high=gap + up)


def compare_means(groups: Ints, n: int, values: Floats, together: Buckets | None = None) -> list[Said]:
    """Mean of each group, of the rest, and the difference."""
    sums = _Summed(values, together)
    found = []
    for rows in _rows_of(groups, n):
        own, rest = sums.of(rows)
        here, there = own.sum(axis=1), rest.sum(axis=1)
        said = _compared(_mean(here), _mean(there), int(here[0]), int(there[0]), math.inf)
        found.append(sums.widened(said, own, rest, ENDLESS, ENDLESS))
    return found


class _Summed:
    """Values added up by bucket; all in one where each row is a draw of its own."""

    def __init__(self, values: Floats, together: Buckets | None) -> None:
        self._values, self._by = values, None if together is None else together.by
        buckets = together or Buckets.one(len(values))
        self._places, self._buckets = buckets.places, buckets.number
        self._all = sums_by(self._places, self._buckets, values)

    def of(self, rows: Ints) -> tuple[Floats, Floats]:
        """Of these rows, and of all others: float64, shape (3, buckets)."""
        own = sums_by(self._places[rows], self._buckets, self._values[rows])
        return own, self._all - own

    def widened(self, said: Said, own: Floats, rest: Floats, limits: Limits, apart: Limits) -> Said:
        return said if self._by is None else _widened(said, (of_means(own), of_means(rest)), self._by, limits, apart)


def _widened(said: Said, pulls: tuple[Pulls, Pulls], by: str, limits: Limits, apart: Limits) -> Said:
    """limits : of a value; apart : of a difference."""
    own, rest = pulls
    here, there, gap = said
    return own.widen(here, by, limits), rest.widen(there, by, limits), own.less(rest).widen(gap, by, apart)


def _rows_of(groups: Ints, n: int) -> Iterator[Ints]:
    """The places of each group's rows."""
    order = np.argsort(groups, kind="stable")
    edges = np.searchsorted(groups[order], np.arange(n + 1))
    for first, last in pairwise(edges):
        yield order[first:last]


def _by_slot(slots: Ints, positive: Bools, size: int) -> tuple[Ints, Ints]:
    return np.bincount(slots[positive], minlength=size), np.bincount(slots[~positive], minlength=size)


def _auc(positives: Ints, negatives: Ints) -> Estimate | str:
    if positives.sum() < 2 or negatives.sum() < 2:
        return "too few rows of one class; 2 of each would do"
    return auc_with_variance(positives, negatives)


def _mean(sums: Floats) -> Estimate | str:
    n = sums[0]
    if n < 2:
        return "no labelled rows" if n == 0 else "1 labelled row; 2 would do"
    mean = sums[1] / n
    return float(mean), max(0.0, float(sums[2] - n * mean * mean)) / (n - 1) / n


def _compared(own: Estimate | str, rest: Estimate | str, rows: int, others: int, most: float) -> Said:
    here, there = _said(own, rows, most), _said(rest, others, most)
    if here.value is None or there.value is None or isinstance(own, str) or isinstance(rest, str):
        return here, there, Metric(value=None, reason=here.reason or there.reason)
    gap, half = own[0] - rest[0], Z * math.sqrt(own[1] + rest[1])
    return here, there, Metric(value=gap, low=gap - half, high=gap + half)


def _too_few(rows: int) -> str:
    return f"too few labelled rows: {rows:,}; {LABELLED_ROWS} would do"


def _said(estimate: Estimate | str, rows: int, most: float) -> Metric:
    if rows < LABELLED_ROWS:
        return Metric(value=None, reason=_too_few(rows))
    if isinstance(estimate, str):
        return Metric(value=None, reason=estimate)
    value, variance = estimate
    if most == 1.0:
        low, high = auc_band(value, variance)
    else:
        low, high = value - Z * math.sqrt(variance), value + Z * math.sqrt(variance)
    return Metric(value=value, low=low, high=high)

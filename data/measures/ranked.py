"""Labelled rows in the order of their scores, and what follows from that order alone.

The same arithmetic serves both paths: with a group for each distinct score it is exact, with a group for each step of
the roll-ups it treats rows of one step as ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.rollups.bins import SCORE_SLOTS, score_slot_edges, score_slots

CALIBRATION_BINS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """Labelled rows that have a score, in groups by rising score.

    least : float64, shape (groups,), rising. The least score that belongs to each group.
    counts : int64, shape (2, groups). Rows that came out negative, and positive.
    total : float64, shape (groups,). Sum of the scores.
    """

    least: Floats
    counts: Ints
    total: Floats
    exact: bool

    @classmethod
    def of_scores(cls, scores: Floats, positive: npt.NDArray[np.bool_]) -> Ranked:
        """A group for each distinct score. scores : float64, shape (rows,), no NaN. positive : bool, same shape."""
        least, group = np.unique(scores, return_inverse=True)
        hits = np.bincount(group[positive], minlength=len(least))
        rows = np.bincount(group, minlength=len(least))
        return cls(least=least, counts=np.array([rows - hits, hits]), total=least * rows, exact=True)

    @classmethod
    def of_slots(cls, negatives: Ints, positives: Ints, total: Floats) -> Ranked:
        """A group for each of the SCORE_SLOTS steps of the roll-ups that has a row; each of shape (steps,)."""
        held = np.flatnonzero(negatives + positives)
        counts = np.array([negatives[held], positives[held]])
        return cls(least=score_slot_edges()[held], counts=counts, total=total[held], exact=False)

    @property
    def negatives(self) -> Ints:
        counts: Ints = self.counts[0]
        return counts

    @property
    def positives(self) -> Ints:
        counts: Ints = self.counts[1]
        return counts

    @cached_property
    def rows(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def both(self) -> bool:
        """Whether rows of both classes are there."""
        return bool(self.counts.sum(axis=1).all())

    @cached_property
    def coarse(self) -> Ranked:
        """The same rows by the steps of the roll-ups: what samples are drawn from, so that they stay cheap."""
        if not self.exact:
            return self
        slots = score_slots(self.least)
        negatives, positives = (_summed(slots, counts).astype(np.int64) for counts in self.counts)
        return Ranked.of_slots(negatives, positives, _summed(slots, self.total))

    @property
    def tied(self) -> float:
        """By how much ROC AUC may be off at most because rows of one group count as ties; 0 for exact groups."""
        if self.exact or not self.both:
            return 0.0
        pairs = float((self.negatives * self.positives.astype(np.float64)).sum())
        return pairs / (2.0 * float(self.negatives.sum()) * float(self.positives.sum()))

    def nearest(self, threshold: float) -> float:
        """The threshold that these groups can tell: itself where they are exact, else the nearest edge of a step."""
        if self.exact:
            return threshold
        return float(score_slot_edges()[slot_from(threshold)])

    def place(self, threshold: float) -> int:
        """How many groups lie below `threshold`: those from there on are flagged."""
        return int(np.searchsorted(self.least, self.nearest(threshold), side="left"))

    def beside(self, threshold: float) -> int:
        """Rows of the step that holds `threshold` within it: they may stand on the wrong side. 0 for exact groups."""
        edges = score_slot_edges()
        slot = int(np.searchsorted(edges, threshold, side="right")) - 1
        if self.exact or threshold == edges[slot]:
            return 0
        return int(self.counts[:, self.least == edges[slot]].sum())

    def cells(self, threshold: float) -> Ints:
        """tn, fp, fn, tp: int64, shape (4,). A row is flagged from a score of `threshold` on."""
        below = self.counts[:, : self.place(threshold)].sum(axis=1)
        above = self.counts.sum(axis=1) - below
        return np.array([below[0], above[0], below[1], above[1]])

    def cells_at_each(self) -> Ints:
        """tn, fp, fn, tp with each group in turn the first that is flagged, and last with none: int64, (4, groups + 1)."""
        return cells_at_each(self.counts)


def slot_from(threshold: float) -> int:
    """The step of the roll-ups that begins nearest to `threshold`: rows from there on count as flagged."""
    return int(np.abs(_log_odds(score_slot_edges()) - _log_odds(np.array([threshold]))).argmin())


def cells_at_each(counts: Ints) -> Ints:
    """tn, fp, fn, tp at each threshold; counts : (..., 2, groups). Returns (..., 4, groups + 1)."""
    below = np.concatenate([np.zeros((*counts.shape[:-1], 1), np.int64), counts.cumsum(axis=-1)], axis=-1)
    above = below[..., -1:] - below
    return np.stack([below[..., 0, :], above[..., 0, :], below[..., 1, :], above[..., 1, :]], axis=-2)


def area_under_curve(counts: Ints) -> Floats:
    """ROC AUC, rows of one group as ties; counts : int64, (..., 2, groups). Returns float64, shape (...); NaN with one class.

    Source: Hanley and McNeil (1982). What `bands.auc_with_variance` gives, of many samples at once.
    """
    negatives, positives = counts[..., 0, :].astype(np.float64), counts[..., 1, :]
    beaten = (positives * (negatives.cumsum(axis=-1) - negatives / 2)).sum(axis=-1)
    return _ratio(beaten, positives.sum(axis=-1) * negatives.sum(axis=-1))


def average_precision(counts: Ints) -> Floats:
    """PR AUC as the sum of precision times the step in recall, from the highest score down; 0 to 1.

    counts : int64, shape (..., 2, groups). Returns float64, shape (...); NaN without positives. Rows of one group are
    taken together, as scikit-learn takes equal scores. Source: Su, Yuan and Zhu (2015), average precision.
    """
    falling = counts[..., ::-1]
    hits = falling[..., 1, :]
    seen = falling.sum(axis=-2).cumsum(axis=-1)
    precision = np.divide(hits.cumsum(axis=-1), seen, out=np.zeros(seen.shape), where=seen > 0)
    return _ratio((precision * hits).sum(axis=-1), hits.sum(axis=-1))


def ks_of_model(counts: Ints) -> Floats:
    """Largest gap between the shares of negatives and of positives below a score, 0 to 1; NaN with one class alone.

    counts : int64, shape (..., 2, groups). Source: Smirnov (1948); Siddiqi (2006), ch. 7, for scorecards.
    """
    largest: Floats = gaps_at_each(counts).max(axis=-1)
    return largest


def gaps_at_each(counts: Ints) -> Floats:
    """The gap of `ks_of_model` after each group: float64, shape (..., groups)."""
    shares = _ratio(counts.cumsum(axis=-1), counts.sum(axis=-1, keepdims=True))
    gaps: Floats = np.abs(shares[..., 0, :] - shares[..., 1, :])
    return gaps


def calibration_groups(rows: Ints, bins: int = CALIBRATION_BINS) -> Ints:
    """The bin of each group, so that all bins hold about as many rows: int64, shape (groups,), 0 to bins - 1.

    A group goes where the middle of its rows lies; of equal scores none is split.
    """
    middle = rows.cumsum() - rows / 2
    placed: Ints = np.minimum((middle * bins / max(1, rows.sum())).astype(np.int64), bins - 1)
    return placed


def calibration_error(counts: Ints, said: Floats, bins: Ints) -> Floats:
    """Mean distance of what was said from what came true, over bins weighted by their rows; 0 to 1.

    counts : int64, shape (..., 2, groups). said : float64, shape (groups,), mean score of each. bins : of each group.
    Source: Naeini, Cooper and Hauskrecht (2015), ECE; with bins of equal rows, Nixon et al. (2019).
    """
    rows = counts.sum(axis=-2)
    gaps = _by_bin(rows * said - counts[..., 1, :], bins)
    return _ratio(np.abs(gaps).sum(axis=-1), rows.sum(axis=-1))


def _by_bin(values: Floats, bins: Ints) -> Floats:
    """Sums over the groups of each bin; the groups of one bin stand side by side."""
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    summed: Floats = np.add.reduceat(values, starts, axis=-1)
    return summed


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Floats:
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    shares: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares


def _summed(slots: Ints, values: npt.NDArray[np.number]) -> Floats:
    weights = values.astype(np.float64)
    summed: Floats = np.bincount(slots, weights=weights, minlength=SCORE_SLOTS).astype(np.float64)
    return summed


def _log_odds(scores: Floats) -> Floats:
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds

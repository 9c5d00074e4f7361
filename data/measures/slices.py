"""Where a model is weak: segments of one or two conditions on which its loss is higher than on the other rows.

Half of the rows is searched, the other half measures what was found there. So the reported effect is not the best of
many draws, and only the segments that are measured count as tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.cuts import Condition, Cut, cut
from pilothouse.data.measures.gaps import Gap, benjamini_yekutieli, difference, mean, sums_by, sums_of, welch
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.measures.row_buckets import Buckets

PAIRED_COLUMNS = 24
"""Of more columns than these, only those whose own segments stand out most are searched in pairs."""

Columns = tuple[int, ...]
"""Places of columns among all, rising."""
Place = tuple[tuple[int, int], ...]
"""A segment while it is searched for: (column, condition) of each of its conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRule:
    """What is searched for.

    min_share, max_share : of the labelled rows that a segment may have. min_rows : labelled rows that it must have in
    each half. max_depth : conditions, 1 or 2. most : segments tested at a time. stands_out : the least z on the half
    that is searched. q : the least false discovery rate at which a segment counts as found. least_worse : by how much
    of the mean loss a segment must be worse.
    """

    min_share: float = 0.01
    max_share: float = 0.5
    min_rows: int = 50
    max_depth: int = 2
    most: int = 20
    stands_out: float = 3.0
    q: float = 0.05
    least_worse: float = 0.05

    @property
    def rows_needed(self) -> int:
        """Labelled rows from which a search says something: each half then has room for a segment of a tenth."""
        return 20 * self.min_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A segment on which the model is worse. rows : labelled ones; share : of all labelled rows.

    loss, rest, difference : on the measuring half, by which the segment was not chosen. q : by Benjamini and Yekutieli.
    """

    conditions: tuple[Condition, ...]
    rows: int
    share: float
    loss: Metric
    rest: Metric
    difference: Metric
    q: float

    def rows_of(self, columns: pl.DataFrame) -> Bools:
        """Whether each row belongs to it: shape (rows,)."""
        return rows_of(self.conditions, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search has found, worst first. searched : segments that were looked at. tested : those that were measured."""

    rows: int
    searched: int
    tested: int
    slices: tuple[Slice, ...]
    reason: str = ""


def rows_of(conditions: Sequence[Condition], columns: pl.DataFrame) -> Bools:
    """Whether all conditions hold of each row: shape (rows,)."""
    held: Bools = np.logical_and.reduce([condition.holds(columns[condition.column]) for condition in conditions])
    return held


def half_of(times: Ints, cuts: Sequence[Cut], columns: pl.DataFrame) -> Bools:
    """About half of the rows, by what stands in them and never by their order or their loss; equal rows stay together.

    times : int64, shape (rows,), when each came. Source of the mixing: Steele, Lea and Flood (2014), SplitMix64.
    """
    mixed = _mix(times.view(np.uint64))
    for one in cuts:
        mixed = _mix(mixed ^ one.codes(columns[one.name]).view(np.uint64))
    return (mixed & np.uint64(1)).astype(bool)


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def cut_columns(columns: pl.DataFrame, rule: SliceRule) -> list[Cut]:
    """Every column cut into bins, by the rows of both halves: it takes no look at the loss."""
    return [cut(column, rule.min_share) for column in columns.iter_columns()]


def find_slices(
    cuts: Sequence[Cut],
    columns: pl.DataFrame,
    loss: Floats,
    searched: Bools,
    rule: SliceRule,
    *,
    scale: float | None = None,
    together: Buckets | None = None,
) -> Found:
    """The segments whose mean loss is above that of all other rows.

    columns : the labelled rows. loss : float64, shape (rows,), finite. searched : whether a row is of the half that is
    searched; it must not depend on the loss. scale : what `least_worse` is a share of, by default the mean loss.
    together : rows of one bucket, such as a day, are not independent of each other, and are counted as one draw.
    The clearest segment that the other half confirms is taken and its rows are set aside in both halves; then the
    search goes on among the rows left, so that a wider or a narrower segment is not reported for the same rows. A pair
    stands only where it is worse than each of its conditions alone.
    Source: Chung et al. (2019), Slice Finder; Benjamini and Yekutieli (2001).
    """
    if len(loss) < rule.rows_needed:
        reason = f"too few labelled rows: {len(loss):,}; {rule.rows_needed:,} would do"
        return Found(rows=len(loss), searched=0, tested=0, slices=(), reason=reason)
    level = float(loss.mean())
    margin = rule.least_worse * (level if scale is None else scale)
    board = _Board(cuts, columns, loss - level, searched, rule, margin, together)
    taken, chances = _confirmed(board, rule)
    adjusted = dict(zip(chances, benjamini_yekutieli(list(chances.values())), strict=True))
    found = [
        _measured(board.conditions(place), board.rows_of(place), loss, ~searched, adjusted[place], together)
        for place in taken
        if adjusted[place] <= rule.q
    ]
    found.sort(key=lambda s: -(s.difference.value or 0.0))
    return Found(rows=len(loss), searched=board.searched, tested=len(chances), slices=tuple(found))


def _confirmed(board: _Board, rule: SliceRule) -> tuple[list[Place], dict[Place, float]]:
    """The segments that both halves agree on, in the order they were found, and the p-value of each one tested."""
    taken: list[Place] = []
    chances: dict[Place, float] = {}
    while len(taken) < rule.most:
        # The clearest of the searched half comes first: to take the clearest of the other one would inflate its effect.
        places = board.standing_out()
        chances |= {place: board.chance(place) for place in places}
        adjusted = dict(zip(chances, benjamini_yekutieli(list(chances.values())), strict=True))
        best = next((place for place in places if adjusted[place] <= rule.q), None)
        if best is None:
            return taken, chances
        taken.append(best)
        board.set_aside(best)
    return taken, chances


def _measured(
    conditions: tuple[Condition, ...], mask: Bools, loss: Floats, half: Bools, q: float, together: Buckets | None
) -> Slice:
    def mean_of(rows: Bools) -> Metric:
        return mean(loss[rows], None if together is None else together.of(rows))

    return Slice(
        conditions=conditions, rows=int(mask.sum()), share=float(mask.mean()),
        loss=mean_of(mask & half), rest=mean_of(~mask & half),
        difference=difference(mask[half], loss[half], None if together is None else together.of(half)), q=q,
    )  # fmt: skip


class _Board:
    """Both halves: the one that is searched as sums by bin of each column and of each pair of them."""

    def __init__(
        self, cuts: Sequence[Cut], columns: pl.DataFrame, loss: Floats, searched: Bools, rule: SliceRule, margin: float,
        together: Buckets | None,
    ) -> None:  # fmt: skip
        self._cuts, self._rule, self._margin = cuts, rule, margin
        self._all_codes = [one.codes(columns[one.name]) for one in cuts]
        self._codes, self._half = [codes[searched] for codes in self._all_codes], loss[searched]
        self._confirming = _Confirming(loss, ~searched, together)
        self._least = max(rule.min_rows, math.ceil(rule.min_share * len(self._half)))
        self._greatest = rule.max_share * len(self._half)
        self._total = sums_of(self._half)
        self._blocks: list[Columns] = [(c,) for c in range(len(cuts))]
        self._grids = self._added()
        if rule.max_depth > 1:
            self._blocks += blocks_of(self._paired(), [one.bins for one in cuts], len(self._half))
            self._grids = self._added()

    @property
    def searched(self) -> int:
        """Segments that are looked at."""
        return sum(math.prod(len(self._cuts[c].conditions) for c in columns) for columns in self._grids)

    def conditions(self, place: Place) -> tuple[Condition, ...]:
        return tuple(self._cuts[c].conditions[item] for c, item in place)

    def rows_of(self, place: Place) -> Bools:
        """Of both halves, whether they have been set aside or not."""
        return _members(self._cuts, self._all_codes, place)

    def standing_out(self) -> list[Place]:
        """Of each column and each pair its clearest segment, if it is clear enough; the clearest of all first."""
        best = sorted((self._best(columns) for columns in self._grids), reverse=True)
        clear = (self._simplest(place) for z, place in best if z >= self._rule.stands_out)
        return _first(clear, self._rule.most)

    def chance(self, place: Place) -> float:
        """One-sided p-value on the half that was not searched: of the whole segment, and of its rows that are left.

        The greater of the two, so that neither a segment is reported whose weakness is that of one before it, nor one
        that is weak only where others were set aside.
        """
        mask = self.rows_of(place)
        return 1.0 if mask.mean() > self._rule.max_share else self._confirming.chance(mask)

    def set_aside(self, place: Place) -> None:
        self._confirming.set_aside(self.rows_of(place))
        gone = _members(self._cuts, self._codes, place)
        kept, codes, half = ~gone, self._codes, self._half
        self._codes, self._half = [each[gone] for each in codes], half[gone]
        beyond = self._added()
        self._grids = {columns: grid - beyond[columns] for columns, grid in self._grids.items()}
        self._total = self._total - sums_of(half[gone])
        self._codes, self._half = [each[kept] for each in codes], half[kept]

    def _paired(self) -> list[int]:
        """The columns that are searched in pairs."""
        order = sorted(range(len(self._cuts)), key=lambda c: -self._best((c,))[0])
        return sorted(order[:PAIRED_COLUMNS])

    def _added(self) -> dict[Columns, Floats]:
        """Rows, sum and sum of squares of the loss, by bin of each column and of each pair."""
        return {columns: grid for block in self._blocks for columns, grid in self._grids_of(block)}

    def _grids_of(self, block: Columns) -> Iterator[tuple[Columns, Floats]]:
        shape = tuple(self._cuts[c].bins for c in block)
        codes = self._codes[block[0]]
        for c in block[1:]:
            codes = codes * self._cuts[c].bins + self._codes[c]
        sums = sums_by(codes, math.prod(shape), self._half).reshape(3, *shape)
        for chosen in combinations(block, min(2, len(block))):
            yield chosen, sums.sum(axis=tuple(1 + place for place, c in enumerate(block) if c not in chosen))

    def _sums(self, columns: Columns) -> Floats:
        """By condition of each column: float64, shape (3, conditions, ...)."""
        first, grid = self._cuts[columns[0]].members, self._grids[columns]
        if len(columns) == 1:
            return np.asarray(grid @ first.T)
        return np.asarray(first @ grid @ self._cuts[columns[1]].members.T)

    def _best(self, columns: Columns) -> tuple[float, Place]:
        """The clearest segment by Welch's z; -inf where all are too small, too large, or hardly worse."""
        sums = self._sums(columns)
        inside = sums.reshape(3, -1)
        fit = np.flatnonzero((inside[0] >= self._least) & (inside[0] <= self._greatest))
        # Most segments are not worse at all: a look at the means spares their variances.
        fit = fit[self._worse_by(inside[:2, fit]) >= self._margin]
        z = welch(chosen := inside[:, fit], self._total[:, None] - chosen)
        best = int(z.argmax()) if len(z) else 0
        at = np.unravel_index(int(fit[best]) if len(z) else 0, sums.shape[1:])
        place = tuple((c, int(item)) for c, item in zip(columns, at, strict=True))
        return float(z[best]) if len(z) else -math.inf, place

    def _worse_by(self, inside: Floats) -> Floats:
        """By how much the mean is above that of all other rows. inside : rows and sum, shape (2, ...)."""
        rows, total = self._total[:2]
        with np.errstate(divide="ignore", invalid="ignore"):
            apart: Floats = inside[1] / inside[0] - (total - inside[1]) / (rows - inside[0])
        return apart

    def _simplest(self, place: Place) -> Place:
        """The pair, or one of its conditions alone where the other adds nothing that chance would not."""
        if len(place) == 1:
            return place
        inside = self._sums_at(place)
        parents: list[Place] = [(condition,) for condition in place]
        for parent in sorted(parents, key=self._z_of, reverse=True):
            beyond = float(welch(inside, self._sums_at(parent) - inside))
            if beyond < self._rule.stands_out <= self._z_of(parent):
                return parent
        return place

    def _sums_at(self, place: Place) -> Floats:
        sums = self._grids[tuple(c for c, _ in place)]
        for c, item in reversed(place):
            sums = sums @ self._cuts[c].members[item]
        return sums

    def _z_of(self, place: Place) -> float:
        inside = self._sums_at(place)
        fits = self._least <= inside[0] <= self._greatest and self._worse_by(inside) >= self._margin
        return float(welch(inside, self._total - inside)) if fits else -math.inf


def _first(places: Iterable[Place], most: int) -> list[Place]:
    """The first of them, each once; no more are looked at than that takes."""
    found: dict[Place, None] = {}
    for place in places:
        found[place] = None
        if len(found) == most:
            break
    return list(found)


def blocks_of(columns: Sequence[int], bins: Sequence[int], most: int) -> list[Columns]:
    """All pairs of columns in blocks of up to three: what is added up by three of them gives three pairs for one look at the rows.

    bins : of each column. most : cells that a block of three may have.

    >>> blocks_of([0, 1, 2, 3], [5, 5, 5, 5], 1000)
    [(0, 1, 2), (0, 1, 3), (2, 3)]
    """
    left = dict.fromkeys(combinations(columns, 2))
    found: list[Columns] = []
    while left:
        pair = next(iter(left))
        small = [c for c in columns if c not in pair and math.prod(bins[each] for each in (*pair, c)) <= most]
        new = {c: sum((min(one, c), max(one, c)) in left for one in pair) for c in small}
        third = max(new, key=lambda c: new[c], default=None)
        block = pair if third is None or not new[third] else tuple(sorted((*pair, third)))
        found.append(block)
        for each in combinations(block, 2):
            left.pop(each, None)
    return found


class _Confirming:
    """The half that was not searched, added up by bucket; and what of it has not been set aside."""

    def __init__(self, loss: Floats, measuring: Bools, together: Buckets | None) -> None:
        self._loss, self._measuring, self._unseen = loss, measuring, measuring
        self._by = None if together is None else together.by
        buckets = together or Buckets.one(len(loss))
        self._places, self._buckets = buckets.places, buckets.number
        self._all = self._left = self._sums(measuring)

    def chance(self, mask: Bools) -> float:
        """One-sided p-value of the rows of `mask`: of all of them, or of those left; whichever is greater."""
        whole = self._chance(mask & self._measuring, self._all)
        return whole if self._left is self._all else max(whole, self._chance(mask & self._unseen, self._left))

    def set_aside(self, mask: Bools) -> None:
        self._unseen = self._unseen & ~mask
        self._left = self._sums(self._unseen)

    def _chance(self, rows: Bools, everywhere: Floats) -> float:
        inside = self._sums(rows)
        return Gap(inside=inside, outside=everywhere - inside, by=self._by).chance()

    def _sums(self, rows: Bools) -> Floats:
        at = np.flatnonzero(rows)
        return sums_by(self._places[at], self._buckets, self._loss[at])


def _members(cuts: Sequence[Cut], codes: Sequence[Ints], place: Place) -> Bools:
    found: Bools = np.logical_and.reduce([(cuts[c].members[item] > 0)[codes[c]] for c, item in place])
    return found

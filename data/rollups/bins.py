"""Bins: into which slot a value falls. The one place that decides it, for the reference, the fold and every scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.measures.outcomes import LARGEST
from pilothouse.data.rollups.grid import Grid

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.uint8]
"""Slots of values: no column has more than 255."""

QUANTILE_BINS = 160
"""A multiple of ten, so that deciles are whole groups of bins."""
_TAIL_HALVINGS = 6
"""The outermost bins are halved so often: in a heavy tail one bin would reach from 50 to 10,000."""
TOP_CATEGORIES = 200
KNOWN_CATEGORIES = 10_000
"""Categories a profile remembers by name; beyond them "new" cannot be told from "other"."""


_STEPS = np.arange(QUANTILE_BINS) / QUANTILE_BINS
_TAILS = 0.5 ** np.arange(1, _TAIL_HALVINGS + 1) / QUANTILE_BINS


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberBins:
    """Slots of a number: 0 below the reference, 1..B its bins, B+1 above it, B+2 missing.

    lefts : float64, shape (B,), rising. Bin i holds lefts[i-1] <= x < lefts[i]; a value equal to an edge goes right.
    top : the reference's maximum; the last bin includes it.
    discrete : whether every bin is one value of the reference.
    """

    lefts: Floats
    top: float
    discrete: bool

    @classmethod
    def of(cls, values: Floats) -> NumberBins:
        """Bins of a reference column: a bin a value up to 160 values, else 160 quantile bins, merged where values tie.

        The first and the last of the 160 are divided further, into halves towards the end; a value that fills more
        than a bin has one to itself.

        values : float64; NaN is missing, infinities are left out of the edges. No finite value gives one bin at 0.
        """
        finite = values[np.isfinite(values)]
        distinct = np.unique(finite)
        if len(distinct) == 0:
            return cls(lefts=np.zeros(1), top=0.0, discrete=True)
        if len(distinct) <= QUANTILE_BINS:
            return cls(lefts=distinct, top=float(distinct[-1]), discrete=True)
        return cls(lefts=_quantile_lefts(finite), top=float(distinct[-1]), discrete=False)

    @property
    def slots(self) -> int:
        return len(self.lefts) + 3

    @property
    def missing(self) -> int:
        return len(self.lefts) + 2

    def codes(self, column: pl.Series) -> Ints:
        """Slot of each value; null and NaN are both missing, an infinity is below or above."""
        return self.slots_of(numbers(column)).astype(np.int64)

    def weights(self, column: pl.Series) -> Floats:
        """What each value adds to its bin's sum: itself; 0 when missing; an infinity adds the reference's extreme."""
        return self.weights_of(numbers(column))

    def slots_of(self, values: Floats) -> Slots:
        """`codes` of contiguous numbers, NaN for missing ones."""
        slots = self._grid.count_below(values)
        slots[np.isnan(values)] = self.missing
        return slots

    def weights_of(self, values: Floats) -> Floats:
        """`weights` of numbers, NaN for missing ones."""
        if np.isfinite(values).all():
            return values
        return np.nan_to_num(values, nan=0.0, posinf=self.top, neginf=float(self.lefts[0]))

    @cached_property
    def _grid(self) -> Grid:
        # What lies above the reference begins with the next double after its maximum: one more edge.
        return Grid.of(np.append(self.lefts, np.nextafter(self.top, np.inf)))

    def to_json(self) -> dict[str, Any]:
        return {"lefts": self.lefts.tolist(), "top": self.top, "discrete": self.discrete}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> NumberBins:
        return cls(lefts=np.array(value["lefts"], float), top=value["top"], discrete=value["discrete"])


@dataclass(frozen=True, kw_only=True, eq=False)
class CategoryBins:
    """Slots of a category: 0..K-1 the reference's commonest values, K other known ones, K+1 new ones, K+2 missing.

    others : known values outside the top, or None where there were too many to remember: then nothing counts as new.
    """

    values: tuple[str, ...]
    others: frozenset[str] | None = frozenset()

    @classmethod
    def of(cls, column: pl.Series) -> CategoryBins:
        """Bins of a reference column: its 200 commonest values, ties by name."""
        counted = texts(column).drop_nulls().value_counts().sort(["count", "value"], descending=[True, False])
        names = counted["value"].to_list()
        rest = names[TOP_CATEGORIES:]
        return cls(
            values=tuple(names[:TOP_CATEGORIES]), others=frozenset(rest) if len(names) <= KNOWN_CATEGORIES else None
        )

    @property
    def slots(self) -> int:
        return len(self.values) + 3

    @property
    def other(self) -> int:
        return len(self.values)

    @property
    def new(self) -> int:
        return len(self.values) + 1

    @property
    def missing(self) -> int:
        return len(self.values) + 2

    def codes(self, column: pl.Series) -> Ints:
        """Slot of each value; null is missing."""
        column = texts(column)
        distinct = column.unique().drop_nulls()
        slots = self.slots_of(distinct.to_list())
        coded = column.replace_strict(distinct, slots, default=self.missing, return_dtype=pl.Int64)
        return coded.fill_null(self.missing).to_numpy()

    def slots_of(self, names: Sequence[str]) -> Slots:
        """Slot of each of `names`, none of them missing."""
        return np.array([self._slot(name) for name in names], np.uint8)

    def _slot(self, name: str) -> int:
        slot = self._listed.get(name)
        return self._unlisted(name) if slot is None else slot

    @cached_property
    def _listed(self) -> dict[str, int]:
        return {name: slot for slot, name in enumerate(self.values)}

    def _unlisted(self, name: str) -> int:
        return self.other if self.others is None or name in self.others else self.new

    def to_json(self) -> dict[str, Any]:
        others = None if self.others is None else sorted(self.others)
        return {"values": list(self.values), "others": others}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CategoryBins:
        others = value["others"]
        return cls(values=tuple(value["values"]), others=None if others is None else frozenset(others))


Bins = NumberBins | CategoryBins


def _quantile_lefts(values: Floats) -> Floats:
    """Left edges of the bins of finite `values`: at most 172, since a repeated quantile pays for its extra edge."""
    quantiles, times = np.unique(np.quantile(values, _STEPS, method="lower"), return_counts=True)
    alone = quantiles[(times > 1) & (quantiles < values.max())]
    tails = np.quantile(values, np.concatenate([_TAILS, 1 - _TAILS]), method="lower")
    return np.unique(np.concatenate([quantiles, np.nextafter(alone, np.inf), tails]))


def numbers(column: pl.Series) -> Floats:
    """`column` as float64; null becomes NaN."""
    # By itself `to_numpy` writes NaN for null; `fill_null` costs half a millisecond a column however few the rows.
    return column.cast(pl.Float64).to_numpy()


def texts(column: pl.Series) -> pl.Series:
    """`column` as strings named `value`; a boolean becomes "false" or "true", null stays null."""
    return column.cast(pl.String).alias("value")


def tally(codes: Ints, slots: int, groups: Ints, n_groups: int, weights: Floats | None = None) -> Floats:
    """Sums of `weights` (or counts) by group and slot.

    codes, groups : int64, shape (rows,). Returns float64 or int64, shape (n_groups, slots).
    """
    summed = np.bincount(groups * slots + codes, weights=weights, minlength=n_groups * slots)
    return summed.reshape(n_groups, slots).astype(np.float64, copy=False)


_SCORE_EDGE = 16.0
_SCORE_STEPS = 4096
SCORE_SLOTS = _SCORE_STEPS
NO_SCORE = SCORE_SLOTS
"""Slot of a row without a score, after all others."""


def score_slots(scores: Floats) -> Ints:
    """Slot of each probability, equally spaced in its log-odds: 4,096 between -16 and 16, so 0.8 % of the odds each.

    Equal steps of the probability itself were off in ROC AUC by 0.034 at 0.11 % positives. NaN gives NO_SCORE.
    """
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    log_odds = np.log(inside) - np.log1p(-inside)
    steps = np.floor((log_odds + _SCORE_EDGE) * (_SCORE_STEPS / (2 * _SCORE_EDGE)))
    return np.where(np.isnan(scores), NO_SCORE, np.clip(steps, 0, _SCORE_STEPS - 1)).astype(np.int64)


def score_slot_edges() -> Floats:
    """The least probability of each slot: float64, shape (SCORE_SLOTS,), rising, the first of them 0."""
    odds = np.arange(_SCORE_STEPS) * (2 * _SCORE_EDGE / _SCORE_STEPS) - _SCORE_EDGE
    edges: Floats = 1 / (1 + np.exp(-odds))
    edges[0] = 0.0
    return edges


LATENCY_STEPS_PER_DECADE = 100
LATENCY_SLOTS = 8 * LATENCY_STEPS_PER_DECADE + 1


def latency_slots(microseconds: Floats) -> Ints:
    """Slot of each latency, equally spaced in its logarithm from 1 µs to 100 s: 2.3 % each; others go to the ends."""
    steps = np.floor(np.log10(np.maximum(microseconds, 1.0)) * LATENCY_STEPS_PER_DECADE)
    slots: Ints = np.clip(steps, 0, LATENCY_SLOTS - 1).astype(np.int64)
    return slots


_ERROR_STEPS_PER_DECADE = 50
_ERROR_DECADES = 18
_SMALLEST_ERROR = 1e-9
ERROR_SLOTS = 2 * _ERROR_STEPS_PER_DECADE * _ERROR_DECADES + 1
"""Odd: the middle one is for errors of 0."""


def measurable(name: str) -> pl.Expr:
    """Whether a column of numbers holds one that can be measured: not missing, not NaN, not infinite, not beyond LARGEST."""
    return (pl.col(name).cast(pl.Float64).abs() <= LARGEST).fill_null(value=False)


def error_slots(errors: Floats) -> Ints:
    """Slot of each error of a regression, by sign and by the logarithm of its size from 1e-9 to 1e9: 4.7 % each.

    No slot holds errors of both signs, so the sizes add up exactly too.
    """
    sizes = np.maximum(np.abs(errors), _SMALLEST_ERROR)
    steps = np.floor(np.log10(sizes / _SMALLEST_ERROR) * _ERROR_STEPS_PER_DECADE)
    middle = ERROR_SLOTS // 2
    slots: Ints = (middle + np.sign(errors) * (1 + np.minimum(steps, middle - 1))).astype(np.int64)
    return slots

"""Columns cut into bins, and the conditions that a segment of rows may be told by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.rollups.bins import CategoryBins, numbers, texts

TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What the rows of a segment share in one column: a value, an interval low <= x < high (None: open), or none at all.

    >>> str(Condition(column="carrier", value="UA")), str(Condition(column="wind", missing=True))
    ('carrier = UA', 'wind is missing')
    >>> str(Condition(column="distance", low=500.0, high=1200.0)), str(Condition(column="age", high=30.0))
    ('distance from 500 to below 1,200', 'age below 30')
    """

    column: str
    value: str | None = None
    low: float | None = None
    high: float | None = None
    missing: bool = False

    def holds(self, column: pl.Series) -> Bools:
        """Whether it holds of each value: shape (rows,)."""
        if self.value is not None:
            return (texts(column) == self.value).fill_null(value=False).to_numpy()
        if not column.dtype.is_numeric():
            return column.is_null().to_numpy()
        values = numbers(column)
        if self.missing:
            return np.isnan(values)
        above = ~np.isnan(values) if self.low is None else values >= self.low
        return above if self.high is None else above & (values < self.high)

    def __str__(self) -> str:
        if self.missing:
            return f"{self.column} is missing"
        if self.value is not None:
            return f"{self.column} = {self.value}"
        low, high = ("" if edge is None else f"{edge:,.6g}" for edge in (self.low, self.high))
        if not low:
            return f"{self.column} below {high}"
        return f"{self.column} from {low} to below {high}" if high else f"{self.column} from {low}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """A column cut into bins.

    edges : of a number, rising: bin i holds edges[i-1] <= x < edges[i], the last bin what is missing. values : of a
    category; None for a number. conditions : those that may be asked for. members : float64, shape (conditions, bins),
    1 where the bin is part of what the condition names.
    """

    name: str
    edges: Floats
    values: CategoryBins | None
    conditions: tuple[Condition, ...]
    members: Floats

    @property
    def bins(self) -> int:
        return int(self.members.shape[1])

    def codes(self, column: pl.Series) -> Ints:
        """The bin of each value: int64, shape (rows,)."""
        if self.values is not None:
            return self.values.codes(column)
        values = numbers(column)
        codes = np.searchsorted(self.edges, values, side="right").astype(np.int64)
        codes[np.isnan(values)] = len(self.edges) + 1
        return codes


def cut(column: pl.Series, least_share: float) -> Cut:
    """Numbers by tenths (by value, where there are at most ten), and every run of them; categories by each value.

    least_share : a category's value with a smaller share of the rows is no condition.
    """
    return _cut_numbers(column) if column.dtype.is_numeric() else _cut_texts(column, least_share)


def _cut_texts(column: pl.Series, least_share: float) -> Cut:
    counted = texts(column).drop_nulls().value_counts(sort=True)
    often = counted.filter(pl.col("count") >= least_share * len(column)).sort(
        "count", "value", descending=[True, False]
    )
    values = CategoryBins(values=tuple(often["value"].to_list()), others=None)
    named = [(value, place) for place, value in enumerate(values.values)]
    told = [Condition(column=column.name, value=value) for value, _ in named]
    members = np.zeros((len(told) + 1, values.slots))
    members[np.arange(len(told)), np.arange(len(told))] = 1
    members[-1, values.missing] = 1
    missing = Condition(column=column.name, missing=True)
    return Cut(name=column.name, edges=np.empty(0), values=values, conditions=(*told, missing), members=members)


def _cut_numbers(column: pl.Series) -> Cut:
    edges = _edges(numbers(column))
    spans = [(first, last) for first in range(len(edges) + 1) for last in range(first, len(edges) + 1)]
    # The run of all bins says nothing.
    runs = [(first, last) for first, last in spans if last - first < len(edges)]
    members = np.zeros((len(runs) + 1, len(edges) + 2))
    for place, (first, last) in enumerate(runs):
        members[place, first : last + 1] = 1
    members[-1, -1] = 1
    told = [_interval(column.name, edges, first, last) for first, last in runs]
    missing = Condition(column=column.name, missing=True)
    return Cut(name=column.name, edges=edges, values=None, conditions=(*told, missing), members=members)


def _interval(name: str, edges: Sequence[float] | Floats, first: int, last: int) -> Condition:
    low = float(edges[first - 1]) if first > 0 else None
    return Condition(column=name, low=low, high=float(edges[last]) if last < len(edges) else None)


def _edges(values: Floats) -> Floats:
    """Where the tenths meet; a value that fills more than a tenth has a bin to itself."""
    rising = np.sort(values[np.isfinite(values)])
    distinct = np.concatenate([rising[:1], rising[1:][rising[1:] != rising[:-1]]])
    if len(distinct) <= TENTHS:
        return distinct[1:]
    tenths = rising[((len(rising) - 1) * (np.arange(1, TENTHS) / TENTHS)).astype(int)]
    steps, times = np.unique(tenths, return_counts=True)
    after = np.searchsorted(distinct, steps[times > 1], side="right")
    edges = np.unique(np.concatenate([steps, distinct[after[after < len(distinct)]]]))
    inner: Floats = edges[edges > distinct[0]]
    return inner

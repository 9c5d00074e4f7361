"""Which roll-up group a row belongs to: calendar work on whole columns, in integers.

Business days and hours begin on quarters of an hour in UTC, so the calendar is asked once a quarter, not once a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.rollups.bins import Ints
from pilothouse.data.rollups.schema import Tier, bucket_of, day_of
from pilothouse.data.windows import parse_time

_SECOND_US = 1_000_000
_QUARTER_US = 900 * _SECOND_US
_QUARTERS_SINCE_US = int(parse_time("1973-01-01T00:00:00Z").timestamp()) * _SECOND_US
"""Before, some zones were minutes and seconds away from a quarter (the last was Liberia)."""
_SPARSE = 1 << 22
"""A range of numbers up to which distinct ones are found by counting instead of sorting."""
GROUP = ("day", "hour", "version", "role", "recorded")


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of some rows.

    keys : one row a group, columns GROUP: the starts of its day and hour (null where hours are not counted), version,
    role, and the business day it was logged on. of : int64, shape (rows,): the group of each row.
    """

    keys: pl.DataFrame
    of: Ints


def group_rows(rows: pa.RecordBatch, zone: str, hours_from: datetime | None) -> Groups:
    """Groups of `rows` (at, logged_at, version, role); hours for rows since `hours_from`, None for none."""
    columns = [
        _calendar(rows["at"], _buckets(zone, hours_from)),
        _distinct(integers(rows["version"])),
        _coded(rows["role"]),
        _calendar(rows["logged_at"], lambda starts: starts.select(day_of("at", zone).alias("recorded"))),
    ]
    names = ("bucket", "version", "role", "recorded")
    code, sizes = columns[0][1], [len(values) for values, _ in columns]
    for (_, more), size in zip(columns[1:], sizes[1:], strict=True):
        # Most batches are of one version and one role.
        code = code if size == 1 else code * size + more
    found, of = _distinct(code)
    at = np.unravel_index(found.to_numpy(), sizes)
    keys = pl.DataFrame(
        [values.gather(place).alias(n) for (values, _), n, place in zip(columns, names, at, strict=True)]
    )
    return Groups(keys.unnest("bucket").select(pl.col("day", "hour"), *map(pl.col, GROUP[2:])), of)


def integers(column: pa.Array) -> Ints:
    """A column without nulls as int64; times in microseconds since 1970."""
    values: Ints = pl.Series(pc.cast(column, pa.int64())).to_numpy()
    return values


def dictionary(column: pa.Array) -> pa.DictionaryArray:
    """`column` as codes and the distinct values they stand for."""
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _coded(column: pa.Array) -> tuple[pl.Series, Ints]:
    if len(column) and pc.all(pc.equal(column, column[0])).as_py():
        return pl.Series([column[0].as_py()], dtype=pl.String), np.zeros(len(column), np.int64)
    coded = dictionary(column)
    return pl.Series(coded.dictionary, dtype=pl.String), integers(coded.indices)


def _distinct(values: Ints) -> tuple[pl.Series, Ints]:
    """The distinct values, rising, and the place of each value among them."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if len(values) and low == high:
        return pl.Series([low], dtype=pl.Int64), np.zeros(len(values), np.int64)
    if high - low > _SPARSE:
        found, places = np.unique(values, return_inverse=True)
        return pl.Series(found, dtype=pl.Int64), places
    present = np.bincount(values - low, minlength=1) > 0
    place_of = np.cumsum(present) - 1
    return pl.Series(np.flatnonzero(present) + low, dtype=pl.Int64), place_of[values - low]


def _calendar(times: pa.Array, named: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[pl.Series, Ints]:
    """What `named` says of each time, given a frame of starts of quarters (or seconds): distinct values, and places."""
    moments = integers(times)
    step = _QUARTER_US if len(moments) == 0 or moments.min() >= _QUARTERS_SINCE_US else _SECOND_US
    starts, place = _steps(moments, step)
    spans = pl.DataFrame({"at": (starts * step).cast(pl.Datetime("us", "UTC"))})
    spans = spans.with_columns((pl.col("at") + timedelta(microseconds=step)).alias("end"))
    said = named(spans)
    distinct = said.unique(maintain_order=True).with_row_index("place")
    places = said.join(distinct, on=said.columns, how="left", nulls_equal=True, maintain_order="left")["place"]
    values = distinct.drop("place")
    return values.to_struct() if values.width > 1 else values.to_series(), places.cast(pl.Int64).to_numpy()[place]


def _steps(moments: Ints, step: int) -> tuple[pl.Series, Ints]:
    """`_distinct` of `moments // step`, without dividing each of those that come in the order of time."""
    if len(moments) == 0 or (moments[1:] < moments[:-1]).any():
        return _distinct(moments // step)
    first, last = int(moments[0]) // step, int(moments[-1]) // step
    if last - first > len(moments):
        return _distinct(moments // step)
    lengths = np.diff(np.searchsorted(moments, np.arange(first, last + 2) * step))
    present = np.flatnonzero(lengths)
    return pl.Series(present + first, dtype=pl.Int64), np.repeat(np.arange(len(present)), lengths[present])


def _buckets(zone: str, hours_from: datetime | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    hour = bucket_of(Tier.HOUR, zone)
    counted = pl.lit(False) if hours_from is None else pl.col("end") > hours_from
    return lambda starts: starts.select(
        bucket_of(Tier.DAY, zone).alias("day"), pl.when(counted).then(hour).alias("hour")
    )

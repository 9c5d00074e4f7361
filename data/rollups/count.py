"""From rows to roll-up rows: pure, and the same for the fold, an import, a rebuild and the scan of a ragged end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.log.schema import Status
from pilothouse.data.rollups.bins import LATENCY_SLOTS, Bins, Floats, Ints, NumberBins, latency_slots
from pilothouse.data.rollups.groups import dictionary, group_rows
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import ROLLUP_SCHEMA, Part, Tier, opened, period

Key = tuple[Any, ...]
"""A group, as the columns GROUP of groups.py."""
Values = npt.NDArray[Any]
"""Numbers as float64, or categories as their slots."""
_CHUNK = 1 << 15
"""Rows counted at a time: codes, values and counts of a column meet in the cache, and no page of memory is new."""
_KEPT_CELLS = 1 << 24
"""Counters kept in memory before they are written out as rows: 256 MB with their sums."""
_SETTLED_CELLS = 1 << 19
"""Counters from which on they are written out as soon as the rows have moved on to other hours: rows that come in the
order of time are counted in the same few pages of memory all along."""
_MOVED_ON = 8
"""One group in so many that is counted on may be divided: its rows add up."""
_CELLS_AT_ONCE = 1 << 18
"""Counters written out at a time, so that what comes in between needs no new pages of memory."""


def count_rows(
    rows: pl.DataFrame, profile: Profile, zone: str, hours_from: datetime | None, *, days: bool = True
) -> pl.DataFrame:
    """Roll-up rows of predictions: volume, features, score and latency.

    rows : predictions with at, logged_at, version, role, status, score, latency_us and x_<feature>; a feature without a
    column counts as missing. hours_from : hours are counted for rows since then, None for none. days : whether days are.
    """
    counting = Counting(profile, zone, hours_from)
    for batch in rows.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches():
        counting.add(batch)
    found = pl.DataFrame(counting.table())
    return opened(found if days else found.filter(pl.col("tier") == Tier.HOUR))


def columns_counted(profile: Profile) -> list[str]:
    """Columns of the prediction log that `count_rows` reads."""
    rows = ["at", "logged_at", "version", "role", "status", "score", "latency_us"]
    segments = [segment.stored for segment in profile.segments]
    return list(dict.fromkeys([*rows, *(f"x_{name}" for name in profile.features), *segments]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A measured column, and where its slots stand among those of all columns. source : None for volume.

    bins : None for latency and volume.
    """

    part: Part
    feature: str
    source: str | None
    first: int
    slots: int
    bins: Bins | None = None

    @property
    def places(self) -> slice:
        return slice(self.first, self.first + self.slots)


class Counting:
    """Counters of all columns by group, to which batches of rows are added.

    Not for two threads at once; two of them may count at the same time, and their rows add up.
    """

    def __init__(self, profile: Profile, zone: str, hours_from: datetime | None) -> None:
        self._zone, self._hours_from = zone, hours_from
        self._columns = _columns(profile)
        self._width = self._columns[-1].places.stop
        self._bins = np.concatenate([np.arange(column.slots, dtype=np.int32) for column in self._columns])
        self._written: list[pa.Table] = []
        self._place_of: dict[Key, int] = {}
        self._counts: Ints = np.zeros((0, self._width), np.int64)
        self._sums: Floats = np.zeros((0, self._width))
        self.counted = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Count `rows`, in which a feature may be of any type that a dictionary can hold, or absent."""
        if rows.num_rows == 0:
            return
        self.counted += rows.num_rows
        groups = group_rows(rows, self._zone, self._hours_from)
        keys = groups.keys.rows()
        if self._is_over_with(keys):
            self._write_out()
        at = self._places(keys)[groups.of]
        answered = pc.equal(rows["status"], Status.OK.value)
        if not pc.all(answered).as_py():
            ok = pl.Series(answered).to_numpy()
            self._counts[:, _ERRORS] += np.bincount(at[~ok], minlength=len(self._counts))
            rows, at = rows.filter(answered), at[ok]
        self._counts[:, _ANSWERS] += np.bincount(at, minlength=len(self._counts))
        self._add_answered(rows, at)
        if self._cells > _KEPT_CELLS:
            self._write_out()

    @property
    def written_bytes(self) -> int:
        """Memory taken by rows that have been written out."""
        total: int = sum(table.nbytes for table in self._written)
        return total

    def table(self) -> pa.Table:
        """What has been counted, as roll-ups store it."""
        return pa.concat_tables([*self._written, self._unwritten()])

    @property
    def _cells(self) -> int:
        return len(self._place_of) * int(self._width)

    def _is_over_with(self, keys: Sequence[Key]) -> bool:
        """Whether rows in the groups `keys` leave nearly all groups behind that have been counted."""
        going_on = sum(key in self._place_of for key in keys)
        return self._cells > _SETTLED_CELLS and going_on * _MOVED_ON <= len(self._place_of)

    def _write_out(self) -> None:
        """Turn the counters into rows, and use the same memory for others."""
        self._written.append(self._unwritten())
        used = slice(0, len(self._place_of))
        self._counts[used] = 0
        self._sums[used] = 0
        self._place_of = {}

    def _places(self, keys: Sequence[Key]) -> Ints:
        """Where the counters of each group stand; new groups get new ones, in the order of time."""
        for key in keys:
            self._place_of.setdefault(key, len(self._place_of))
        if len(self._place_of) > len(self._counts):
            room = 2 * len(self._place_of)
            self._counts, self._sums = _enlarged(self._counts, room), _enlarged(self._sums, room)
        return np.array([self._place_of[key] for key in keys], np.int64)

    def _add_answered(self, rows: pa.RecordBatch, at: Ints) -> None:
        measured = [(column, values) for column in self._columns if (values := _values(rows, column)) is not None]
        for chunk in _chunks(at):
            near = at[chunk]
            first = int(near.min())
            span = slice(first, int(near.max()) + 1)
            for column, values in measured:
                self._tally(column, values[chunk], span, near - first)

    def _tally(self, column: _Column, some: Values, span: slice, group: Ints) -> None:
        slots: Values = some
        if isinstance(column.bins, NumberBins):
            slots = column.bins.slots_of(some)
        elif column.bins is None:
            timed = ~np.isnan(some)
            slots, group = latency_slots(some[timed]), group[timed]
        cells = group * column.slots + slots
        shape = (span.stop - span.start, column.slots)
        counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        self._counts[span, column.places] += counts
        if isinstance(column.bins, NumberBins):
            self._sums[span, column.places] += _sums_of(column.bins, some, cells, shape)

    def _unwritten(self) -> pa.Table:
        keys = pl.DataFrame(list(self._place_of), schema=_KEY_TYPES, orient="row").with_row_index("place")
        return pa.concat_tables(
            self._tier(keys.filter(pl.col(bucket).is_not_null()), tier, bucket)
            for tier, bucket in ((Tier.DAY, "day"), (Tier.HOUR, "hour"))
        )

    def _tier(self, keys: pl.DataFrame, tier: Tier, bucket: str) -> pa.Table:
        """The histograms of one tier; groups that share its key are added up."""
        named = keys.select(
            "place", pl.lit(tier.value).alias("tier"), period(pl.col(bucket), tier, self._zone),
            pl.col(bucket).alias("bucket"), "version", "role", "recorded",
        ).sort("bucket", "version", "role", "recorded", "place")  # fmt: skip
        shared = named.drop("place")
        first = np.flatnonzero(
            shared.with_columns(pl.struct(pl.all()).rle_id().alias("run"))["run"].diff().fill_null(1)
        )
        places = named["place"].to_numpy()
        return self._histograms(shared[first], _summed(self._counts, places, first), _summed(self._sums, places, first))

    def _histograms(self, keys: pl.DataFrame, counts: Ints, sums: Floats) -> pa.Table:
        """One row for each key and column that has been seen with it.

        keys : one row a group. counts, sums : shape (groups, slots of all columns).
        """
        step = max(1, _CELLS_AT_ONCE // self._width)
        groups = [slice(start, start + step) for start in range(0, max(keys.height, 1), step)]
        return pa.concat_tables(self._some_histograms(keys[at], counts[at], sums[at]) for at in groups)

    def _some_histograms(self, keys: pl.DataFrame, counts: Ints, sums: Floats) -> pa.Table:
        seen = np.flatnonzero(counts)
        begins = np.arange(len(counts))[:, None] * self._width + [column.first for column in self._columns]
        ends = np.searchsorted(seen, np.append(begins, counts.size)).astype(np.int32)
        filled = np.flatnonzero(np.diff(ends))
        group_of, of = np.divmod(filled, len(self._columns))
        offsets = pa.array(ends[np.append(filled, -1)])
        lists = {
            "bin": np.tile(self._bins, len(counts))[seen],
            "n": counts.ravel()[seen],
            "s": sums.ravel()[seen],
            "s2": np.zeros(len(seen)),
        }
        named = pl.DataFrame(
            {"part": [c.part.value for c in self._columns], "feature": [c.feature for c in self._columns]}
        )
        rows = pl.concat([keys[group_of], named[of]], how="horizontal").with_columns(
            pl.lit(None, pl.Int32).alias("label")
        )
        held = rows.to_arrow()
        arrays = [
            pa.ListArray.from_arrays(offsets, pa.array(lists[field.name]))
            if field.name in lists
            else held[field.name].cast(field.type)
            for field in ROLLUP_SCHEMA
        ]
        return pa.table(arrays, schema=ROLLUP_SCHEMA)


_ANSWERS, _ERRORS = 0, 1
"""Places of the counters of volume."""
_KEY_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.Datetime("us", "UTC"),
    "hour": pl.Datetime("us", "UTC"),
    "version": pl.Int64,
    "role": pl.String,
    "recorded": pl.Date,
}


def _columns(profile: Profile) -> list[_Column]:
    # The first two stand at _ANSWERS and _ERRORS.
    found = [
        _Column(part=Part.VOLUME, feature=status.value, source=None, first=place, slots=1)
        for place, status in enumerate((Status.OK, Status.ERROR))
    ]
    measured = [(Part.FEATURE, f.name, f"x_{f.name}", f.bins) for f in profile.features.values()]
    if profile.score is not None:
        measured.append((Part.SCORE, profile.score.name, "score", profile.score.bins))
    measured += [(Part.SEGMENT_VOLUME, s.name, s.stored, s.bins) for s in profile.segments]
    first = len(found)
    for part, feature, source, bins in measured:
        found.append(_Column(part=part, feature=feature, source=source, first=first, slots=bins.slots, bins=bins))
        first += bins.slots
    return [*found, _Column(part=Part.LATENCY, feature="", source="latency_us", first=first, slots=LATENCY_SLOTS)]


def _values(rows: pa.RecordBatch, column: _Column) -> Values | None:
    """Numbers with NaN for missing ones, slots of a category, or None where there is nothing to count."""
    if column.source is None:
        return None
    known = rows[column.source] if column.source in rows.schema.names else None
    if known is not None and pa.types.is_null(known.type):
        known = None
    if column.bins is None:
        return None if known is None or known.null_count == len(known) else _floats(known)
    if isinstance(column.bins, NumberBins):
        return np.full(rows.num_rows, np.nan) if known is None else _floats(known)
    if known is None:
        return np.full(rows.num_rows, column.bins.missing, np.uint8)
    coded = dictionary(known)
    names = [_text(value) for value in coded.dictionary.to_pylist()]
    slot_of = np.append(column.bins.slots_of(names), np.uint8(column.bins.missing))
    slots: Values = slot_of[pl.Series(pc.fill_null(coded.indices, len(names))).to_numpy()]
    return slots


def _sums_of(bins: NumberBins, some: Floats, cells: Ints, shape: tuple[int, int]) -> Floats:
    """Sums of `some` by cell."""

    def summed(weights: Floats) -> Floats:
        return np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape).astype(np.float64, copy=False)

    sums = summed(some)
    # All that is missing is in one slot, so that it spoils no other.
    sums[:, bins.missing] = 0.0
    return sums if np.isfinite(sums).all() else summed(bins.weights_of(some))


def _floats(column: pa.Array) -> Floats:
    values: Floats = pl.Series(pc.cast(column, pa.float64())).to_numpy()
    return np.ascontiguousarray(values)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _chunks(at: Ints) -> Iterator[slice]:
    """Chunks that fit the cache; one alone where groups alternate so much that counting by chunk would cost more."""
    mixed = len(at) > 0 and int(at[:_CHUNK].max()) - int(at[:_CHUNK].min()) > _CHUNK // 256
    step = len(at) if mixed else _CHUNK
    return (slice(start, start + step) for start in range(0, len(at), max(step, 1)))


def _enlarged(kept: Any, room: int) -> Any:
    """`kept` with more rows of zeros, which take no memory until they are used."""
    larger = np.zeros((room, kept.shape[1]), kept.dtype)
    larger[: len(kept)] = kept
    return larger


def _summed(kept: Any, places: npt.NDArray[np.uint32], firsts: Ints) -> Any:
    """Rows of `kept` at `places`, added up from each of `firsts` to the next."""
    first = int(places[0]) if len(places) else 0
    in_order = bool((places == np.arange(first, first + len(places))).all())
    rows = kept[first : first + len(places)] if in_order else kept[places]
    return rows if len(firsts) == len(rows) else np.add.reduceat(rows, firsts, axis=0)

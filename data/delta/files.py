"""Data files of a Delta table, written by ourselves: synced, named by their SHA-256, and with statistics.

delta-rs neither syncs nor hashes. A file gets its name only when all of it is on disk, so a file with a name is whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import checks
from pilothouse.data.store import fsync_folder

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS_AT_ONCE = 122_880
"""Rows of a row group, at most: what DuckDB reads as one."""

COLUMNS_WITH_STATISTICS = 4
UNFINISHED = ".unfinished-"

_THREADS = 3
_SAMPLE = 2048
_ROWS_OF_A_RUN = 64
"""Rows that come side by side from which on it is cheaper to move them together than one by one."""
_FEW_DISTINCT, _ALL_DISTINCT = 0.25, 0.985
_LONG_TEXT = 64
_FALSE_POSITIVES = 0.01
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A data file on disk: its path inside the table, its bytes and rows, and Delta's statistics as JSON."""

    path: str
    size: int
    rows: int
    partition: Mapping[str, str]
    statistics: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a table's files are written. `schema` holds the partition columns too; the others: see DeltaFolder.

    encodings : by the path of a column's leaf, as `suited_to` chooses them; none to choose anew for each file.
    """

    schema: pa.Schema
    partition_by: tuple[str, ...]
    dictionaries: Collection[str] = ()
    looked_up: Collection[str] = ()
    encodings: Mapping[str, str] = field(default_factory=dict)

    def suited_to(self, rows: pa.Table) -> Layout:
        """The same with encodings for columns like those of `rows`, so that they are chosen once for many files."""
        return replace(self, encodings=_encodings(rows.select(self.in_files.names), self.dictionaries))

    @property
    def in_files(self) -> pa.Schema:
        """The columns that stand in the files; the others are in the folders' names."""
        return pa.schema([f for f in self.schema if f.name not in self.partition_by])

    @property
    def with_statistics(self) -> list[str]:
        return list(self.in_files.names[:COLUMNS_WITH_STATISTICS])


def write_files(table: Path, layout: Layout, rows: pa.Table) -> list[DataFile]:
    """Write `rows` durably, one file for each partition among them; none when there are no rows."""

    suited = layout.suited_to(rows)

    def write(one: tuple[dict[str, str], pa.Table]) -> DataFile:
        partition, part = one
        with FileWriter(table, suited, partition, rows=part.num_rows) as writer:
            writer.write(part)
            return writer.finish()

    parts = list(partitions(in_order(rows, layout.partition_by), layout.partition_by))
    if len(parts) < 2:
        return [write(part) for part in parts]
    # Each file waits for the disk several times; side by side they wait together.
    with ThreadPoolExecutor(min(_THREADS, len(parts)), thread_name_prefix="writing") as threads:
        return list(threads.map(write, parts))


def in_order(rows: pa.Table, partition_by: tuple[str, ...]) -> pa.Table:
    """`rows` with those of each partition side by side, in the order they came."""
    keys = pl.DataFrame(rows.select(partition_by))
    runs = _runs(keys)
    if runs["value"].is_unique().all():
        return rows
    if runs.height * _ROWS_OF_A_RUN > rows.num_rows:
        places = keys.select(pl.arg_sort_by(partition_by, maintain_order=True)).to_series()
        return rows.take(pa.array(places.to_numpy()))
    first = pl.col("len").cum_sum() - pl.col("len")
    sorted_runs = runs.select("len", "value", first=first).sort("value", maintain_order=True)
    return pa.concat_tables(rows.slice(at, length) for length, at in sorted_runs.select("len", "first").iter_rows())


def partitions(rows: pa.Table, partition_by: tuple[str, ...]) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """Each partition's values as texts, and its rows. rows : as `in_order` gives them."""
    runs = _runs(pl.DataFrame(rows.select(partition_by)))
    first = 0
    for length, at in zip(runs["len"], np.cumsum(runs["len"]) - 1, strict=True):
        yield {name: str(rows[name][int(at)].as_py()) for name in partition_by}, rows.slice(first, length)
        first += length


class FileWriter:
    """One data file in the making. Left without `finish`, it leaves nothing behind.

    rows : how many are to come, at least roughly: Bloom filters are made for so many.
    """

    def __init__(self, table: Path, layout: Layout, partition: Mapping[str, str], *, rows: int) -> None:
        self._table, self._layout, self._partition = table, layout, partition
        self._folder = table.joinpath(*(f"{name}={value}" for name, value in partition.items()))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._unfinished = self._folder / f"{UNFINISHED}{uuid.uuid4().hex}"
        self._file = _HashedFile(open(self._unfinished, "xb"))  # noqa: SIM115
        self._statistics = _Statistics(layout.with_statistics)
        self._blooms = _bloom_filters(layout, rows)
        self._parquet: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size

    def write(self, rows: pa.Table) -> None:
        part = rows.select(self._layout.in_files.names)
        self._statistics.take(part)
        if self._parquet is None:
            self._parquet = self._opened(part)
        self._parquet.write_table(part, row_group_size=ROWS_AT_ONCE)

    def finish(self) -> DataFile:
        """Give the file its name, once all of it is on disk."""
        if self._parquet is None:
            self._parquet = self._opened(self._layout.in_files.empty_table())
        self._end_parquet()
        self._file.sync()
        path = self._folder / f"{uuid.uuid4().hex}-{self._file.sha256}.parquet"
        os.replace(self._unfinished, path)
        fsync_folder(self._folder)
        # The folder's own name too, whoever made it: he may have died before he could sync it.
        fsync_folder(self._folder.parent)
        checks.remember(path)
        return DataFile(
            path=str(path.relative_to(self._table)),
            size=self.size,
            rows=self._statistics.rows,
            partition=self._partition,
            statistics=self._statistics.to_json(),
        )

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end_parquet()
        except OSError:
            # The disk that refused the rows refuses the footer too; the first refusal is the one to be told.
            if error is None:
                raise
        finally:
            self._file.close()
            self._unfinished.unlink(missing_ok=True)

    def _opened(self, rows: pa.Table) -> pq.ParquetWriter:
        """A writer whose encodings suit columns like those of `rows`."""
        import pyarrow.parquet as pq

        chosen = self._layout.encodings or _encodings(rows, self._layout.dictionaries)
        return pq.ParquetWriter(
            pa.PythonFile(self._file, mode="w"),
            self._layout.in_files,
            compression={leaf: _COMPRESSION.get(encoding, _THOROUGH) for leaf, encoding in chosen.items()},
            compression_level={leaf: 1 for leaf, encoding in chosen.items() if encoding not in _COMPRESSION},
            use_dictionary=[leaf for leaf, encoding in chosen.items() if encoding == _DICTIONARY],
            column_encoding={leaf: encoding for leaf, encoding in chosen.items() if encoding != _DICTIONARY},
            write_statistics=self._layout.with_statistics,
            bloom_filter_options=self._blooms,
        )

    def _end_parquet(self) -> None:
        parquet, self._parquet = self._parquet, None
        if parquet is not None:
            parquet.close()


_DICTIONARY = "DICTIONARY"
_THOROUGH = "zstd"
_COMPRESSION = dict.fromkeys((_DICTIONARY, "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"), "snappy")
"""What its encoding has packed already gains little from zstd, whose every column costs as much as a thousand rows."""


def _encodings(rows: pa.Table, dictionaries: Collection[str]) -> dict[str, str]:
    """The cheapest way to write each column, by its leaf's path: what is packed well is quickly compressed."""
    chosen = {}
    for column in rows.schema:
        listed = pa.types.is_list(column.type)
        leaf = f"{column.name}.list.element" if listed else column.name
        kind = column.type.value_type if listed else column.type
        if column.name in dictionaries:
            chosen[leaf] = _DICTIONARY
        elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
            chosen[leaf] = "DELTA_BINARY_PACKED"
        elif pa.types.is_floating(column.type):
            chosen[leaf] = _for_floats(rows[column.name].slice(0, _SAMPLE))
        else:
            chosen[leaf] = "PLAIN"
    return chosen


def _for_floats(some: pa.ChunkedArray) -> str:
    """A dictionary for measured things with few digits, bytes by their place for numbers that never come twice."""
    known = len(some) - some.null_count
    distinct = pc.count_distinct(some).as_py() / known if known else 0.0
    if distinct < _FEW_DISTINCT:
        return _DICTIONARY
    return "BYTE_STREAM_SPLIT" if distinct > _ALL_DISTINCT and known > _SAMPLE // 2 else "PLAIN"


def _bloom_filters(layout: Layout, rows: int) -> dict[str, dict[str, float]] | None:
    """Filters by which a reader passes over the row groups that cannot hold a value it looks for."""
    distinct = min(max(rows, 1), ROWS_AT_ONCE)
    return {name: {"ndv": distinct, "fpp": _FALSE_POSITIVES} for name in layout.looked_up} or None


class _HashedFile:
    """A file that is hashed while it is written, as Arrow wants one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, content: bytes) -> int:
        self._hash.update(content)
        self.size += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Left to `FileWriter`: Arrow would close the file before it can be synced."""
        if not self._file.closed:
            self._file.close()


@dataclass(slots=True)
class _Statistics:
    """Rows, and the least, the greatest and the nulls of the first columns, over everything written."""

    columns: list[str]
    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    least: dict[str, Any] = field(default_factory=dict)
    greatest: dict[str, Any] = field(default_factory=dict)

    def take(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        for name in self.columns:
            self.nulls[name] = self.nulls.get(name, 0) + rows[name].null_count
            if not pa.types.is_boolean(rows[name].type):
                self._widen(name, pc.min_max(rows[name]).as_py())

    def to_json(self) -> str:
        return json.dumps(
            {
                "numRecords": self.rows,
                "minValues": {name: _bound(value, upper=False) for name, value in self.least.items()},
                "maxValues": {name: _bound(value, upper=True) for name, value in self.greatest.items()},
                "nullCount": self.nulls,
            }
        )

    def _widen(self, name: str, found: Mapping[str, Any]) -> None:
        low, high = found["min"], found["max"]
        if low is None or (isinstance(low, float) and not (math.isfinite(low) and math.isfinite(high))):
            return
        self.least[name] = min(low, self.least.get(name, low))
        self.greatest[name] = max(high, self.greatest.get(name, high))


def _bound(value: Any, *, upper: bool) -> Any:
    """A statistic as Delta writes it: times cut to milliseconds, long texts cut short.

    >>> _bound("x" * 100, upper=False) == "x" * 64
    True
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) > _LONG_TEXT:
        return value[:_LONG_TEXT] + (_LAST_CHARACTER if upper else "")
    return value


def _runs(keys: pl.DataFrame) -> pl.DataFrame:
    """Runs of equal rows: len, value."""
    return keys.select(pl.struct(pl.all()).rle().struct.unnest())

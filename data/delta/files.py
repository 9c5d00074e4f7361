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
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

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
    """How a table's files are written. `schema` holds the partition columns too; the others: see DeltaFolder."""

    schema: pa.Schema
    partition_by: tuple[str, ...]
    dictionaries: Collection[str] = ()
    looked_up: Collection[str] = ()

    @property
    def in_files(self) -> pa.Schema:
        """The columns that stand in the files; the others are in the folders' names."""
        return pa.schema([f for f in self.schema if f.name not in self.partition_by])

    @property
    def with_statistics(self) -> list[str]:
        return list(self.in_files.names[:COLUMNS_WITH_STATISTICS])


def write_files(table: Path, layout: Layout, rows: pa.Table) -> list[DataFile]:
    """Write `rows` durably, one file for each partition among them; none when there are no rows."""
    written = []
    for partition, part in _by_partition(rows, layout.partition_by):
        with FileWriter(table, layout, partition, rows=part.num_rows) as writer:
            writer.write(part)
            written.append(writer.finish())
    return written


class FileWriter:
    """One data file in the making. Left without `finish`, it leaves nothing behind.

    rows : how many are to come, at least roughly: Bloom filters are made for so many.
    """

    def __init__(self, table: Path, layout: Layout, partition: Mapping[str, str], *, rows: int) -> None:
        import pyarrow.parquet as pq

        self._table, self._layout, self._partition = table, layout, partition
        self._folder = table.joinpath(*(f"{name}={value}" for name, value in partition.items()))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._unfinished = self._folder / f"{UNFINISHED}{uuid.uuid4().hex}"
        self._file = _HashedFile(open(self._unfinished, "xb"))  # noqa: SIM115
        self._statistics = _Statistics(layout.with_statistics)
        self._parquet: pq.ParquetWriter | None = pq.ParquetWriter(
            pa.PythonFile(self._file, mode="w"),
            layout.in_files,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in layout.in_files.names if name in layout.dictionaries],
            write_statistics=layout.with_statistics,
            bloom_filter_options=_bloom_filters(layout, rows),
        )

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size

    def write(self, rows: pa.Table) -> None:
        part = rows.select(self._layout.in_files.names)
        self._statistics.take(part)
        assert self._parquet is not None
        self._parquet.write_table(part, row_group_size=ROWS_AT_ONCE)

    def finish(self) -> DataFile:
        """Give the file its name, once all of it is on disk."""
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

    def _end_parquet(self) -> None:
        parquet, self._parquet = self._parquet, None
        if parquet is not None:
            parquet.close()


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


def _by_partition(rows: pa.Table, partition_by: tuple[str, ...]) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """Each partition's values as texts, and its rows in their order."""
    for values in rows.select(partition_by).group_by(list(partition_by)).aggregate([]).to_pylist():
        part = rows
        for name, value in values.items():
            mask = pc.equal(part[name], pa.scalar(value, rows.schema.field(name).type))
            part = part if pc.all(mask).as_py() else part.filter(mask)
        yield {name: str(value) for name, value in values.items()}, part

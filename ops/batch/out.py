"""Where scored rows go: a Parquet or CSV file, or a commit to a Delta table. All of it is there at once, or none.

Rows are written beside the place under another name. What a process that was killed has left there is written anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import unquote

import msgspec
import polars as pl
import pyarrow as pa

from pilothouse.data.errors import AlreadyExists, BadData
from pilothouse.data.store import fsync_file, fsync_folder

_FORMATS_SAID = "Name a file that ends in .parquet or .csv, or a folder for a Delta table."
_PARQUET = (".parquet", ".pq")
_BATCH_ROWS = 1 << 16


class Out(Protocol):
    """A place for scored rows."""

    @property
    def taken(self) -> bool:
        """Whether it says of itself that the rows of this batch stand there."""

    @property
    def ready(self) -> bool:
        """Whether rows that were all written stand there, or beside it: then `place` is all that is left."""

    def check(self, empty: pl.DataFrame) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write(self, rows: pl.DataFrame) -> None: ...
    def place(self) -> None:
        """Put the rows in their place; may be done twice."""


def out_for(path: Path, batch: str, *, overwrite: bool) -> Out:
    """The place at `path`. batch : what identifies the batch. Raises BadData for a kind of file that there is not."""
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return ParquetFile(path, batch, overwrite=overwrite)
    if suffix == ".csv":
        return CsvFile(path, batch, overwrite=overwrite)
    if (path / "_delta_log").is_dir() or not suffix:
        return DeltaTable(path, batch)
    raise BadData(f"Scored rows cannot be written to {path.name}. {_FORMATS_SAID}")


class _Part(Protocol):
    """A file of rows that is being written."""

    def __init__(self, path: Path) -> None: ...
    def write(self, rows: pl.DataFrame) -> None: ...
    def close(self) -> None: ...


class _Parquet:
    """Opened with the first rows, which say its columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, rows: pl.DataFrame) -> None:
        from pyarrow import parquet

        table = _plain(rows)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Csv:
    """UTF-8 with commas and a head line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._begun = False

    def write(self, rows: pl.DataFrame) -> None:
        rows.write_csv(self._file, include_header=not self._begun)
        self._begun = True

    def close(self) -> None:
        self._file.close()


class _Beside:
    """Rows that are written beside their place. batch : what identifies the batch; it is in the name of the file."""

    _kind: type[_Part] = _Parquet

    def __init__(self, path: Path, batch: str) -> None:
        self.path, self.batch = path, batch
        self.part = path.with_name(f".{path.name}.{batch[:12]}.part")

    def check(self, empty: pl.DataFrame) -> None:
        """Raises BadData, or AlreadyExists, when rows with the columns of `empty` cannot come to stand there."""
        if not self.path.parent.is_dir():
            raise BadData(f"There is no folder {self.path.parent} to write {self.path.name} to. Make it first.")

    def __enter__(self) -> Self:
        self._rows = self._kind(self.part)
        return self

    def write(self, rows: pl.DataFrame) -> None:
        self._rows.write(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        if kind is None:
            fsync_file(self.part)
        else:
            self.part.unlink(missing_ok=True)


class _File(_Beside):
    """A single file. Over one that is there it is put only when that was asked for."""

    def __init__(self, path: Path, batch: str, *, overwrite: bool) -> None:
        super().__init__(path, batch)
        self._overwrite = overwrite

    @property
    def taken(self) -> bool:
        return False

    @property
    def ready(self) -> bool:
        return self.part.exists() or self.path.exists()

    def check(self, empty: pl.DataFrame) -> None:
        super().check(empty)
        if self.path.exists() and not self._overwrite:
            raise AlreadyExists(str(self.path), "Name another file, or say --overwrite.")

    def place(self) -> None:
        if self.part.exists():
            os.replace(self.part, self.path)
            fsync_folder(self.path.parent)


class ParquetFile(_File):
    """One Parquet file."""


class CsvFile(_File):
    """One CSV file. What its cells cannot hold is refused."""

    _kind = _Csv

    def check(self, empty: pl.DataFrame) -> None:
        super().check(empty)
        nested = [name for name, kind in empty.schema.items() if kind.is_nested() or kind == pl.Binary]
        if nested:
            raise BadData(f"A CSV file has no way to write {', '.join(nested)}. Write Parquet instead.")


class DeltaTable(_Beside):
    """One commit to a Delta table, which is made if it is not there. The batch is noted in the commit itself."""

    @property
    def taken(self) -> bool:
        table = self._table()
        return table is not None and table.transaction_version(self._app_id) is not None

    @property
    def ready(self) -> bool:
        return self.part.exists() or self.taken

    def check(self, empty: pl.DataFrame) -> None:
        from deltalake import Schema
        from deltalake.exceptions import DeltaError

        super().check(empty)
        if self.path.exists() and self._table() is None:
            raise AlreadyExists(str(self.path), f"It is no Delta table. {_FORMATS_SAID}")
        try:
            wanted = Schema.from_arrow(_plain(empty).schema)
        except (DeltaError, ValueError, TypeError, NotImplementedError) as error:
            raise BadData(f"A Delta table cannot hold these columns: {error}. Write Parquet instead.") from error
        table = self._table()
        if table is not None and (other := _differing(wanted.fields, table.schema().fields)):
            raise BadData(
                f"The columns of the Delta table {self.path.name} are others: {', '.join(other)}. Name another folder."
            )

    def place(self) -> None:
        if not self.taken:
            self._commit()
        if self.part.exists():
            _sync_commits(self.path, since=self.part.stat().st_mtime)
            self.part.unlink()

    def _commit(self) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake
        from pyarrow import parquet

        with parquet.ParquetFile(self.part) as rows:
            reader = pa.RecordBatchReader.from_batches(rows.schema_arrow, rows.iter_batches(_BATCH_ROWS))
            noted = CommitProperties(app_transactions=[Transaction(self._app_id, 1)])
            write_deltalake(self.path, reader, mode="append", commit_properties=noted)

    @property
    def _app_id(self) -> str:
        return f"pilothouse-score-{self.batch}"

    def _table(self) -> Any:
        from deltalake import DeltaTable as Table

        return Table(self.path) if Table.is_deltatable(str(self.path)) else None


def _sync_commits(table: Path, *, since: float) -> None:
    """Make the commits of a Delta table since then durable, whose writer syncs nothing."""
    log = table / "_delta_log"
    for entry in log.glob("*.json"):
        if entry.stat().st_mtime < since:
            continue
        actions = map(msgspec.json.decode, entry.read_bytes().splitlines())
        for file in (table / unquote(action["add"]["path"]) for action in actions if "add" in action):
            fsync_file(file)
            fsync_folder(file.parent)
        fsync_file(entry)
    for folder in (log, table, table.parent):
        fsync_folder(folder)


def _plain(rows: pl.DataFrame) -> pa.Table:
    """As Arrow, in types that every reader knows."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def _differing(wanted: Sequence[Any], there: Sequence[Any]) -> list[str]:
    """Names of columns that only one of two tables has, or that are of another type in the other."""
    ours, theirs = ({field.name: str(field.type) for field in fields} for fields in (wanted, there))
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))

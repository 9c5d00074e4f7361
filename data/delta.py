"""Delta tables as Pilothouse uses them: appended to exactly once, synced to disk, read by their own file list.

delta-rs takes the same application mark twice, casts 1.5 into a whole number, and never calls fsync. So marks are read
and written through one handle without retries, schemas are compared before each write, and `sync_since` does the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from pilothouse.data.errors import CommitConflict, CommitsGone, SchemaChanged
from pilothouse.data.store import fsync_folder

REOPEN_EVERY = 20
"""Commits after which a handle is opened anew, and a checkpoint written: a kept handle slows down with every commit."""

KEPT_HOURS = 6
"""How long log entries and replaced files stay: a reader or a fold may lag this far behind."""

_CONFIGURATION = {
    "delta.checkpointInterval": str(REOPEN_EVERY),
    "delta.dataSkippingNumIndexedCols": "4",
    "delta.logRetentionDuration": f"interval {KEPT_HOURS} hours",
    "delta.deletedFileRetentionDuration": f"interval {KEPT_HOURS} hours",
    "delta.enableExpiredLogCleanup": "false",
}


class DeltaFolder:
    """One Delta table in a local folder, made on the first append.

    The handle stays at the version it was opened at, or last wrote, until `refresh`: what `version`, `mark` and `files`
    say belongs together, and `append` succeeds only if nobody else has committed since.

    schema : exact columns of every append, non-null ones included; a new nullable column is added to an older table.
    partition_by : columns whose values become folders. The first one can be filtered on in `files` and `compact`.
    dictionaries : string columns with few distinct values; all others are written plain, which is faster.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, partition_by: tuple[str, ...], *, dictionaries: Collection[str] = ()
    ) -> None:
        self.path, self.schema, self.partition_by = path, schema, partition_by
        self._uri = path.absolute().as_uri()
        self._dictionaries = frozenset(dictionaries)
        self._handle: Any = None
        self._looked = False
        self._opened_at = 0

    def table(self) -> Any:
        """The deltalake.DeltaTable behind this folder, or None while nothing has been appended."""
        # Looked for once a turn: a table that appears between reading no marks and appending has to be a conflict.
        if not self._looked:
            self._handle, self._looked = self._open(), True
            self._opened_at = self._handle.version() if self._handle is not None else 0
        return self._handle

    def refresh(self) -> None:
        """Move to the newest version. To be called before marks are read for a new turn."""
        if self._handle is not None and self._handle.version() - self._opened_at < REOPEN_EVERY:
            self._handle.update_incremental()
        else:
            self._handle, self._looked = None, False

    @property
    def version(self) -> int | None:
        """The version the handle stands at; None while there is no table."""
        handle = self.table()
        return None if handle is None else int(handle.version())

    def mark(self, app_id: str) -> int | None:
        """The highest sequence number of `app_id` that the table has taken in, or None."""
        handle = self.table()
        found = None if handle is None else handle.transaction_version(app_id)
        return None if found is None else int(found)

    def append(self, table: pa.Table, marks: Mapping[str, int]) -> int:
        """Append `table` (it may be empty) and move `marks` in one commit; returns the new version.

        Raises SchemaChanged when the columns are not exactly `schema` or clash with the table's, and CommitConflict
        when somebody else has committed since `refresh`, or when `marks` would not move forward.
        """
        self._check_schema(table.schema)
        self._check_marks(marks)
        handle = self.table()
        if handle is None:
            handle = self._create()
        self._write(handle, self._fitted(table, handle), marks)
        return int(handle.version())

    def files(self, version: int | None = None, *, keep: Callable[[str], bool] | None = None) -> list[str]:
        """Absolute paths of the data files that make up `version` (the handle's own by default), sorted.

        keep : told a file's value of the first partition column, whether to list it.
        """
        handle = self.table() if version is None else self._open(version)
        paths = [] if handle is None else sorted(unquote(uri.removeprefix("file://")) for uri in handle.file_uris())
        return [p for p in paths if keep is None or keep(self._partition_value(p))]

    def added(self, after: int | None, upto: int) -> list[str]:
        """Data files added by the commits in (after, upto]; those that only rewrote rows (compaction) are skipped.

        after : None for everything up to `upto`. A file compacted away since stays readable for KEPT_HOURS.
        Raises CommitsGone when the log no longer holds one of these commits.
        """
        if after is None:
            return self.files(upto)
        return [
            self._absolute(action["add"]["path"])
            for version in range(after + 1, upto + 1)
            for action in self._commit(version)
            if "add" in action and action["add"]["dataChange"]
        ]

    def sync_since(self, version: int | None) -> None:
        """Make every commit after `version` durable: data files first, then the log entries, then the folders' names.

        version : None for all commits that the log still holds.
        """
        self.refresh()
        newest = self.version
        if newest is None or newest == version:
            return
        current = set(self.files())
        first = newest if version is None else version + 1
        versions = list(self._back_to_oldest(newest)) if version is None else list(range(first, newest + 1))
        added = {self._absolute(a["add"]["path"]) for v in versions for a in self._commit(v) if "add" in a}
        data = [Path(path) for path in sorted(added & current)]
        for path in (*data, *self._log_files(versions)):
            _fsync_file(path)
        for folder in sorted({p for path in data for p in self._folders_above(path)} | {self._log, self.path}):
            fsync_folder(folder)
        fsync_folder(self.path.parent)

    def version_before(self, oldest: Mapping[str, int]) -> int | None:
        """The newest version in which no mark had reached its number in `oldest`; None for before the first commit.

        It finds what a crash left unsynced: rows still waiting although marked can only stand in later commits.
        """
        waiting = dict(oldest)
        version: int | None = None
        for version in self._back_to_oldest(self.version):
            for app_id, mark in _marks(self._commit(version)).items():
                if app_id in waiting and mark < waiting[app_id]:
                    del waiting[app_id]
            if not waiting:
                return version
        return None

    def crowded(self, more_than: int) -> list[str]:
        """Values of the first partition column under which more than `more_than` files stand."""
        counts: dict[str, int] = {}
        for path in self.files():
            value = self._partition_value(path)
            counts[value] = counts.get(value, 0) + 1
        return sorted(value for value, files in counts.items() if files > more_than)

    def compact(self, partitions: Collection[str] | None = None) -> None:
        """Merge small files, in all partitions or in those named; drop files and log entries older than KEPT_HOURS.

        Rows do not change, and the commit says so: `added` skips it. Readers of an older version keep their files.
        """
        handle, before = self.table(), self.version
        if handle is None:
            return
        chosen = [(self.partition_by[0], "in", sorted(partitions))] if partitions is not None else None
        handle.optimize.compact(partition_filters=chosen, writer_properties=self._writer_properties())
        self.sync_since(before)
        handle = self.table()
        handle.vacuum(retention_hours=KEPT_HOURS, dry_run=False)
        handle.create_checkpoint()
        self.sync_since(before)
        handle.cleanup_metadata()

    @property
    def _log(self) -> Path:
        return self.path / "_delta_log"

    def _open(self, version: int | None = None) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self._log.is_dir():
            return None
        try:
            return DeltaTable(self._uri, version=version)
        except TableNotFoundError:
            return None

    def _create(self) -> Any:
        """Version 0, without rows. The marks that were read said "no table", so a table found now is a conflict.

        Left to itself, delta-rs retries a creation that lost the race as a later version, and returns a handle that has
        seen the winner's rows: an append through it would write them again.
        """
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import DeltaError

        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = DeltaTable.create(
                self._uri,
                self.schema,
                partition_by=list(self.partition_by),
                configuration=_CONFIGURATION,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except DeltaError as error:
            if self._open() is None:
                raise
            raise CommitConflict(self.path.name) from error
        if handle.version() != 0:
            raise CommitConflict(self.path.name)
        self._handle, self._opened_at = handle, 0
        return handle

    def _write(self, handle: Any, table: pa.Table, marks: Mapping[str, int]) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError

        new = set(table.schema.names) - set(pa.schema(handle.schema().to_arrow()).names)
        try:
            write_deltalake(
                handle,
                table,
                mode="append",
                schema_mode="merge" if new else None,
                writer_properties=self._writer_properties(),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app_id, mark) for app_id, mark in marks.items()],
                    max_commit_retries=0,
                ),
            )
        except CommitFailedError as error:
            raise CommitConflict(self.path.name) from error

    def _writer_properties(self) -> Any:
        from deltalake import ColumnProperties, WriterProperties

        return WriterProperties(
            compression="ZSTD",
            compression_level=1,
            default_column_properties=ColumnProperties(dictionary_enabled=False),
            column_properties={name: ColumnProperties(dictionary_enabled=True) for name in self._dictionaries},
        )

    def _check_schema(self, got: pa.Schema) -> None:
        if not got.equals(self.schema):
            raise SchemaChanged(self.path.name, _differences(got, self.schema))

    def _check_marks(self, marks: Mapping[str, int]) -> None:
        """Marks never go back, and at least one moves: delta-rs would take anything."""
        steps = [mark - known for app_id, mark in marks.items() if (known := self.mark(app_id)) is not None]
        moved = len(steps) < len(marks) or any(step > 0 for step in steps)
        if marks and (not moved or any(step < 0 for step in steps)):
            raise CommitConflict(self.path.name)

    def _fitted(self, table: pa.Table, handle: Any) -> pa.Table:
        """`table` with nulls for columns that only the stored table has. Raises SchemaChanged when a type differs."""
        stored = pa.schema(handle.schema().to_arrow())
        clashing = [f for f in stored if f.name in self.schema.names and f.type != self.schema.field(f.name).type]
        if clashing:
            raise SchemaChanged(self.path.name, _differences(self.schema, pa.schema(clashing)))
        for field in stored:
            if field.name not in self.schema.names:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        return table

    def _partition_value(self, path: str) -> str:
        prefix = f"{self.partition_by[0]}="
        return next(part[len(prefix) :] for part in Path(path).parts if part.startswith(prefix))

    def _absolute(self, path: str) -> str:
        # Partition values are dates and months, so the log's percent-encoding never comes into play.
        return str(self.path / path)

    def _commit(self, version: int) -> list[dict[str, Any]]:
        try:
            lines = (self._log / f"{version:020d}.json").read_text().splitlines()
        except FileNotFoundError:
            raise CommitsGone(self.path.name, version) from None
        return [json.loads(line) for line in lines]

    def _back_to_oldest(self, newest: int | None) -> Iterator[int]:
        """Versions from `newest` down to the oldest one that the log still holds."""
        version = -1 if newest is None else newest
        while version >= 0 and (self._log / f"{version:020d}.json").exists():
            yield version
            version -= 1

    def _log_files(self, versions: Collection[int]) -> list[Path]:
        entries = [self._log / f"{v:020d}.json" for v in versions]
        checkpoints = [path for v in versions for path in self._log.glob(f"{v:020d}.checkpoint*")]
        pointer = self._log / "_last_checkpoint"
        return [*entries, *checkpoints, *([pointer] if pointer.exists() else [])]

    def _folders_above(self, path: Path) -> Iterator[Path]:
        while (path := path.parent) != self.path:
            yield path


def _fsync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _marks(commit: list[dict[str, Any]]) -> dict[str, int]:
    return {action["txn"]["appId"]: action["txn"]["version"] for action in commit if "txn" in action}


def _differences(got: pa.Schema, wanted: pa.Schema) -> list[str]:
    """What differs, a sentence a column.

    >>> _differences(pa.schema([("x", pa.int64())]), pa.schema([("x", pa.float64())]))
    ['x is int64, not double']
    """
    said = [f"{name} is missing" for name in wanted.names if name not in got.names]
    for field in got:
        if field.name not in wanted.names:
            said.append(f"{field.name} is not one of its columns")
        elif field.type != wanted.field(field.name).type:
            said.append(f"{field.name} is {field.type}, not {wanted.field(field.name).type}")
        elif field.nullable != wanted.field(field.name).nullable:
            said.append(f"{field.name} may {'' if field.nullable else 'not '}be null, unlike the table's")
    return said or ["the columns stand in another order"]

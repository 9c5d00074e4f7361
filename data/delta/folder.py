"""One Delta table in a local folder: appended to exactly once, durable on return, read by its own file list.

delta-rs takes the same application mark twice, retries a lost commit by itself, casts 1.5 into a whole number and never
calls fsync. So marks are read and written through one handle without retries, schemas are compared before each write,
data files are written and synced by `files.py` before the commit, and the commit's log entry by `journal.py` after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from pilothouse.data.delta import checks, merging, quarantine
from pilothouse.data.delta.actions import actions_of
from pilothouse.data.delta.files import COLUMNS_WITH_STATISTICS, DataFile, Layout, write_files
from pilothouse.data.delta.journal import KEPT_HOURS, REOPEN_EVERY, Journal
from pilothouse.data.errors import CommitConflict, CommitsGone, DamagedFile, SchemaChanged
from pilothouse.data.windows import Clock, utc_now

_OPENINGS = 3

_CONFIGURATION = {
    "delta.checkpointInterval": str(REOPEN_EVERY),
    "delta.dataSkippingNumIndexedCols": str(COLUMNS_WITH_STATISTICS),
    "delta.logRetentionDuration": f"interval {KEPT_HOURS} hours",
    "delta.deletedFileRetentionDuration": f"interval {KEPT_HOURS} hours",
    "delta.enableExpiredLogCleanup": "false",
}


class DeltaFolder:
    """One Delta table in a local folder, made on the first append.

    The handle stays at the version it was opened at, or last wrote, until `refresh`: what `version`, `mark` and `files`
    say belongs together, and a commit succeeds only if nobody else has committed since. Whatever the handle shows is
    durable, and every file that is handed out has been checked against the SHA-256 in its name.

    schema : exact columns of every append, non-null ones included; a new nullable column is added to an older table.
    partition_by : columns whose values become folders. The first one can be filtered on in `files` and `compact`.
    dictionaries : string columns with few distinct values; all others are written plain, which is faster.
    looked_up : columns in which single values are searched for; their files get Bloom filters.
    clock : tells what is older than KEPT_HOURS; it may be replaced.
    crash : called at "written" (files are on disk, no commit yet) and "committed" (not synced yet).
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        partition_by: tuple[str, ...],
        *,
        dictionaries: Collection[str] = (),
        looked_up: Collection[str] = (),
        clock: Clock = utc_now,
        crash: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.path, self.schema, self.partition_by = path.absolute(), schema, partition_by
        self._dictionaries, self._looked_up = frozenset(dictionaries), frozenset(looked_up)
        self.clock = clock
        self._crash = crash
        self._journal = Journal(self.path, lambda: self.clock())
        self._handle: Any = None
        self._looked = False
        self._opened_at = 0
        self._marks: dict[str, int | None] = {}
        self._marks_of: tuple[Any, int] | None = None

    def table(self) -> Any:
        """The deltalake.DeltaTable behind this folder, or None while nothing has been appended.

        Raises DamagedFile when the table's log is not what was written.
        """
        # Looked for once a turn: a table that appears between reading no marks and appending has to be a conflict.
        if not self._looked:
            self._handle, self._looked = self._open(), True
            self._opened_at = self._handle.version() if self._handle is not None else 0
        return self._handle

    def refresh(self) -> None:
        """Move to the newest version, made durable if it was not. To be called before marks are read for a new turn."""
        newest = None
        if self._handle is not None and self._handle.version() - self._opened_at < REOPEN_EVERY:
            newest = self._journal.settle_after(self._handle.version())
        if newest is None:
            self._handle, self._looked = None, False
        elif newest != self._handle.version():
            self._handle.load_as_version(newest)

    @property
    def version(self) -> int | None:
        """The version the handle stands at; None while there is no table."""
        handle = self.table()
        return None if handle is None else int(handle.version())

    def mark(self, app_id: str) -> int | None:
        """The highest sequence number of `app_id` that the table has taken in, or None."""
        handle = self.table()
        if handle is None:
            return None
        # A version's marks are what they are, and asking for one takes a millisecond.
        if self._marks_of is None or self._marks_of[0] is not handle or self._marks_of[1] != handle.version():
            self._marks, self._marks_of = {}, (handle, handle.version())
        marks = self._marks
        if app_id not in marks:
            marks[app_id] = handle.transaction_version(app_id)
        return marks[app_id]

    def append(self, table: pa.Table, marks: Mapping[str, int]) -> int:
        """Append `table` (it may be empty) and move `marks` in one commit; returns the new version, which is durable.

        Raises SchemaChanged when the columns are not exactly `schema` or clash with the table's, and CommitConflict
        when somebody else has committed since `refresh`, or when `marks` would not move forward. An OSError says that
        the disk refused: nothing was appended, or the commit stands and the next `refresh` makes it durable.
        """
        self._check_marks(marks, have_to_move=True)
        return self.commit([table], [], marks, data_change=True)

    def commit(
        self, add: Sequence[pa.Table], remove: Sequence[str], marks: Mapping[str, int], *, data_change: bool
    ) -> int:
        """Take the files `remove` out of the table, put the rows of `add` in, and set `marks`, all in one commit.

        remove : paths as `files` lists them. marks : may stand still here, but not go back.
        data_change : False for rows that only move to other files; `added` skips them then.
        Raises what `append` raises; returns the new version, which is durable.
        """
        for table in add:
            if not table.schema.equals(self.schema):
                raise SchemaChanged(self.path.name, _differences(table.schema, self.schema))
        self._check_marks(marks, have_to_move=False)
        handle = self.table()
        if handle is None:
            handle = self._create()
        self._widen(handle)
        layout = self.layout()
        files = [file for table in add for file in write_files(self.path, layout, merging.fitted(table, layout.schema))]
        return self.commit_files(files, remove, marks, data_change=data_change)

    def commit_files(
        self, add: Sequence[DataFile], remove: Sequence[str], marks: Mapping[str, int], *, data_change: bool
    ) -> int:
        """`commit` of data files that stand on disk already, written by `files.FileWriter`."""
        handle = self.table()
        version = int(handle.version()) + 1
        self._crash("written")
        try:
            self._transact(handle, actions_of(self.path, add, remove, data_change), marks)
            self._crash("committed")
            handle.load_as_version(version)
            self._journal.keep(version)
        except BaseException:
            # What the handle knows may no longer be true; the next turn opens the table anew.
            self._handle, self._looked = None, False
            raise
        if version % REOPEN_EVERY == 0:
            handle.create_checkpoint()
            self._journal.keep_checkpoint(version)
        return version

    def files(
        self, version: int | None = None, *, keep: Callable[[str], bool] | None = None, check: bool = True
    ) -> list[str]:
        """Absolute paths of the data files that make up `version` (the handle's own by default), sorted.

        keep : told a file's value of the first partition column, whether to list it.
        check : False for a caller that reads only some of them, and asks for those with `checked`.
        Raises DamagedFile when one of them is not what was written, and CommitsGone for a version so old that files
        of it have been dropped.
        """
        handle = self.table() if version is None else self._open_at(version)
        paths = [] if handle is None else sorted(unquote(uri.removeprefix("file://")) for uri in handle.file_uris())
        kept = [p for p in paths if keep is None or keep(self.partition_value(p))]
        if version is not None:
            self._refuse_gone(kept, version)
        return self.checked(kept) if check else kept

    def checked(self, paths: Sequence[str]) -> list[str]:
        """`paths`, each of which has been hashed since it was last touched. Raises DamagedFile naming the first."""
        found = checks.damaged(self.path, paths) if checks.checking() else []
        for damage in found:
            quarantine.note(self.path, damage, self.clock())
        if found:
            raise DamagedFile(self.path.name, found[0].file, found[0].reason)
        return list(paths)

    def added(self, after: int | None, upto: int) -> list[str]:
        """Data files added by the commits in (after, upto]; those that only rewrote rows (compaction) are skipped.

        after : None for everything up to `upto`. A file compacted away since stays readable for KEPT_HOURS.
        Raises CommitsGone when the log no longer holds one of these commits, and DamagedFile.
        """
        if after is None:
            return self.files(upto)
        found = [
            str(self.path / unquote(action["add"]["path"]))
            for version in range(after + 1, upto + 1)
            for action in self._journal.actions(version)
            if "add" in action and action["add"]["dataChange"]
        ]
        self._refuse_gone(found, after + 1)
        return self.checked(found)

    def crowded(self, more_than: int) -> list[str]:
        """Values of the first partition column under which more than `more_than` files stand."""
        counts: dict[str, int] = {}
        for path in self.files(check=False):
            value = self.partition_value(path)
            counts[value] = counts.get(value, 0) + 1
        return sorted(value for value, files in counts.items() if files > more_than)

    def compact(self, partitions: Collection[str] | None = None) -> None:
        """Merge small files, in all partitions or in those named; drop files and log entries older than KEPT_HOURS.

        Rows do not change, and the commit says so: `added` skips it. Readers of an older version keep their files.
        """
        if self.table() is not None:
            merging.merge(self, partitions)
            merging.tidy(self)

    @property
    def journal(self) -> Journal:
        return self._journal

    def layout(self) -> Layout:
        """How files of the stored table are written: in its columns, which may be more than `schema`."""
        return Layout(
            schema=_stored_schema(self.table()),
            partition_by=self.partition_by,
            dictionaries=self._dictionaries,
            looked_up=self._looked_up,
        )

    def partition_value(self, path: str) -> str:
        """A file's value of the first partition column."""
        prefix = f"{self.partition_by[0]}="
        return next(part[len(prefix) :] for part in path.split("/") if part.startswith(prefix))

    @property
    def _uri(self) -> str:
        return self.path.as_uri()

    def _open(self) -> Any:
        from deltalake.exceptions import DeltaError

        for _ in range(_OPENINGS - 1):
            try:
                return self._newest()
            except DeltaError:
                # Old entries may be cleaned away between the look and the opening; damage would have been named.
                continue
        return self._newest()

    def _newest(self) -> Any:
        from deltalake import DeltaTable

        newest = self._journal.settle()
        return None if newest is None else DeltaTable(self._uri, version=newest)

    def _open_at(self, version: int) -> Any:
        from deltalake import DeltaTable

        self._journal.check_back_from(version)
        return DeltaTable(self._uri, version=version)

    def _refuse_gone(self, paths: Sequence[str], version: int) -> None:
        """Raises CommitsGone when a file is missing that the table does not need any more; else it is damage."""
        missing = {path for path in paths if not Path(path).exists()}
        if missing and missing - set(self.files(check=False)):
            raise CommitsGone(self.path.name, version)

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
            if not self._journal.entry(0).exists():
                raise
            raise CommitConflict(self.path.name) from error
        if handle.version() != 0:
            raise CommitConflict(self.path.name)
        self._journal.keep(0)
        self._handle, self._looked, self._opened_at = handle, True, 0
        return handle

    def _widen(self, handle: Any) -> None:
        """Add the columns that the stored table does not have yet, in a commit of its own."""
        from deltalake import CommitProperties, Schema
        from deltalake.exceptions import CommitFailedError

        stored = _stored_schema(handle)
        clashing = [f for f in stored if f.name in self.schema.names and f.type != self.schema.field(f.name).type]
        if clashing:
            raise SchemaChanged(self.path.name, _differences(self.schema, pa.schema(clashing)))
        new = [field for field in self.schema if field.name not in stored.names]
        if not new:
            return
        version = int(handle.version()) + 1
        try:
            handle.alter.add_columns(
                Schema.from_arrow(pa.schema(new)).fields, commit_properties=CommitProperties(max_commit_retries=0)
            )
        except CommitFailedError as error:
            raise self._conflict_or(error, version) from error
        self._journal.keep(version)

    def _transact(self, handle: Any, actions: list[Any], marks: Mapping[str, int]) -> None:
        from deltalake import CommitProperties, PostCommitHookProperties, Transaction
        from deltalake.exceptions import CommitFailedError

        version = int(handle.version()) + 1
        try:
            handle.create_write_transaction(
                actions,
                "append",
                handle.schema(),
                partition_by=list(self.partition_by),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app_id, mark) for app_id, mark in marks.items()],
                    max_commit_retries=0,
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except CommitFailedError as error:
            raise self._conflict_or(error, version) from error

    def _conflict_or(self, error: Exception, version: int) -> Exception:
        """A conflict when somebody has taken the version; otherwise the disk said no, and `error` tells what."""
        return CommitConflict(self.path.name) if self._journal.entry(version).exists() else error

    def _check_marks(self, marks: Mapping[str, int], *, have_to_move: bool) -> None:
        """Marks never go back; and in an append at least one moves: delta-rs would take anything."""
        steps = [mark - known for app_id, mark in marks.items() if (known := self.mark(app_id)) is not None]
        moved = not have_to_move or len(steps) < len(marks) or any(step > 0 for step in steps)
        if marks and (not moved or any(step < 0 for step in steps)):
            raise CommitConflict(self.path.name)


def _stored_schema(handle: Any) -> pa.Schema:
    return pa.schema(handle.schema().to_arrow())


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

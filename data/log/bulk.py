"""The import's way into the log: large tables written and counted in one pass, past the spool, exactly once.

Rows are gathered into blocks, which are written while the caller reads on. A block is one commit that carries its marks:
a mark that stands vouches for all rows up to it, and after a crash `mark` says where to go on. Roll-ups follow in memory
and are committed now and then; what a crash leaves uncounted, the next fold counts from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from pilothouse.data.delta import DeltaFolder, fitted
from pilothouse.data.delta.files import DataFile, FileWriter, Layout, in_order, partitions
from pilothouse.data.errors import CommitConflict
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.count import Counting, columns_counted
from pilothouse.data.rollups.fold import Counted, FoldReport, fold, hours_from
from pilothouse.data.rollups.plan import midnight
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.store import Cursor, rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace

BLOCK_ROWS, BLOCK_BYTES = 1_000_000, 128 * 1024 * 1024
"""From how much on a block is written. Two are in memory: one that grows and one that is being written."""
_FOLD_EVERY = 4_000_000
"""Rows after which roll-ups are committed: an answer lags this far behind at most while an import runs."""
_FOLD_BYTES = 384 * 1024 * 1024
"""Roll-ups in memory after which they are committed: many features fill it sooner."""
_COUNTED_ROWS = 1 << 17
"""Rows counted at a time; it bounds memory."""
_THREADS = 3
"""One more than two cores can keep busy: a thread that syncs a file waits for the disk."""
_ATTEMPTS = 20
_NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What an append took. repeated : the marks were there already; no prediction was taken."""

    predictions: int
    labels: int
    repeated: bool = False


class BulkLog:
    """Appends tables of predictions and labels to a model's log. For one thread, in a `with` block.

    To be used under the model's fold lease: nobody else may fold while it is open. Others may seal.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: str,
        signature: Signature,
        profile: Profile,
        policy: LabelPolicy,
        settings: Settings,
        *,
        clock: Clock = utc_now,
        crash: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._predictions = _Stream(prediction_folder(workspace, model, signature))
        self._labels = _Stream(label_folder(workspace, model, signature))
        self._profile, self._crash = profile, crash
        self._fold = partial(fold, workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
        first = hours_from(Cursor.of(rollup_folder(workspace, model)), settings, clock)
        self._new_counting = partial(Counting, profile, settings.time_zone, midnight(first, settings.zone))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="pilothouse-bulk")
        self._unfolded = _Unfolded(self._new_counting())
        self._writing: _Block | None = None

    def __enter__(self) -> BulkLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # Blocks that stand in the log stay; the next fold counts them.
            self._threads.shutdown(cancel_futures=True)

    def mark(self, app_id: str) -> int | None:
        """The highest number of `app_id` that stands in the log, or None: where to go on after a crash."""
        self._predictions.folder.refresh()
        return self._predictions.folder.mark(app_id)

    def append(self, predictions: pa.Table, marks: Mapping[str, int], labels: pa.Table | None = None) -> BulkReport:
        """Take in `predictions` and `labels` under `marks`; they are on disk once `flush`, `fold` or `close` returns.

        predictions, labels : with exactly the columns of prediction_schema and label_schema. A call whose marks have
        been reached before takes nothing. Raises SchemaChanged for other columns, CommitConflict when a sealer came in
        between while the table was made or widened (call again), and whatever befell the rows of earlier calls.
        """
        told = self._labels.take(labels, marks) if labels is not None else None
        taken = self._predictions.take(predictions, marks)
        if self._predictions.full or self._labels.full:
            self._write()
        return BulkReport(predictions=taken or 0, labels=told or 0, repeated=taken is None)

    def flush(self) -> None:
        """Put into the log whatever has been appended."""
        self._write()
        self._settle()

    def fold(self) -> FoldReport:
        """`flush`, and take into the roll-ups what has been appended and whatever else has come into the log."""
        self.flush()
        return self._fold(counted=self._taken_off().counted())

    def close(self) -> None:
        """Fold what is left, and end."""
        try:
            self.fold()
        finally:
            self._threads.shutdown(cancel_futures=True)

    def _write(self) -> None:
        """Begin to write the block that has grown, once the one before stands in the log."""
        self._settle()
        due = self._taken_off() if self._unfolded.due else None
        if self._predictions.waiting or self._labels.waiting:
            self._writing = self._begun()
        if due is not None:
            self._fold(counted=due.counted())

    def _begun(self) -> _Block:
        rows = self._predictions.ordered()
        # One thread counts while the others write: two counters would hold every hour twice.
        count = self._threads.submit(self._count, rows, self._unfolded.counting)
        return _Block(
            rows=rows.num_rows,
            count=count,
            labels=self._labels.write(self._labels.ordered(), self._threads),
            predictions=self._predictions.write(rows, self._threads),
        )

    def _count(self, rows: pa.Table, counting: Counting) -> None:
        for batch in rows.select(columns_counted(self._profile)).to_batches(max_chunksize=_COUNTED_ROWS):
            counting.add(batch)

    def _settle(self) -> None:
        """Wait until the block that is being written is on disk, and commit it: labels first, so that a mark of the
        predictions vouches for both."""
        block = self._writing
        if block is None:
            return
        wait([*block.labels.files, *block.predictions.files])
        block.count.result()
        self._crash("bulk:written")
        self._labels.commit(block.labels)
        self._crash("bulk:labels")
        files = self._predictions.commit(block.predictions)
        self._crash("bulk:appended")
        self._writing = None
        self._unfolded.files |= {str(self._predictions.folder.path / file.path) for file in files}
        self._unfolded.rows += block.rows

    def _taken_off(self) -> _Unfolded:
        taken, self._unfolded = self._unfolded, _Unfolded(self._new_counting())
        return taken


@dataclass(slots=True)
class _Unfolded:
    """What has been counted since the last fold, and the files and rows that it was counted from."""

    counting: Counting
    files: set[str] = field(default_factory=set)
    rows: int = 0

    @property
    def due(self) -> bool:
        return self.rows >= _FOLD_EVERY or self.counting.written_bytes >= _FOLD_BYTES

    def counted(self) -> Counted:
        return Counted(files=frozenset(self.files), rows=self.rows, table=self.counting.table())


@dataclass(slots=True)
class _Part:
    """What a block holds for one table: the files being written, and the marks of their commit."""

    files: list[Future[DataFile]]
    marks: dict[str, int]
    committed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Rows that are being written and counted, to be committed together. It stays until it has been: no row is lost."""

    rows: int
    count: Future[None]
    labels: _Part
    predictions: _Part


class _Stream:
    """Tables on their way into a Delta table.

    stands : the marks as this import has found or written them; others than these are somebody else's import.
    """

    def __init__(self, folder: DeltaFolder) -> None:
        self.folder = folder
        self._tables: list[pa.Table] = []
        self._marks: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._stands: dict[str, int] = {}

    def take(self, rows: pa.Table, marks: Mapping[str, int]) -> int | None:
        """Keep `rows` for the next block; returns how many, or None when `marks` have been reached before."""
        self._make_ready(rows.schema)
        for app_id in marks.keys() - self._stands.keys():
            self._stands[app_id] = self._reached[app_id] = self._mark(app_id)
        if marks and all(self._reached[app_id] >= mark for app_id, mark in marks.items()):
            return None
        self._tables.append(rows)
        self._marks |= marks
        self._reached |= marks
        return int(rows.num_rows)

    @property
    def waiting(self) -> bool:
        return bool(self._tables)

    @property
    def full(self) -> bool:
        rows, size = sum(t.num_rows for t in self._tables), sum(t.nbytes for t in self._tables)
        return bool(rows >= BLOCK_ROWS or size >= BLOCK_BYTES)

    def ordered(self) -> pa.Table:
        """The rows that wait, partition by partition, in the stored columns: the table may know more than the model."""
        if not self._tables:
            return self.folder.schema.empty_table()
        return in_order(fitted(pa.concat_tables(self._tables), self.folder.layout().schema), self.folder.partition_by)

    def write(self, rows: pa.Table, threads: ThreadPoolExecutor) -> _Part:
        """Begin to write `rows`, which are those that wait."""
        files = []
        if rows.num_rows:
            layout, path = self.folder.layout().suited_to(rows), self.folder.path
            parts = partitions(rows, self.folder.partition_by)
            files = [threads.submit(_write, path, layout, partition, part) for partition, part in parts]
        part = _Part(files, self._marks)
        self._tables, self._marks = [], {}
        return part

    def commit(self, part: _Part) -> list[DataFile]:
        """Put the files of `part` into the table, however often a sealer comes in between."""
        files = [file.result() for file in part.files]
        if (files or part.marks) and not part.committed:
            self._commit(files, part.marks)
            part.committed = True
        return files

    def _commit(self, files: list[DataFile], marks: Mapping[str, int]) -> None:
        for _ in range(_ATTEMPTS):
            self.folder.refresh()
            # Another import of the same rows has been here, or an erasure has swept the files away.
            if any(self._mark(app_id) != self._stands[app_id] for app_id in marks) or self._gone(files):
                break
            try:
                self.folder.commit_files(files, [], marks, data_change=True)
            except CommitConflict:
                continue
            self._stands |= marks
            return
        raise CommitConflict(self.folder.path.name)

    def _gone(self, files: list[DataFile]) -> bool:
        return not all((self.folder.path / file.path).exists() for file in files)

    def _mark(self, app_id: str) -> int:
        found = self.folder.mark(app_id)
        return _NEVER if found is None else found

    def _make_ready(self, schema: pa.Schema) -> None:
        """A table is made, or gets the columns it lacks, before its first files are written."""
        self.folder.refresh()
        handle = self.folder.table()
        if handle is None or not set(schema.names) <= set(handle.schema().to_arrow().names):
            self.folder.commit([schema.empty_table()], [], {}, data_change=True)


def _write(table: Path, layout: Layout, partition: Mapping[str, str], rows: pa.Table) -> DataFile:
    with FileWriter(table, layout, partition, rows=rows.num_rows) as writer:
        writer.write(rows)
        return writer.finish()

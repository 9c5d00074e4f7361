"""The import's way into the log: large tables written and counted in one pass, past the spool, exactly once.

The caller keeps its rows until `append` returns; then they are on disk. Each append is one commit that carries the
caller's marks, so after a crash `mark` says where to go on. Roll-ups follow in memory and are committed now and then;
what a crash leaves uncounted, the next fold counts from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.delta.files import DataFile, FileWriter
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

_THREADS = 2
_FOLD_EVERY = 4_000_000
"""Rows after which roll-ups are committed: an answer lags this far behind at most while an import runs."""
_COUNTED_ROWS = 1 << 17
"""Rows counted at a time; it bounds memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What an append did. version : of the prediction table. repeated : the marks were there already; nothing was."""

    predictions: int
    labels: int
    version: int
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
        self._predictions = prediction_folder(workspace, model, signature)
        self._labels = label_folder(workspace, model, signature)
        self._profile, self._crash = profile, crash
        self._fold = partial(fold, workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
        first = hours_from(Cursor.of(rollup_folder(workspace, model)), settings, clock)
        self._new_counting = partial(Counting, profile, settings.time_zone, midnight(first, settings.zone))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="pilothouse-bulk")
        self._start_counting()

    def __enter__(self) -> BulkLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # What has been appended stays; the next fold counts it.
            self._threads.shutdown(cancel_futures=True)

    def mark(self, app_id: str) -> int | None:
        """The highest number of `app_id` that the log has taken in, or None: where to go on after a crash."""
        self._predictions.refresh()
        return self._predictions.mark(app_id)

    def append(self, predictions: pa.Table, marks: Mapping[str, int], labels: pa.Table | None = None) -> BulkReport:
        """Append `predictions` and `labels` and move `marks`; on return both are on disk.

        predictions, labels : with exactly the columns of prediction_schema and label_schema. A call whose marks have
        been reached before appends nothing. Labels are committed first, so a mark that stands vouches for both.
        Raises SchemaChanged for other columns, and CommitConflict when a sealer came in between: call again.
        """
        told = self._append_labels(labels, marks) if labels is not None else 0
        self._crash("bulk:labels")
        before = self._ready(self._predictions, predictions.schema)
        if _reached(self._predictions, marks):
            return BulkReport(predictions=0, labels=told, version=before, repeated=True)
        files = self._written_and_counted(predictions)
        self._crash("bulk:written")
        version = self._predictions.commit_files(files, [], marks, data_change=True)
        self._crash("bulk:appended")
        self._files |= {str(self._predictions.path / file.path) for file in files}
        self._rows += predictions.num_rows
        if self._rows >= _FOLD_EVERY:
            self.fold()
        return BulkReport(predictions=predictions.num_rows, labels=told, version=version)

    def fold(self) -> FoldReport:
        """Take into the roll-ups what has been appended, and whatever else has come into the log."""
        counted = Counted(
            files=frozenset(self._files),
            rows=self._rows,
            table=self._counting.table(),
        )
        self._start_counting()
        return self._fold(counted=counted)

    def close(self) -> None:
        """Fold what is left, and end."""
        self._threads.shutdown()
        self.fold()

    def _start_counting(self) -> None:
        self._files: set[str] = set()
        self._rows = 0
        self._counting = self._new_counting()

    def _append_labels(self, labels: pa.Table, marks: Mapping[str, int]) -> int:
        self._ready(self._labels, labels.schema)
        if _reached(self._labels, marks):
            return 0
        self._labels.append(labels, marks)
        return int(labels.num_rows)

    def _ready(self, folder: DeltaFolder, schema: pa.Schema) -> int:
        """The version to build on; a table is made, or gets the columns it lacks, before its first files are written."""
        folder.refresh()
        handle = folder.table()
        if handle is None or not set(schema.names) <= set(handle.schema().to_arrow().names):
            folder.commit([schema.empty_table()], [], {}, data_change=True)
        version = folder.version
        assert version is not None
        return version

    def _written_and_counted(self, rows: pa.Table) -> list[DataFile]:
        # One thread counts while the other writes, and then both write: two counters would hold every hour twice.
        count = self._threads.submit(self._count, rows)
        writes = [self._threads.submit(self._write, day, part) for day, part in _by_day(rows)]
        _wait([count, *writes])
        return [write.result() for write in writes]

    def _write(self, day: date, rows: pa.Table) -> DataFile:
        layout = self._predictions.layout()
        with FileWriter(self._predictions.path, layout, {"day": day.isoformat()}, rows=rows.num_rows) as writer:
            writer.write(rows)
            return writer.finish()

    def _count(self, rows: pa.Table) -> None:
        for batch in rows.select(columns_counted(self._profile)).to_batches(max_chunksize=_COUNTED_ROWS):
            self._counting.add(batch)


def _reached(folder: DeltaFolder, marks: Mapping[str, int]) -> bool:
    known = {app_id: folder.mark(app_id) for app_id in marks}
    return bool(marks) and all((at := known[app_id]) is not None and at >= mark for app_id, mark in marks.items())


def _by_day(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Each day with its rows, in the order they came."""
    days = pl.Series(rows["day"])
    if not days.is_sorted():
        order = np.argsort(days.to_physical().to_numpy(), kind="stable")
        rows, days = rows.take(pa.array(order)), days.gather(order)
    runs = days.rle()
    first = 0
    for length, day in zip(runs.struct["len"], runs.struct["value"], strict=True):
        yield day, rows.slice(first, length)
        first += length


def _wait(work: Sequence[Future[Any]]) -> None:
    """Until all of it is done; then the first error, if there was one."""
    for one in work:
        one.exception()
    for one in work:
        one.result()

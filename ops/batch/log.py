"""A batch's way into the log: past the spool, under marks, so that no chunk comes in twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import pyarrow as pa

from pilothouse.data.log.bulk import BulkLog
from pilothouse.data.log.schema import prediction_schema
from pilothouse.ops.holdings import borrowed
from pilothouse.ops.imports.run import retried
from pilothouse.ops.model import ModelHandle

_FOLD_EVERY_S = 30.0
"""A batch may take hours, and live rows are folded by nobody else meanwhile."""


class BatchLog:
    """The log of one batch. `written`: the number of the last chunk that stands in it, 0 before the first."""

    def __init__(self, handle: ModelHandle, batch_id: str, crash: Callable[[str], None]) -> None:
        house = handle.house
        self._lease = borrowed(house.state, house.clock, f"fold {handle.name}", holder=f"score {batch_id}")
        self._nothing = prediction_schema(handle.signature).empty_table()
        self._rows_mark, self._done_mark = f"score-{batch_id}-rows", f"score-{batch_id}-done"
        self._open = partial(
            BulkLog, house.workspace, handle.name, handle.signature, handle.profile, handle.label_policy,
            house.settings, clock=house.clock, crash=crash,
        )  # fmt: skip
        self._folded = time.monotonic()

    def __enter__(self) -> Self:
        self._lease.__enter__()
        self._bulk = self._open()
        self.written = self._bulk.mark(self._rows_mark) or 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._bulk.__exit__(kind, error, trace)
        finally:
            self._lease.__exit__(kind, error, trace)

    def append(self, number: int, rows: pa.Table) -> int:
        """Take in the rows of chunk `number`, and say how many; they are in the log once `finish` returns."""
        retried(lambda: self._bulk.append(rows, {self._rows_mark: number}))
        if time.monotonic() - self._folded >= _FOLD_EVERY_S:
            self._fold()
        return int(rows.num_rows)

    def finish(self) -> None:
        """Put the rest into the log, count it, and say that the batch is in it."""
        self._fold()
        retried(lambda: self._bulk.append(self._nothing, {self._done_mark: 1}))
        retried(self._bulk.flush)

    def _fold(self) -> None:
        retried(self._bulk.fold)
        self._folded = time.monotonic()

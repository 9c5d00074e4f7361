"""A model's tables as questions read them: opened once for every version of them, with what was counted from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from pilothouse.data.delta import DeltaFolder, newest
from pilothouse.data.history.results import Watermark
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.plan import hour_start, next_hour
from pilothouse.data.rollups.source import Extent, Source, table_extent
from pilothouse.data.rollups.store import Cursor, rollup_folder
from pilothouse.data.signature import Signature
from pilothouse.data.workspace import Workspace

_MODELS_REMEMBERED = 64
_ANSWERS_REMEMBERED = 256


_Answer = TypeVar("_Answer")


class Memory(Generic[_Answer]):
    """Answers by question, the latest few hundred. A question names the versions it is about, so none goes stale."""

    def __init__(self, most: int = _ANSWERS_REMEMBERED) -> None:
        self._held: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._most = most
        self._lock = Lock()

    def recall(self, question: Hashable, count: Callable[[], _Answer]) -> _Answer:
        """The answer remembered, or that of `count`."""
        with self._lock:
            if question in self._held:
                self._held.move_to_end(question)
                return self._held[question]
        found = count()
        with self._lock:
            self._held[question] = found
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Roll-ups and log of a model, each at the version it had when opened. extent : of the prediction table."""

    rollups: DeltaFolder
    source: Source
    cursor: Cursor
    extent: Extent
    memory: Memory[pl.DataFrame] = field(default_factory=Memory)

    def stands_at(self, rollups: DeltaFolder, source: Source) -> bool:
        """Whether these are the very handles."""
        held = (self.rollups, self.source.labels, self.source.predictions)
        return all(a is b for a, b in zip(held, (rollups, source.labels, source.predictions), strict=True))

    def data_end(self, zone: ZoneInfo) -> datetime | None:
        """End of the business hour that holds the newest sealed row; None without rows."""
        newest_row = self.extent.newest
        return None if newest_row is None else next_hour(hour_start(newest_row, zone), zone)

    def watermark(self, unsealed_rows: int) -> Watermark:
        """How far these tables reach. unsealed_rows : counted before they were opened, see `History`."""
        return Watermark(
            data_to=self.extent.newest,
            sealed_rows=self.extent.rows,
            unsealed_rows=unsealed_rows,
            prediction_version=self.source.predictions.version,
            label_version=self.source.labels.version,
            folded_prediction_version=self.cursor.predictions,
            folded_label_version=self.cursor.labels,
        )


_opened: OrderedDict[Hashable, Opened] = OrderedDict()
_lock = Lock()


def open_tables(workspace: Workspace, model: str, signature: Signature, policy: LabelPolicy) -> Opened:
    """The tables at their newest versions; those of the last call as long as nobody has committed since."""
    key = (workspace.root, model, signature, policy)
    with _lock:
        # Roll-ups are opened before the log's tables, so that they have never taken in more than those show; and labels
        # before predictions, so that the prediction of every label seen is in sight.
        rollups = newest(rollup_folder(workspace, model))
        labels = newest(label_folder(workspace, model, signature))
        source = Source(newest(prediction_folder(workspace, model, signature)), labels, signature, policy)
        found = _opened.get(key)
        if found is None or not found.stands_at(rollups, source):
            extent = table_extent(source.predictions)
            found = Opened(rollups=rollups, source=source, cursor=Cursor.of(rollups), extent=extent)
        _opened[key] = found
        _opened.move_to_end(key)
        while len(_opened) > _MODELS_REMEMBERED:
            _opened.popitem(last=False)
    return found

"""Rows of the log as an answer: a page of them, how many there are, and where the next page begins."""

from __future__ import annotations

import polars as pl

from pilothouse.data.history.history import History
from pilothouse.data.history.results import Rows
from pilothouse.data.log.find import Place
from pilothouse.data.rollups.schema import Part
from pilothouse.data.windows import Window

_NOT_COUNTED = "rows that meet a filter are looked for, newest first, and not counted"


def page_of_rows(found: pl.DataFrame, limit: int, history: History, window: Window, *, chosen: bool) -> Rows:
    """The first `limit` rows of `found`, which holds one more if there are more.

    chosen : whether filters were asked for; then there is no total, for that would be a scan.
    """
    shown, watermark = found.head(limit), history.watermark()
    waiting = watermark.unsealed_rows if watermark.data_to is None or window.end > watermark.data_to else 0
    total = None if chosen else _rows_of(history, window) + waiting
    return Rows(
        columns=tuple(shown.columns),
        rows=tuple(shown.iter_rows()),
        total=None if total is None else max(total, shown.height),
        total_reason=_NOT_COUNTED if chosen else "",
        watermark=watermark,
        next=_next(shown) if found.height > limit else None,
    )


def _rows_of(history: History, window: Window) -> int:
    """Rows of the window that the roll-ups have taken in, answered or not."""
    counts = history.count([window], (Part.VOLUME,))
    return int(counts["n"].sum())


def _next(shown: pl.DataFrame) -> str:
    last = shown.select("at", "version", "role", "prediction_id").row(-1, named=True)
    return str(Place(**last))

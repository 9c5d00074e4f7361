"""What the rows of a day have in common, as a window's labels tell, for rows of which no time is known: the reference's."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pilothouse.data.history.apart import DAYS, HOURS, WEEKS, Apart
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.impact import Together

if TYPE_CHECKING:
    from pilothouse.data.windows import Window
    from pilothouse.ops.model import ModelHandle

_LENGTHS = {HOURS: timedelta(hours=1), DAYS: timedelta(days=1), WEEKS: timedelta(weeks=1)}


def together_of(
    handle: ModelHandle, window: Window, rows: int, shown: Metric | None, told: str, version: int | None = None
) -> Together:
    """What rows of one day do to bands of the reference's `rows`, by `shown`, the metric of the window's labelled rows.

    told : what the window's rows are told apart by; empty where they are not. Where the window's labels cannot say how
    alike rows of a day are, those of the reference are taken one by one.
    """
    if shown is None or shown.by not in _LENGTHS:
        return Together(by=told or "rows")
    labelled = handle.history.count_apart(window, version)
    return Together.by_labels(shown, labelled.rows_of_one, reference_bucket(handle, rows, labelled))


def reference_bucket(handle: ModelHandle, rows: int, apart: Apart) -> float:
    """Rows of the reference in a day: by the time it was drawn from, else as many as a day of the window has."""
    span = handle.profile.window
    if span is None:
        return min(float(rows), apart.rows_of_one)
    return rows / max(1.0, span.length / _LENGTHS[apart.by])

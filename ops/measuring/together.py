"""What the rows of a day have in common, as a window's labels tell, for rows of which no time is known: the reference's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pilothouse.data.history.apart import Apart
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.impact import Together
from pilothouse.data.measures.row_buckets import DAYS, HOURS, WEEKS

if TYPE_CHECKING:
    from pilothouse.data.windows import Window
    from pilothouse.ops.model import ModelHandle

_LENGTHS = {HOURS: timedelta(hours=1), DAYS: timedelta(days=1), WEEKS: timedelta(weeks=1)}


def together_of(
    handle: ModelHandle, window: Window, rows: int, shown: Metric | None, apart: Apart | None = None
) -> Together:
    """What rows of one day do to bands of the reference's `rows`, by `shown`, the metric of the window's labelled rows.

    apart : the window's rows by day, whose features tell what the reference's days have in common; None where they are
    not asked. Where the window's labels cannot say how alike they are, labels of the reference are taken one by one.
    """
    by_labels = Together()
    if shown is not None and shown.by in _LENGTHS:
        labelled = handle.history.count_apart(window)
        by_labels = Together.by_labels(shown, labelled.rows_of_one, reference_bucket(handle, rows, labelled))
    if apart is None or not apart.told:
        return by_labels
    return replace(by_labels, by=apart.told, rows=reference_bucket(handle, rows, apart))


def reference_bucket(handle: ModelHandle, rows: int, apart: Apart) -> float:
    """Rows of the reference in a day: by the time it was drawn from, else as many as a day of the window has."""
    span = handle.profile.window
    if span is None:
        return min(float(rows), apart.rows_of_one)
    return rows / max(1.0, span.length / _LENGTHS[apart.by])

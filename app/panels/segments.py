"""How right a model is on each value of a column, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.app import formats, markup
from pilothouse.app.panel import Panel, Table
from pilothouse.data.history.results import SegmentRow, SegmentTable
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.signature import NUMERIC, Task
from pilothouse.ops.governance.columns import ColumnLine

_SHOWN = 15
_METRIC = {
    Task.BINARY: ("roc_auc", "ROC AUC"),
    Task.MULTICLASS: ("accuracy", "Accuracy"),
    Task.REGRESSION: ("mae", "Mean absolute error"),
}


def columns_to_choose(columns: Sequence[ColumnLine], watched: Sequence[str]) -> list[str]:
    """Columns that a person may tell segments apart by: watched ones first, then the others that are no measurements."""
    shown = [c for c in columns if c.role != "entity" and c.told not in UNSHOWN]
    first = [name for name in watched if any(c.name == name for c in shown)]
    return first + [c.name for c in shown if c.name not in watched and c.kind not in NUMERIC]


def panel(found: SegmentTable, task: Task) -> Panel:
    """The segments as rows, and the sentence about the worst."""
    names = sorted({name for segment in found.segments for name in segment.metrics})
    columns = ("segment", "rows", "labelled", "coverage", *names)
    rows = tuple(
        (s.value, s.rows, s.labelled, s.coverage, *(s.metrics[n].value for n in names)) for s in found.segments
    )
    return Panel(
        name=f"{found.model}-segments",
        title=f"By {found.column}",
        answer=_answer(found, task),
        rows=Table(columns=columns, rows=rows),
        empty="" if found.segments else "No predictions in this range.",
        note=_note(found),
        code=f'house["{found.model}"].segments({found.column!r}, "{found.window}")',
    )


def table(found: SegmentTable, task: Task) -> markup.Html:
    """The worst segments, the metric with its band."""
    head = (found.column, _METRIC[task][1], "95 % band", "Rows", "Labels known")
    return markup.table(head, [_row(s, _METRIC[task][0]) for s in found.segments[:_SHOWN]], right=(1, 3, 4))


def _row(segment: SegmentRow, name: str) -> list[object]:
    metric = segment.metrics.get(name)
    value = markup.tag("span", segment.value, kind="ph-name" if segment.is_value else "ph-quiet")
    if metric is None or metric.value is None:
        said: list[object] = [formats.NOTHING, markup.tag("span", metric.reason if metric else "", kind="ph-quiet")]
    else:
        said = [formats.number(metric.value), formats.band(metric.low, metric.high)]
    return [value, *said, formats.count(segment.rows), formats.share(segment.coverage)]


def _answer(found: SegmentTable, task: Task) -> str:
    name, title = _METRIC[task]
    known = [s for s in found.segments if (metric := s.metrics.get(name)) is not None and metric.value is not None]
    if len(known) < 2:
        return "Too few labels to compare segments yet."
    worst, best = known[0], known[-1]
    values = (formats.number(worst.metrics[name].value), formats.number(best.metrics[name].value))
    return f"{title} is worst for {worst.value} ({values[0]}) and best for {best.value} ({values[1]})."


def _note(found: SegmentTable) -> str:
    more = f"The {_SHOWN} worst of {len(found.segments)}; the menu has all. " if len(found.segments) > _SHOWN else ""
    read = "" if found.watched else "Read row by row; watch the column to have it counted as rows arrive."
    return more + read

"""Estimates of buckets whose labels are still arriving, beside what has come true: a dashed line of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Cell, Panel, Table
from pilothouse.app.panels import axes, charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.scoreboard import Ahead
from pilothouse.data.windows import Window

NAME = "estimated without labels"
_PARTS = ("value", "low", "high")
_NONE = "No estimate is drawn where labels are still arriving: {reason}."
_UNTRUSTED = "No estimate is drawn where labels are still arriving, since it could not be relied on: {reason}."
_UNPROVEN = "Whether estimates without labels hold is not known yet: {reason}."
_NO_LABELS = "No labels yet; the newest {every} is estimated at {value}."

Told = tuple[Window, int, Metric]
"""A bucket, its rows, and what is to be expected of them."""


def with_estimates(panel: Panel, found: Ahead, metric: str, view: charts.View) -> Panel:
    """`panel`, the course of a metric, with what is to be expected of the buckets whose labels are still arriving.

    Where estimates have not held, none is drawn, and the note says why.
    """
    told = [(line.window, line.rows, line.estimated[metric]) for line in found.lines if metric in line.estimated]
    told = [each for each in told if each[2].value is not None]
    if not told:
        return _noted(panel, "" if found.lines or not found.reason else _NONE.format(reason=found.reason))
    if found.trusted is False:
        return _noted(panel, _UNTRUSTED.format(reason=found.reason))
    unproven = "" if found.trusted else _UNPROVEN.format(reason=found.reason)
    newest = _NO_LABELS.format(every=view.every, value=words.value(metric, told[-1][2].value))
    answer = panel.answer or ("" if panel.spec else newest)
    return replace(
        panel,
        empty="",
        spec=_drawn(panel.spec or _bare(view, metric, told), told, metric, view),
        rows=_with_columns(panel.rows, told, metric),
        note=_noted(panel, unproven).note,
        answer=answer,
        alt=f"{panel.alt or f'{panel.title} of {view.model}. {answer}'} Newest buckets: {NAME}, dashed.",
        code=f'{panel.code}\nhouse["{view.model}"].estimate_ahead("{view.within}", "1{view.every[0]}")',
    )


def _noted(panel: Panel, words: str) -> Panel:
    return replace(panel, note=f"{panel.note} {words}".strip())


def _bare(view: charts.View, metric: str, told: Sequence[Told]) -> dict[str, Any]:
    return charts.timed([], view, yaxis=axes.of_metric(metric, [found.value for _, _, found in told]))


def _drawn(spec: dict[str, Any], told: Sequence[Told], metric: str, view: charts.View) -> dict[str, Any]:
    """The band goes below what is there, the line on top; an axis of fixed ends makes room for both."""
    x, found = [view.middle(window) for window, _, _ in told], [each for _, _, each in told]
    around = charts.band(x, [m.low for m in found], [m.high for m in found], Colour.CURRENT, NAME)
    layout = spec["layout"]
    if ends := layout["yaxis"].get("range"):
        low, high = axes.around(found)
        layout = layout | {"yaxis": layout["yaxis"] | {"range": [min(ends[0], low), max(ends[1], high)]}}
    return {
        "data": [around | {"showlegend": False}, *spec["data"], _dashed(x, told, metric)],
        "layout": layout,
    }


def _dashed(x: list[str], told: Sequence[Told], metric: str) -> charts.Trace:
    values = [found.value for _, _, found in told]
    style: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 6, "symbol": "circle-open"}}
    style["text"] = [
        f"{words.value(metric, found.value)} ({words.band(metric, found)}), {formats.count(rows)} rows"
        for _, rows, found in told
    ]
    if len(told) == 1:
        # The band of a single bucket has no width to be seen.
        style["error_y"] = _whiskers(told[0][2])
    drawn = charts.line(x, values, NAME, Colour.CURRENT, line={"dash": "dash"}, **style)
    return drawn | {"hovertemplate": f"%{{text}}<extra>{NAME}</extra>"}


def _whiskers(found: Metric) -> dict[str, Any]:
    value = found.value or 0.0
    up, down = ((found.high or value) - value, value - (found.low or 0.0))
    return {
        "type": "data", "symmetric": False, "array": [up], "arrayminus": [down], "thickness": 1.5, "width": 4,
        "color": Colour.CURRENT,
    }  # fmt: skip


def _with_columns(rows: Table, told: Sequence[Told], metric: str) -> Table:
    """The rows behind the panel, the estimate in columns of its own."""
    start = rows.columns.index("start")
    found: dict[Cell, Metric] = {window.start: each for window, _, each in told}
    columns = (*rows.columns, *(f"estimated_{metric}_{part}" for part in _PARTS))
    return Table(columns=columns, rows=tuple((*row, *_parts(found.get(row[start]))) for row in rows.rows))


def _parts(found: Metric | None) -> tuple[Cell, ...]:
    return tuple(getattr(found, part, None) for part in _PARTS)

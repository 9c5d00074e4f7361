"""How much is asked of a model, and how fast it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo

from pilothouse.app import formats, markup, objective_words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import TrafficPoint
from pilothouse.ops.objectives import Standing

_BAR = 0.85
"""Share of a bucket that its bar fills."""


def _rows(points: Sequence[TrafficPoint]) -> Table:
    columns = ("start", "end", "version", "rows", "errors", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms")
    rows = tuple(
        (
            p.window.start,
            p.window.end,
            p.version,
            p.rows,
            p.errors,
            p.p50_latency_ms,
            p.p95_latency_ms,
            p.p99_latency_ms,
        )
        for p in points
    )
    return Table(columns=columns, rows=rows)


def _shade(place: int, versions: int) -> str:
    """The newest version in the calm blue, those before it in grey."""
    return Colour.VOLUME if place == versions - 1 else Colour.REFERENCE


def volume(points: Sequence[TrafficPoint], view: charts.View) -> Panel:
    """Predictions in each bucket, stacked by the version that made them."""
    title = f"Predictions by {view.every}"
    panel = _panel("traffic", title, points, view)
    rows, errors = sum(p.rows for p in points), sum(p.errors for p in points)
    if not rows:
        way_out = f"They come from POST /models/{view.model}/predict; choose a longer range to see older ones."
        return replace(panel, empty=f"No predictions in this range. {way_out}")
    versions = sorted({p.version for p in points})
    traces = [_bars(points, version, _shade(place, len(versions)), view) for place, version in enumerate(versions)]
    axis = charts.value_axis(tickformat="~s", rangemode="tozero")
    spec = charts.timed(traces, view, barmode="stack", yaxis=axis)
    answer = f"{formats.count(rows)} predictions, {formats.count(errors)} errors."
    return replace(panel, answer=answer, spec=spec, alt=f"{title}, {view.model}. {answer}")


def _panel(name: str, title: str, points: Sequence[TrafficPoint], view: charts.View) -> Panel:
    return Panel(name=f"{view.model}-{name}", title=title, rows=_rows(points), code=view.code("traffic"))


def _bars(points: Sequence[TrafficPoint], version: int, colour: str, view: charts.View) -> charts.Trace:
    mine = [p for p in points if p.version == version]
    # Left to itself, Plotly makes a bar that has no neighbour a hair's breadth wide.
    widths = [p.window.length.total_seconds() * 1000 * _BAR for p in mine]
    bars = {"x": [view.middle(p.window) for p in mine], "y": [p.rows for p in mine], "width": widths}
    bars["name"] = f"version {version}"
    return {"type": "bar", "marker": {"color": colour}} | bars


def latency(points: Sequence[TrafficPoint], view: charts.View) -> Panel:
    """How long an answer took inside the service, in milliseconds, as the newest version with traffic had it."""
    panel = _panel("latency", "Latency, ms", points, view)
    timed = _newest_version([p for p in points if p.p95_latency_ms is not None])
    if not timed:
        words = "No row of this range says how long its answer took. Send `latency_us` with predictions made elsewhere."
        return replace(panel, empty=words)
    x = [view.middle(p.window) for p in timed]
    style = {"mode": "lines+markers" if len(timed) < 40 else "lines", "marker": {"size": 5}}
    measured = {
        Colour.P50: [p.p50_latency_ms for p in timed],
        Colour.P95: [p.p95_latency_ms for p in timed],
        Colour.P99: [p.p99_latency_ms for p in timed],
    }
    traces = [charts.line(x, values, str(colour)[3:], colour, **style) for colour, values in measured.items()]
    spec = charts.timed(traces, view, yaxis=charts.value_axis(rangemode="tozero", hoverformat=".1f"))
    answer = f"95 of 100 answers within {formats.milliseconds(timed[-1].p95_latency_ms)} in the newest {view.every}."
    return replace(panel, answer=answer, spec=spec, alt=f"Latency of {view.model}. {answer}")


def objective_table(standing: Standing, zone: tzinfo) -> markup.Html:
    """How a latency objective was kept, a line a span."""
    head = [name.capitalize() for name in objective_words.HEAD]
    return markup.table(head, objective_words.lines(standing, zone), right=(1, 2, 3))


def _newest_version(points: Sequence[TrafficPoint]) -> list[TrafficPoint]:
    """One point a bucket: that of the highest version in it."""
    newest: dict[object, TrafficPoint] = {}
    for point in points:
        held = newest.get(point.window.start)
        if held is None or point.version > held.version:
            newest[point.window.start] = point
    return [newest[start] for start in sorted(newest, key=str)]

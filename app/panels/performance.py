"""Whether a model is right: its metrics over time, what it says against what happens, how much of that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Cell, Panel, Table
from pilothouse.app.panels import axes, charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric, TrendPoint

_NO_LABELS = (
    "No labels yet in this range. They are sent to /models/{model}/feedback by prediction id or business key, "
    "and stand here as soon as the worker has folded them."
)


def _best(metric: str) -> Callable[..., Any]:
    """Which of several values is the best one."""
    return max if metric in words.WORDS and words.WORDS[metric].better == "higher" else min


def _metric(point: TrendPoint, name: str) -> Metric:
    return point.metrics.get(name) or Metric(value=None, reason="not measured")


def _rows(points: Sequence[TrendPoint]) -> Table:
    names = sorted({name for p in points for name in p.metrics})
    columns = ("start", "end", "version", "rows", "labelled", "coverage", "mature", *names)
    return Table(columns=columns, rows=tuple((*_counts(p), *(_metric(p, n).value for n in names)) for p in points))


def _counts(p: TrendPoint) -> tuple[Cell, ...]:
    return p.window.start, p.window.end, p.version, p.rows, p.labelled, p.coverage, p.mature


def _split(
    points: Sequence[TrendPoint], values: Sequence[float | None]
) -> tuple[list[float | None], list[float | None]]:
    """Values of mature buckets, and of immature ones; these begin at the last mature one, so that the line holds."""
    mature = [v if p.mature else None for p, v in zip(points, values, strict=True)]
    young: list[float | None] = [None if p.mature else v for p, v in zip(points, values, strict=True)]
    for place in range(1, len(points)):
        if not points[place].mature and points[place - 1].mature:
            young[place - 1] = values[place - 1]
    return mature, young


def _one_line(points: Sequence[TrendPoint], metric: str, view: charts.View) -> list[charts.Trace]:
    x, found = [view.middle(p.window) for p in points], [_metric(p, metric) for p in points]
    mature, young = _split(points, [m.value for m in found])
    name = words.title(metric)
    lines = [charts.line(x, mature, name, Colour.CURRENT, mode="lines+markers", marker={"size": 5})]
    if any(v is not None for v in young):
        dotted = {"dash": "dot"}
        lines.append(charts.line(x, young, "still arriving", Colour.REFERENCE, line=dotted))
    return [charts.band(x, [m.low for m in found], [m.high for m in found], Colour.CURRENT, "95 % band"), *lines]


def _line_a_version(points: Sequence[TrendPoint], metric: str, view: charts.View) -> list[charts.Trace]:
    versions = sorted({p.version for p in points if p.version is not None})
    colours = ([Colour.REFERENCE] * len(versions) + [Colour.MUTED, Colour.CURRENT])[-len(versions) :]
    lines = []
    for version, colour in zip(versions, colours, strict=True):
        mine = [p for p in points if p.version == version]
        x, found = [view.middle(p.window) for p in mine], [_metric(p, metric) for p in mine]
        lines.append(
            charts.band(x, [m.low for m in found], [m.high for m in found], colour, "band") | {"showlegend": False}
        )
        style: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 6}}
        lines.append(charts.line(x, [m.value for m in found], f"version {version}", colour, **style))
    return lines


def _long_line(
    points: Sequence[TrendPoint], stretches: Sequence[TrendPoint], metric: str, view: charts.View
) -> charts.Trace:
    # Each span stands at the bucket that it ends with, so that both lines share their places and one hover.
    place = {p.window.end: view.middle(p.window) for p in points}
    found = [(place[s.window.end], _metric(s, metric).value) for s in stretches if s.window.end in place]
    name = f"{stretches[0].window.length.days} days up to then"
    return charts.line([x for x, _ in found], [y for _, y in found], name, Colour.INK, line={"width": 3})


def _long_answer(stretches: Sequence[TrendPoint], metric: str, view: charts.View) -> str:
    known = [(s.window, value) for s in stretches if (value := _metric(s, metric).value) is not None]
    if not known:
        return ""
    best = _best(metric)(known, key=lambda pair: pair[1])
    (window, value), days = best, known[-1][0].length.days
    now = f"{words.value(metric, known[-1][1])} over the newest {days} days in view"
    return f"{now}; {words.value(metric, value)} over the best {days}, {formats.span(window, view.zone)}."


def _trend_answer(points: Sequence[TrendPoint], metric: str, every: str) -> str:
    known = [(p, m.value) for p in points if (m := _metric(p, metric)).value is not None]
    if len(known) < 2:
        return ""
    (newest, last), best = known[-1], _best(metric)(_usual(known), key=lambda pair: pair[1])
    waiting = "" if newest.mature else ", some labels still to come"
    said = f"{words.value(metric, last)} in the newest {every}{waiting}"
    if metric in words.WORDS and not words.WORDS[metric].better:
        return f"{said}."
    return f"{said}; {words.value(metric, best[1])} in the best {every} in view."


def _usual(known: Sequence[tuple[TrendPoint, float]]) -> list[tuple[TrendPoint, float]]:
    """Without buckets of so few labels that chance alone would make one of them the best."""
    usual = sorted(p.labelled for p, _ in known)[len(known) // 2]
    return [(p, value) for p, value in known if not axes.is_thin(p.labelled, usual)]


def metric_trend(
    points: Sequence[TrendPoint], metric: str, view: charts.View, stretches: Sequence[TrendPoint] = ()
) -> Panel:
    """One metric over time with its 95 % band; buckets whose labels are still arriving are grey.

    points : buckets in order, of all versions together or of several. stretches : longer spans, each up to the end of a
    bucket, that show where the metric goes beneath what a single bucket happens to hold.
    """
    title = f"{words.title(metric)} by {view.every}"
    panel = _panel(f"{metric}-trend", title, points, view)
    values = [_metric(p, metric).value for p in points]
    if all(value is None for value in values):
        return replace(panel, empty=_why_none(points, metric, view.model))
    apart = any(p.version is not None for p in points)
    traces = (_line_a_version if apart else _one_line)(points, metric, view)
    if len(stretches) > 1:
        traces.append(_long_line(points, stretches, metric, view))
    spec = charts.timed(traces, view, yaxis=axes.of_metric(metric, values) | _cut(metric, points))
    answer = _long_answer(stretches, metric, view) if len(stretches) > 1 else ""
    answer = answer or ("" if apart else _trend_answer(points, metric, view.every))
    alt = f"{title} of {view.model}. {answer}"
    return replace(panel, answer=answer, spec=spec, alt=alt, note=_note(points, metric, view))


def _note(points: Sequence[TrendPoint], metric: str, view: charts.View) -> str:
    banded = any(_metric(p, metric).low is not None for p in points)
    band = f"The band of a single {view.every} takes each row by itself." if banded else ""
    cut = f"A {view.every} of far fewer labels than usual is cut at the edge." if axes.reach(points, metric) else ""
    return f"{band} {cut}".strip()


def _why_none(points: Sequence[TrendPoint], metric: str, model: str) -> str:
    """Why no bucket has a value: nothing is labelled, or what labels alone do not give."""
    labelled = [p for p in points if p.labelled]
    reason = _metric(labelled[-1], metric).reason if labelled else ""
    return f"It cannot be said in any bucket: {reason}." if reason else _NO_LABELS.format(model=model)


def _cut(metric: str, points: Sequence[TrendPoint]) -> dict[str, Any]:
    """Ends of the axis, where a bucket of few labels would stretch it; its band is then cut at the edge."""
    ends = axes.reach(points, metric)
    return {"range": list(ends)} if ends else {}


def beside(
    points: Sequence[TrendPoint], together: Sequence[TrendPoint], view: charts.View, main: str
) -> tuple[Panel, Panel]:
    """What stands beside the course of the main metric. together : the points of all versions together."""
    more = [metric_trend(points, name, view) for name in words.BESIDE[main]]
    first, second = more if len(more) > 1 else (*more, said_and_happened(together, view))
    return first, second


def main_of(points: Sequence[TrendPoint]) -> str:
    """The metric by which the model of `points` is judged first."""
    return words.main_of(points[-1].metrics if points else {})


def _panel(name: str, title: str, points: Sequence[TrendPoint], view: charts.View) -> Panel:
    apart = any(p.version is not None for p in points)
    code = view.code("performance_trend", "by_version=True" if apart else "")
    return Panel(name=f"{view.model}-{name}", title=title, rows=_rows(points), code=code)


def said_and_happened(points: Sequence[TrendPoint], view: charts.View) -> Panel:
    """Calibration in the large: the mean score against the share that came true, bucket by bucket."""
    title = "What it says against what happens"
    panel = _panel("calibration", title, points, view)
    said = [_metric(p, "mean_score").value for p in points]
    happened = [_metric(p, "positive_rate").value for p in points]
    if all(v is None for v in happened):
        return replace(panel, empty=_NO_LABELS.format(model=view.model))
    x = [view.middle(p.window) for p in points]
    traces = [
        charts.line(x, happened, "came true", Colour.TRUTH),
        charts.line(x, said, "mean score", Colour.CURRENT, line={"dash": "dash"}),
    ]
    spec = charts.timed(traces, view, yaxis=_share_axis(rangemode="tozero"))
    answer = _gap(points, view.every)
    return replace(panel, answer=answer, spec=spec, alt=f"{title} for {view.model}. {answer}")


def _share_axis(**given: object) -> dict[str, Any]:
    return charts.value_axis(tickformat=".0%", hoverformat=".1%", **given)


def _gap(points: Sequence[TrendPoint], every: str) -> str:
    for p in reversed(points):
        said, happened = _metric(p, "mean_score").value, _metric(p, "positive_rate").value
        if p.mature and said is not None and happened is not None:
            return f"In the newest {every} with all labels it said {formats.share(said)}; {formats.share(happened)} came true."
    return ""


def coverage(points: Sequence[TrendPoint], view: charts.View) -> Panel:
    """Share of rows whose label is known. Every metric speaks for these rows only."""
    panel = _panel("coverage", "Label coverage", points, view)
    rows, labelled = sum(p.rows for p in points), sum(p.labelled for p in points)
    if not rows:
        return replace(panel, empty="No predictions in this range. Choose a longer one.")
    x = [view.middle(p.window) for p in points]
    mature, young = _split(points, [p.coverage for p in points])
    traces = [charts.line(x, mature, "labelled share", Colour.TRUTH)]
    if any(v is not None for v in young):
        traces.append(charts.line(x, young, "still arriving", Colour.REFERENCE, line={"dash": "dot"}))
    spec = charts.timed(traces, view, yaxis=_share_axis(range=[0, 1.04]))
    answer = f"{formats.share(labelled / rows)} of {formats.count(rows)} rows in view have a label."
    return replace(panel, answer=answer, spec=spec, alt=f"Label coverage of {view.model}. {answer}")

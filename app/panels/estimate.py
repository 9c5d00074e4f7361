"""Performance before its labels, beside what came true."""

from __future__ import annotations

from dataclasses import replace

from pilothouse.app import formats, markup, metric_words
from pilothouse.app.panel import Cell, Panel, Table
from pilothouse.app.panels import axes, charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric, State
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import JUDGED, Scoreboard, ScoreLine, Standing, Track

_STATES = {Standing.HOLDS: State.HEALTHY, Standing.SUSPECTED: State.WATCH, Standing.TOO_FEW: State.NO_DATA}
_HEAD = (
    "Metric",
    "Realized minus estimated",
    "Mean distance",
    "Within the band",
    "Width of the band",
    "Weeks",
    "Verdict",
)
_PARTS = ("value", "low", "high")


def sentence(found: Estimate) -> str:
    """What is to be expected of the range, and whether to rely on it."""
    name = next((n for n in JUDGED if n in found.metrics and found.metrics[n].value is not None), None)
    if name is None:
        return f"Nothing can be estimated: {found.reason}."
    metric = found.metrics[name]
    band = "" if metric.low is None else f" (95 % band {metric_words.band(name, metric)})"
    value = f"{metric_words.value(name, metric.value)}{band}"
    said = f"{metric_words.title(name)} is estimated at {value} from {formats.count(found.rows)} answers, without their labels."
    if found.trusted is None:
        return f"{said} Whether such estimates hold is not known yet: {found.reason}."
    return said if found.trusted else f"{said} Do not rely on it: {found.reason}."


def metrics_table(found: Estimate) -> markup.Html:
    """Every estimated metric with its band, or the reason for its absence."""
    return markup.table(
        ("Metric", "Estimate", "95 % band"), [_metric(n, m) for n, m in found.metrics.items()], right=(1,)
    )


def _metric(name: str, metric: Metric) -> list[object]:
    return [metric_words.title(name), metric_words.value(name, metric.value), metric_words.band(name, metric)]


def names(board: Scoreboard) -> list[str]:
    """Metrics to choose from, those that decide first."""
    return [n for n in JUDGED if n in board.tracks] + [n for n in board.tracks if n not in JUDGED]


def over_time(board: Scoreboard, name: str, view: charts.View) -> Panel:
    """One metric by week: estimated dashed, with its band, and realized solid where the labels have come."""
    title = f"{metric_words.title(name)}, estimated and realized"
    columns = ("start", "end", "rows", "labelled", "mature", *(f"estimated_{p}" for p in _PARTS), "realized")
    panel = Panel(
        name=f"{board.model}-estimated-{name}",
        title=title,
        rows=Table(columns=columns, rows=tuple(_row(line, name) for line in board.lines)),
        code=f'house["{board.model}"].scoreboard("{board.window}")',
    )
    lines = [line for line in board.lines if name in line.estimated]
    if not lines:
        return replace(panel, empty=f"No week has enough answers to estimate from. {board.reason.capitalize()}.")
    x, told = [view.middle(line.window) for line in lines], [line.estimated[name] for line in lines]
    came = [line.realized[name].value if name in line.realized else None for line in lines]
    traces = [
        charts.band(x, [m.low for m in told], [m.high for m in told], Colour.CURRENT, "95 % band of the estimate"),
        charts.line(x, [m.value for m in told], "estimated", Colour.CURRENT, line={"dash": "dash"}),
        charts.line(x, came, "realized", Colour.TRUTH, mode="lines+markers", marker={"size": 5}),
    ]
    spec = charts.timed(traces, view, yaxis=axes.of_metric(name, [m.value for m in told]))
    answer = _answer(board.tracks[name])
    return replace(panel, answer=answer, spec=spec, alt=f"{title} of {board.model}. {answer}")


def _row(line: ScoreLine, name: str) -> tuple[Cell, ...]:
    told, came = line.estimated.get(name), line.realized.get(name)
    counted = (line.window.start, line.window.end, line.rows, line.labelled, line.mature)
    return (*counted, *(getattr(told, part, None) for part in _PARTS), came.value if came else None)


def _answer(track: Track) -> str:
    if track.coverage is None:
        return "No week has all its labels yet, so the estimates stand alone."
    inside = round(track.coverage * track.buckets)
    return f"In {inside} of {track.buckets} weeks the realized value lay within the band of the estimate."


def scoreboard(board: Scoreboard) -> Panel:
    """How good the estimates were."""
    columns = ("metric", "buckets", "bias", "error", "coverage", "mean_width", "standing")
    rows = tuple(
        (name, t.buckets, t.bias, t.error, t.coverage, t.mean_width, str(t.standing))
        for name, t in board.tracks.items()
    )
    return Panel(
        name=f"{board.model}-scoreboard",
        title="Scoreboard",
        answer=f"{str(board.standing).capitalize()}: {board.reason}.",
        state=_STATES[board.standing],
        rows=Table(columns=columns, rows=rows),
        empty="" if board.tracks else f"Nothing to compare yet: {board.reason}.",
        note="Of the labelled rows of each week whose labels have all had time to come. A good band holds 95 % of the weeks.",
        code=f'house["{board.model}"].scoreboard("{board.window}")',
    )


def scoreboard_table(board: Scoreboard) -> markup.Html:
    return markup.table(_HEAD, [_track(name, board.tracks[name]) for name in names(board)], right=(1, 2, 3, 4, 5))


def _track(name: str, track: Track) -> list[object]:
    return [
        metric_words.title(name), metric_words.change(name, track.bias), _size(name, track.error),
        formats.share(track.coverage, 0), _size(name, track.mean_width), track.buckets, str(track.standing),
    ]  # fmt: skip


def _size(name: str, difference: float | None) -> str:
    """How large a difference is, whichever way it goes."""
    return metric_words.change(name, difference).lstrip("+")

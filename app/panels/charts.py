"""What every figure shares: its frame, its time axis, the events on it. Figures are one dict, colours by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any

from pilothouse.app.markup import in_figure
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Event, EventKind
from pilothouse.data.windows import Window

Trace = dict[str, Any]

HEIGHT = 260
STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
"""Buckets of charts over time, by the word that people use."""
_NAMED_EVENTS = 5
_EDGE = 0.3
_NAME_HEIGHT = 18
"""Pixels that the names of events take above a figure."""
_FEW_DAYS = 8
_NAME_WIDTH = 0.15
"""Share of a figure's width that the name of an event may take."""
_SYMBOL = {EventKind.PROMOTE: "▲", EventKind.ROLLBACK: "↶"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the figures of one page share.

    within : the span drawn. every : the bucket, a word of STEPS. events : what happened to the model.
    focus : the time range that the page speaks of, softly marked where a longer span is drawn.
    """

    model: str
    within: Window
    zone: tzinfo
    every: str = "week"
    events: tuple[Event, ...] = ()
    focus: Window | None = None

    def code(self, question: str, more: str = "") -> str:
        """Python that asks the same. more : further arguments, as they are typed."""
        handle, every = f'house["{self.model}"]', f"timedelta({self.every}s=1){', ' if more else ''}{more}"
        return f'{handle}.history.{question}({handle}.window("{self.within}"), {every})'

    def middle(self, bucket: Window) -> str:
        return local(bucket.start + bucket.length / 2, self.zone)


def local(time: datetime, zone: tzinfo) -> str:
    """Wall-clock time in ISO 8601, without a zone: Plotly has none, so times are converted before they are drawn."""
    return time.astimezone(zone).replace(tzinfo=None).isoformat()


def axis(**given: object) -> dict[str, Any]:
    quiet: dict[str, Any] = {"zeroline": False, "fixedrange": True, "automargin": True}
    quiet["tickfont"] = {"color": Colour.MUTED, "size": 11}
    return quiet | given


def value_axis(**given: object) -> dict[str, Any]:
    return axis(showgrid=True, gridcolor=Colour.GRID, nticks=6, **given)


def effect_axis(title: str) -> dict[str, Any]:
    """The axis under sideways bars that begin at 0: how much more, or less. title : of what, in which unit."""
    named = {"text": in_figure(title), "font": {"size": 11, "color": Colour.MUTED}}
    return axis(
        showgrid=True, gridcolor=Colour.GRID, zeroline=True, zerolinecolor=Colour.MUTED, tickformat=",~f", title=named
    )


def frame(*, height: int = HEIGHT, **given: Any) -> dict[str, Any]:
    """The layout all figures start from: legend on top left, one hover line, no title inside."""
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 30, "b": 8},
        "hovermode": "x unified",
        "hoverlabel": {"font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": Colour.MUTED, "activecolor": Colour.CURRENT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12, "color": Colour.MUTED},
        "xaxis": axis(showgrid=False),
        "yaxis": value_axis(),
    }
    return layout | given


def timed(traces: list[Trace], view: View, *, shapes: Sequence[Trace] = (), **given: Any) -> dict[str, Any]:
    """A figure over time: x is wall-clock time, events are dotted lines, a sideways drag selects."""
    shown = sorted((e for e in view.events if e.at in view.within), key=lambda e: e.at)
    span = [local(view.within.start, view.zone), local(view.within.end, view.zone)]
    dates = {"type": "date", "range": span, "tickformat": "%-d %b", "nticks": 9, "hoverformat": "%a %-d %b %H:%M"}
    focus = [_focus(view.focus, view.zone)] if view.focus else []
    dates |= _days_apart(view.within)
    named = _above(given.get("height", HEIGHT)) if shown else {}
    layout = frame(
        xaxis=axis(showgrid=False, **dates),
        yaxis9={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        dragmode="select",
        selectdirection="h",
        newselection={"line": {"color": Colour.CURRENT, "width": 1}},
        shapes=[*focus, *shapes, *(_line(event, view.zone) for event in shown)],
        annotations=[_name(bunch, view) for bunch in _bunches(shown, view.within)[-_NAMED_EVENTS:]],
    )
    return {"data": [*traces, *_handles(shown, view.zone)], "layout": layout | named | given}


def _days_apart(within: Window) -> dict[str, Any]:
    """A mark a day where days are few: left to itself, Plotly writes the same day several times."""
    days = within.length / timedelta(days=1)
    return {"dtick": 86_400_000} if 2 <= days <= _FEW_DAYS else {"tickformat": "%H:%M\n%-d %b"} if days < 2 else {}


def _above(height: int) -> dict[str, Any]:
    """Room for the names of events between the legend and the figure, so that none stands over the data."""
    legend = frame()["legend"] | {"y": 1 + _NAME_HEIGHT / (height - 80)}
    return {"legend": legend, "margin": frame()["margin"] | {"t": 30 + _NAME_HEIGHT}}


def _focus(window: Window, zone: tzinfo) -> Trace:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
        "x0": local(window.start, zone), "x1": local(window.end, zone), "fillcolor": Colour.STABLE, "opacity": 0.6,
    }  # fmt: skip


def _line(event: Event, zone: tzinfo) -> Trace:
    at = local(event.at, zone)
    line = {"color": Colour.MUTED, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}


def _bunches(events: Sequence[Event], within: Window) -> list[list[Event]]:
    """Events in order, those together whose names would run into each other."""
    bunches: list[list[Event]] = []
    for event in events:
        if bunches and event.at - bunches[-1][-1].at < within.length * _NAME_WIDTH:
            bunches[-1].append(event)
        else:
            bunches.append([event])
    return bunches


def _name(bunch: Sequence[Event], view: View) -> Trace:
    """The newest event's name, and how many more stand close to it."""
    event = bunch[-1]
    # Near the right edge a name would be cut off, so it stands to the left of its line there.
    late = event.at > view.within.end - view.within.length * _EDGE
    more = f" (+{len(bunch) - 1})" if len(bunch) > 1 else ""
    text = f"{_SYMBOL.get(event.kind, '·')} {in_figure(event.title)}{more}"
    side = {"xanchor": "right", "xshift": -3} if late else {"xanchor": "left", "xshift": 3}
    return side | {
        "x": local(event.at, view.zone), "y": 1, "xref": "x", "yref": "paper", "text": text, "showarrow": False,
        "yanchor": "bottom", "font": {"size": 11, "color": Colour.MUTED},
    }  # fmt: skip


def _handles(events: Sequence[Event], zone: tzinfo) -> list[Trace]:
    """Unseen marks on the event lines: they carry the words for the pointer, and the audit row for a click."""
    if not events:
        return []
    words = [in_figure(f"{e.title} · {e.actor}{' · ' + e.detail if e.detail else ''}") for e in events]
    return [
        {
            "type": "scatter", "mode": "markers", "x": [local(e.at, zone) for e in events], "y": [0.97] * len(events),
            "yaxis": "y9", "marker": {"size": 14, "opacity": 0, "color": Colour.MUTED}, "text": words,
            "customdata": [["event", e.audit_seq] for e in events], "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False, "name": "events",
        }
    ]  # fmt: skip


def line(x: list[str], y: Sequence[float | None], name: str, colour: str, **given: Any) -> Trace:
    drawn: Trace = {"type": "scatter", "mode": "lines", "x": x, "y": list(y), "name": in_figure(name)}
    if _stands_alone(y):
        # A line of one point is nothing to be seen.
        drawn |= {"mode": "lines+markers", "marker": {"size": 5}}
    drawn["line"] = {"color": colour, "width": 2} | given.pop("line", {})
    return drawn | given


def _stands_alone(values: Sequence[float | None]) -> bool:
    """Whether some value has no neighbour to be joined with."""
    around = [None, *values, None]
    return any(
        value is not None and before is None and after is None
        for before, value, after in zip(around, values, around[2:], strict=False)
    )


def band(x: list[str], low: Sequence[float | None], high: Sequence[float | None], colour: str, name: str) -> Trace:
    """A filled band, open where a bucket has none: a run of buckets goes up along `high` and back along `low`."""
    xs: list[str | None] = []
    ys: list[float | None] = []
    for known, run in groupby(zip(x, low, high, strict=True), key=lambda p: p[1] is not None and p[2] is not None):
        if not known:
            continue
        there = list(run)
        back = there[::-1]
        xs += [*(p[0] for p in there), *(p[0] for p in back), None]
        ys += [*(p[2] for p in there), *(p[1] for p in back), None]
    return {
        "type": "scatter", "mode": "lines", "x": xs[:-1], "y": ys[:-1], "fill": "toself", "fillcolor": colour,
        "opacity": 0.16, "line": {"width": 0}, "hoverinfo": "skip", "name": in_figure(name), "showlegend": bool(xs),
    }  # fmt: skip

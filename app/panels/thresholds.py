"""What other thresholds would have done, and what that is worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.measures.report import Point, Saving, Thresholds

_COLUMNS = ("threshold", "flagged", "precision", "recall", "fall_out", "f1", "missed", "cost")
_NO_LABELS = "No labels yet in this range, so no threshold can be judged."


def what_each_does(found: Thresholds) -> Panel:
    """Precision, recall and the share flagged, by threshold."""
    panel = Panel(name=f"{found.model}-thresholds", title="What each threshold does")
    if not found.points:
        return replace(panel, empty=_NO_LABELS)
    x = [p.threshold for p in found.points]
    traces = [
        _line(x, [p.precision for p in found.points], "precision", Colour.CURRENT),
        _line(x, [p.recall for p in found.points], "recall", Colour.TRUTH),
        _line(x, [p.flagged for p in found.points], "flagged", Colour.REFERENCE),
    ]
    said = _at(found.points, found.present)
    spec = {"data": traces, "layout": _layout("share", tickformat=".0%", marks=[(found.present, "in force")])}
    return replace(panel, answer=said, spec=spec, rows=_rows(found.points), alt=f"What each threshold does. {said}")


def cost(found: Thresholds) -> Panel:
    """What a thousand rows cost, by threshold; the best one and the present one are marked."""
    panel = Panel(name=f"{found.model}-cost", title="What each threshold costs")
    saving = found.saving
    if saving is None:
        reason = found.reason[:1].upper() + found.reason[1:]
        return replace(panel, empty=f"{reason}. No best threshold can be named.")
    x = [p.threshold for p in found.points]
    y = [None if p.cost is None else 1000 * p.cost for p in found.points]
    best = saving.threshold.value or 0.0
    marks = [(found.present, "in force"), (best, "best")]
    layout = _layout(f"{saving.costs.currency} a thousand rows", marks=marks)
    if saving.threshold.low is not None and saving.threshold.high is not None:
        layout["shapes"].append(_span(saving.threshold.low, saving.threshold.high))
    spec = {"data": [_line(x, y, "cost", Colour.CURRENT)], "layout": layout}
    said = saving_sentence(saving)
    off = words.money(saving.by_chance, saving.costs.currency)
    note = f"{off} are taken off already: so much the best of many thresholds gains by chance alone."
    return replace(panel, answer=said, spec=spec, rows=_rows(found.points), note=note if saving.by_chance > 0 else "",
        alt=f"What each threshold costs. {said}", code=f'house["{found.model}"].thresholds("{found.window}")',
    )  # fmt: skip


def saving_sentence(saving: Saving) -> str:
    """What the best threshold is, and what it would have saved."""
    best, currency = saving.threshold, saving.costs.currency
    where = f"The costs are least from a score of {formats.number(best.value, 2)} on"
    between = f" (95 % band {formats.band(best.low, best.high, 2)})" if best.low is not None else ""
    gain = saving.saving
    if gain.value is None or gain.value <= 0 or (gain.low is not None and gain.low <= 0):
        return f"{where}{between}, but against {saving.present:g} that saves no more than chance would."
    from_, to = (words.money(end, currency) for end in (gain.low, gain.high))
    band = f" (95 % band {from_} to {to})" if gain.low is not None else ""
    return (
        f"{where}{between}. Against {saving.present:g} that would have saved {words.money(gain.value, currency)}{band} "
        f"on {formats.count(saving.rows)} labelled rows."
    )


def elkan(saving: Saving) -> str:
    """What the costs alone ask for."""
    if saving.calibrated is None:
        return ""
    return f"Were the scores true probabilities, these costs would ask for {formats.number(saving.calibrated, 2)}."


def _at(points: tuple[Point, ...], threshold: float) -> str:
    here = min(points, key=lambda p: abs(p.threshold - threshold))
    return (
        f"In force: {threshold:g}. {formats.share(here.flagged)} of the rows are flagged; "
        f"among those let pass {formats.share(here.missed)} come true."
    )


def _rows(points: tuple[Point, ...]) -> Table:
    return Table(columns=_COLUMNS, rows=tuple(tuple(getattr(p, name) for name in _COLUMNS) for p in points))


def _line(x: list[float], y: list[float | None], name: str, colour: str) -> charts.Trace:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": {"color": colour, "width": 2}}


def _layout(y: str, *, marks: list[tuple[float, str]], tickformat: str = "") -> dict[str, Any]:
    font = {"size": 11, "color": Colour.MUTED}
    return charts.frame(
        height=300,
        xaxis=charts.axis(showgrid=False, range=[0, 1], title={"text": "threshold", "font": font}),
        yaxis=charts.value_axis(tickformat=tickformat, rangemode="tozero", title={"text": y, "font": font}),
        shapes=[
            {
                "type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
                "line": {"color": Colour.MUTED if name == "in force" else Colour.CRITICAL, "width": 1.5, "dash": "dot"},
            }
            for at, name in marks
        ],
        annotations=[
            {"x": at, "y": 1 - 0.09 * place, "yref": "paper", "text": name, "showarrow": False, "xanchor": "left",
             "xshift": 4, "yanchor": "top", "font": font}
            for place, (at, name) in enumerate(marks)
        ],
    )  # fmt: skip


def _span(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect", "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
        "line": {"width": 0}, "fillcolor": Colour.STABLE, "opacity": 0.8,
    }  # fmt: skip

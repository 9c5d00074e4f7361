"""Score bands, gains and vintages: what lenders read of a model."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo

from pilothouse.app import formats, markup
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.measures.report import Lending

_COLUMNS = ("low", "high", "rows", "positives", "rate", "rate_low", "rate_high", "mean_score", "lift", "gain")
_NO_LABELS = "No labels yet in this range, so the score cannot be parted into bands."
_LINES = (Colour.MUTED, Colour.P50, Colour.P95, Colour.P99, Colour.CHALLENGER, Colour.CURRENT)


def bands(found: Lending) -> Panel:
    """Bands of the score, the highest first."""
    rows = tuple(
        (b.low, b.high, b.rows, b.positives, b.rate.value, b.rate.low, b.rate.high, b.mean_score, b.lift, b.gain)
        for b in reversed(found.bands)
    )
    return Panel(
        name=f"{found.model}-score-bands",
        title="Bands of the score, the highest first",
        answer=_answer(found),
        rows=Table(columns=_COLUMNS, rows=rows),
        empty="" if found.bands else _NO_LABELS,
        code=f'house["{found.model}"].lending("{found.window}")',
    )


def _answer(found: Lending) -> str:
    ks, gini = found.metrics["ks"], found.metrics["gini"]
    if not found.bands or ks.value is None or gini.value is None:
        return ""
    top = found.bands[-1]
    lift = f" The highest band comes true {formats.number(top.lift, 1)} times as often as all rows." if top.lift else ""
    return f"Gini {formats.number(gini.value)}, KS {formats.number(ks.value)}.{lift}"


def table(found: Lending) -> markup.Html:
    """The bands with rate, lift and gain, the highest score first."""
    head = ("Score", "Rows", "Came true", "Rate", "95 % band", "Mean score", "Lift", "Found so far")
    rows = [
        [
            f"{formats.number(b.low)} to {formats.number(b.high)}", formats.count(b.rows), formats.count(b.positives),
            formats.share(b.rate.value), words.band("precision", b.rate), formats.share(b.mean_score),
            formats.number(b.lift, 2), formats.share(b.gain),
        ]
        for b in reversed(found.bands)
    ]  # fmt: skip
    return markup.table(head, rows, right=(1, 2, 3, 5, 6, 7))


def approval(found: Lending) -> Panel:
    """Share approved and how many of those come true, by cut-off: rows below it are approved."""
    panel = Panel(name=f"{found.model}-approval", title="Approving rows below a cut-off")
    points = [p for p in found.points if p.missed is not None]
    if not points:
        return replace(panel, empty=_NO_LABELS)
    x = [1 - p.flagged for p in points]
    traces = [
        {
            "type": "scatter", "mode": "lines", "x": x, "y": [p.missed for p in points], "name": "come true among the approved",
            "line": {"color": Colour.CURRENT, "width": 2}, "customdata": [p.threshold for p in points],
            "hovertemplate": "%{y:.1%} come true; cut-off %{customdata:.3f}<extra></extra>",
        }
    ]  # fmt: skip
    half = min(points, key=lambda p: abs(p.flagged - 0.5))
    said = (
        f"With half of the rows approved (cut-off {formats.number(half.threshold, 2)}), {formats.share(half.missed)} of them "
        f"come true."
    )
    axes = {
        "xaxis": charts.axis(showgrid=False, tickformat=".0%", title={"text": "share approved", "font": {"size": 11}}),
        "yaxis": charts.value_axis(
            tickformat=".0%", rangemode="tozero", title={"text": "come true among the approved", "font": {"size": 11}}
        ),
    }
    rows = tuple((p.threshold, 1 - p.flagged, p.missed) for p in points)
    return replace(panel, answer=said, spec={"data": traces, "layout": charts.frame(height=300, **axes)}, alt=f"Approval. {said}",
        rows=Table(columns=("cut_off", "approved", "come_true"), rows=rows),
    )  # fmt: skip


def vintages(found: Lending, zone: tzinfo) -> Panel:
    """Of the rows of each month, the share that had come true by each age."""
    panel = Panel(name=f"{found.model}-vintages", title="Vintages")
    shown = [v for v in found.vintages if any(s is not None for s in v.shares)]
    step = formats.duration(found.every)
    if not shown:
        return replace(panel, empty=f"No month of this range is older than {step} yet. Choose a longer range.")
    colours = _LINES[-len(shown) :] if len(shown) <= len(_LINES) else (_LINES[0],) * (len(shown) - len(_LINES)) + _LINES
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "x": list(range(1, len(v.shares) + 1)), "y": list(v.shares),
            "name": f"{v.window.start.astimezone(zone):%b %Y}", "line": {"color": colour, "width": 2}, "marker": {"size": 4},
        }
        for v, colour in zip(shown, colours, strict=True)
    ]  # fmt: skip
    newest = shown[-1]
    last = next(s for s in reversed(newest.shares) if s is not None)
    said = (
        f"Of the {formats.count(newest.rows)} rows from {newest.window.start.astimezone(zone):%B %Y}, {formats.share(last)} "
        f"have come true so far. A row without a label counts as not."
    )
    axes = {
        "xaxis": charts.axis(showgrid=False, title={"text": f"age, in steps of {step}", "font": {"size": 11}}),
        "yaxis": charts.value_axis(tickformat=".1%", rangemode="tozero"),
    }
    columns = ("from", "rows", "positives", *(f"by {n}" for n in range(1, len(shown[0].shares) + 1)))
    rows = tuple((v.window.start, v.rows, v.positives, *v.shares) for v in found.vintages)
    return replace(panel, answer=said, spec={"data": traces, "layout": charts.frame(height=320, **axes)}, alt=f"Vintages. {said}",
        rows=Table(columns=columns, rows=rows),
    )  # fmt: skip

"""What drift costs: the sentence, a bar for each feature with its band and one for what none of them explains, a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilothouse.app import formats, markup, metric_words
from pilothouse.app.markup import in_figure
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.app.together_words import of_impact
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.impact import FeatureImpact, Impact, Verdict

CORRELATED = (
    "Each effect is that of one feature alone, with whatever moves along with it in the reference: two features that "
    "move together both show what they share, so effects need not add up."
)
_BARS = 16
_LONGEST = 24
_REST = "not explained by single features"
_WORDS = {
    Verdict.COSTS: ("costs", "watch"),
    Verdict.GAINS: ("helps", "healthy"),
    Verdict.UNCLEAR: ("may be chance", "plain"),
    Verdict.UNSAID: ("cannot be said", "plain"),
}
_COLUMNS = (
    "feature", "effect", "low", "high", "verdict", "psi", "psi_rank", "effective_share", "unsupported", "rows", "note",
)  # fmt: skip


def panel(found: Impact, shown: int = _BARS) -> Panel:
    """The features by what they cost, and the remainder."""
    ranks = psi_ranks(found.features)
    rows = tuple(
        (f.name, f.effect.value, f.effect.low, f.effect.high, f.verdict.value, f.psi, ranks.get(f.name),
         f.effective_share, f.unsupported, f.rows, f.note)
        for f in found.features
    )  # fmt: skip
    rest, spec = found.remainder, None if found.reason else _figure(found, shown)
    last = (_REST, rest.value, rest.low, rest.high, None, None, None, None, None, found.labelled, rest.reason)
    return Panel(
        name=f"{found.model}-impact",
        title=f"What drift does to {_title(found)}, version {found.version}",
        answer=answer(found),
        spec=spec,
        rows=Table(columns=_COLUMNS, rows=(*rows, last) if rows else ()),
        empty="" if spec else f"It cannot be said: {found.reason or 'the table tells of each feature why'}.",
        note="" if found.reason else _note(found),
        alt=f"Effect of the drift of each feature of {found.model} on {_title(found)}. {answer(found)}",
        code=f'house["{found.model}"].impact("{found.window}", {found.metric!r}, version={found.version})',
    )


def answer(found: Impact) -> str:
    """What changed since the reference, what it is due to, and what is left."""
    if found.reason:
        return ""
    return " ".join(filter(None, (_changed(found), _causes(found), _left(found), _silent(found))))


def table(found: Impact, limit: int = 20, search: str = "") -> markup.Html:
    """The features, first what costs beyond chance."""
    head = ("Feature", "Effect", "95 % band", "", "PSI", "By PSI", "Support", "Beyond the reference", "Why")
    ranks, places = psi_ranks(found.features), decimals(found)
    chosen = [f for f in found.features if search.lower() in f.name.lower()][:limit]
    lines = [_line(f, ranks.get(f.name), places) for f in chosen]
    return markup.table(head, lines, right=(1, 4, 5, 6, 7))


def psi_ranks(features: Sequence[FeatureImpact]) -> dict[str, int]:
    """The place of each feature by PSI, the largest first; of those that have one."""
    known = sorted((f for f in features if f.psi is not None), key=lambda f: -(f.psi or 0.0))
    return {f.name: place for place, f in enumerate(known, start=1)}


def decimals(found: Impact) -> int:
    """How many decimals tell the metric: errors are in the target's unit, which may be large."""
    value = found.reference.value
    return 3 if value is None or abs(value) < 10 else 1


def _title(found: Impact) -> str:
    return metric_words.title(found.metric)


def _changed(found: Impact) -> str:
    places, before = decimals(found), formats.number(found.reference.value, decimals(found))
    if found.realized.value is None:
        return f"{_title(found)} is {before} on the reference; what it became is not known: {found.realized.reason}."
    now, change = formats.number(found.realized.value, places), found.change.value or 0.0
    word = "rose" if change > 0 else "fell"
    return (
        f"{_title(found)} {word} by {formats.number(abs(change), places)} since the reference, from {before} to {now}."
    )


def _causes(found: Impact) -> str:
    costly = [f for f in found.features if f.verdict is Verdict.COSTS]
    if not costly:
        return "No feature's drift costs more than chance would."
    named = [f"{f.name} {_effect(f.effect, decimals(found))}" for f in costly[:3]]
    more = f" and {len(costly) - 3} more" if len(costly) > 3 else ""
    return f"Drift that costs, beyond chance: {', '.join(named)}{more}."


def _effect(metric: Metric, places: int) -> str:
    return f"{formats.signed(metric.value, places)} ({formats.band(metric.low, metric.high, places)})"


def _left(found: Impact) -> str:
    rest = found.remainder
    if rest.value is None:
        return ""
    words = f"{_effect(rest, decimals(found))} of the change is not explained by single features"
    may_be_nothing = rest.low is not None and rest.high is not None and rest.low <= 0 <= rest.high
    return f"{words}, which may be chance." if may_be_nothing else f"{words}."


def _silent(found: Impact) -> str:
    beyond = [f.name for f in found.features if f.verdict is Verdict.UNSAID and (f.unsupported or 0) > 0]
    if not beyond:
        return ""
    named = f"{', '.join(beyond[:3])} and {len(beyond) - 3} more" if len(beyond) > 3 else " and ".join(beyond)
    return f"What the drift of {named} costs cannot be said: too few reference rows are like the rows of this range."


def _note(found: Impact) -> str:
    basis = (
        f"{formats.count(found.reference_rows)} labelled reference rows, weighted to lie as the "
        f"{formats.count(found.rows)} rows of this range do. Bands speak of both samples, {of_impact(found.summed)}."
    )
    waiting = "" if found.mature else " The newest labels of this range are still arriving."
    return f"{basis} {CORRELATED}{waiting} {found.unshown}".rstrip()


def _line(f: FeatureImpact, rank: int | None, places: int) -> list[object]:
    words, tone = _WORDS[f.verdict]
    return [
        markup.tag("span", f.name, kind="ph-name"),
        formats.signed(f.effect.value, places),
        formats.band(f.effect.low, f.effect.high, places),
        markup.badge(words, tone),
        formats.number(f.psi, 2),
        formats.NOTHING if rank is None else f"{rank}.",
        formats.share(f.effective_share, 0),
        formats.share(f.unsupported),
        markup.tag("span", f.note, kind="ph-quiet"),
    ]


def _figure(found: Impact, shown: int) -> dict[str, Any] | None:
    """None where no feature's effect can be said, nor what they leave."""
    said = [f for f in found.features if f.effect.value is not None][:shown]
    sure = [f for f in said if f.verdict is not Verdict.UNCLEAR]
    chance = [f for f in said if f.verdict is Verdict.UNCLEAR]
    traces = [
        _bars([(f.name, f.effect) for f in sure], "beyond chance", Colour.CURRENT),
        _bars([(f.name, f.effect) for f in chance], "may be chance", Colour.VOLUME),
    ]
    names = [in_figure(_short(f.name)) for f in said]
    if found.remainder.value is not None:
        traces.append(_bars([(_REST, found.remainder)], _REST, Colour.TRUTH))
        names.append(_REST)
    layout = charts.frame(
        height=90 + 26 * max(len(names), 2),
        hovermode="closest",
        dragmode=False,
        barmode="overlay",
        bargap=0.35,
        xaxis=charts.value_axis(tickformat="+.3~f", title={"text": f"change of {_title(found)}", "font": {"size": 11}}),
        yaxis=charts.axis(showgrid=False, categoryorder="array", categoryarray=names[::-1]),
        shapes=[_zero()],
    )
    drawn = [trace for trace in traces if trace["y"]]
    return {"data": drawn, "layout": layout} if drawn else None


def _bars(lines: Sequence[tuple[str, Metric]], name: str, colour: Colour) -> charts.Trace:
    values = [metric.value or 0.0 for _, metric in lines]
    halves = [0.0 if m.low is None or m.high is None else (m.high - m.low) / 2 for _, m in lines]
    band = {"type": "data", "array": halves, "color": Colour.MUTED, "thickness": 1.5, "width": 4}
    return {
        "type": "bar", "orientation": "h", "x": values, "y": [in_figure(_short(text)) for text, _ in lines],
        "name": name, "marker": {"color": colour}, "error_x": band,
        "hovertemplate": "%{y}: %{x:+.4f}<extra></extra>",
    }  # fmt: skip


def _zero() -> charts.Trace:
    line = {"color": Colour.MUTED, "width": 1}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": line}


def _short(name: str) -> str:
    return name if name == _REST or len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"

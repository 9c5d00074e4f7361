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
_COLUMN_WORDS = (
    "By PSI: its place when features are ranked by PSI. Support: how many of the reference rows the weighted ones are "
    "worth. Beyond the reference: rows with values that no reference row has."
)
_BARS = 16
_LONGEST = 32
_REST = "not explained by single features"
VERDICT_WORDS = {
    Verdict.COSTS: ("costs", "watch"),
    Verdict.GAINS: ("helps", "healthy"),
    Verdict.UNCLEAR: ("may be chance", "plain"),
    Verdict.UNSAID: ("cannot be said", "plain"),
}
_LINES = {False: ("beyond chance", Colour.CURRENT), True: ("may be chance", Colour.VOLUME)}
"""By whether it may be chance: what a bar of the figure is called, and its colour."""
_Line = tuple[str, Metric, tuple[str, Colour]]
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
        title=f"What drift does to {metric_words.in_sentence(found.metric)}, version {found.version}",
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
    ranks = psi_ranks(found.features)
    chosen = [f for f in found.features if search.lower() in f.name.lower()][:limit]
    lines = [_line(f, ranks.get(f.name), found) for f in chosen]
    return markup.table(head, lines, right=(1, 4, 5, 6, 7))


def psi_ranks(features: Sequence[FeatureImpact]) -> dict[str, int]:
    """The place of each feature by PSI, the largest first; of those that have one."""
    known = sorted((f for f in features if f.psi is not None), key=lambda f: -(f.psi or 0.0))
    return {f.name: place for place, f in enumerate(known, start=1)}


def effect_and_band(found: Impact, effect: Metric) -> tuple[str, str]:
    """A change of the metric and its 95 % band, as exact as the metric itself is written."""
    like = found.reference.value
    return metric_words.change(found.metric, effect.value, like), metric_words.change_band(found.metric, effect, like)


def _title(found: Impact) -> str:
    return metric_words.title(found.metric)


def _changed(found: Impact) -> str:
    before = metric_words.value(found.metric, found.reference.value)
    if found.realized.value is None:
        return f"{_title(found)} is {before} on the reference; what it became is not known: {found.realized.reason}."
    now, change = metric_words.value(found.metric, found.realized.value), found.change.value or 0.0
    size = metric_words.change(found.metric, abs(change), found.reference.value).lstrip("+")
    word, low, high = "rose" if change > 0 else "fell", found.change.low, found.change.high
    chance = ", which may be chance" if low is not None and high is not None and low <= 0 <= high else ""
    return f"{_title(found)} {word} by {size} since the reference, from {before} to {now}{chance}."


def _causes(found: Impact) -> str:
    costly = [f for f in found.features if f.verdict is Verdict.COSTS]
    if all(f.effect.value is None for f in found.features):
        return "What the drift of each feature costs cannot be said."
    if not costly:
        return "No feature's drift costs more than chance would."
    named = [f"{f.name} {_effect(found, f.effect)}" for f in costly[:3]]
    more = f" and {len(costly) - 3} more" if len(costly) > 3 else ""
    return f"Drift that costs, beyond chance: {', '.join(named)}{more}."


def _effect(found: Impact, effect: Metric) -> str:
    value, band = effect_and_band(found, effect)
    return f"{value} ({band})"


def _left(found: Impact) -> str:
    rest = found.remainder
    if rest.value is None:
        return ""
    words = f"{_effect(found, rest)} of the change is not explained by single features"
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
    return f"{basis} {CORRELATED} {_COLUMN_WORDS}{waiting} {found.unshown}".rstrip()


def _line(f: FeatureImpact, rank: int | None, found: Impact) -> list[object]:
    words, tone = VERDICT_WORDS[f.verdict]
    return [
        markup.name(f.name),
        *effect_and_band(found, f.effect),
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
    lines = [(f.name, f.effect, _LINES[f.verdict is Verdict.UNCLEAR]) for f in said]
    if found.remainder.value is not None:
        lines.append((_REST, found.remainder, (_REST, Colour.TRUTH)))
    if not lines:
        return None
    names, places = [in_figure(_short(name)) for name, _, _ in lines], list(range(len(lines)))
    unit = ", pp" if metric_words.is_share(found.metric) else ""
    title = {"text": f"change of {metric_words.in_sentence(found.metric)}{unit}", "font": {"size": 11}}
    layout = charts.frame(
        height=90 + 26 * max(len(names), 2),
        hovermode="closest",
        dragmode=False,
        barmode="overlay",
        bargap=0.35,
        xaxis=charts.value_axis(tickformat=",.3~f", title=title),
        yaxis=charts.axis(showgrid=False, tickvals=places, ticktext=names, range=[len(names) - 0.5, -0.5]),
        shapes=[_zero()],
    )
    kinds = dict.fromkeys(kind for _, _, kind in lines)
    return {"data": [_bars(lines, kind, found) for kind in kinds], "layout": layout}


def _bars(lines: Sequence[_Line], kind: tuple[str, Colour], found: Impact) -> charts.Trace:
    """The bars of one kind, each at its place among all `lines`."""
    mine = [(place, name, effect) for place, (name, effect, of) in enumerate(lines) if of == kind]
    scale = 100 if metric_words.is_share(found.metric) else 1
    halves = [0.0 if e.low is None or e.high is None else scale * (e.high - e.low) / 2 for _, _, e in mine]
    band = {"type": "data", "array": halves, "color": Colour.MUTED, "thickness": 1.5, "width": 4}
    return {
        "type": "bar", "orientation": "h", "x": [scale * (e.value or 0.0) for _, _, e in mine],
        "y": [place for place, _, _ in mine], "name": kind[0], "marker": {"color": kind[1]}, "error_x": band,
        "customdata": [in_figure(f"{name}: {_effect(found, e)}") for _, name, e in mine],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _zero() -> charts.Trace:
    line = {"color": Colour.MUTED, "width": 1}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": line}


def _short(name: str) -> str:
    return name if name == _REST else formats.short(name, _LONGEST)

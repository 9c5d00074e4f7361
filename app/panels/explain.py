"""One prediction explained: the sentence, what each feature contributed as bars, and each value beside the reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from pilothouse.app import formats, markup
from pilothouse.app.markup import in_figure
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.explanation import By, Explanation, FeatureLine, Place, Standing
from pilothouse.data.signature import Value

BARS = 12
_LONGEST = 28
_ODD = frozenset({Standing.BELOW, Standing.ABOVE, Standing.NEVER_SEEN})


def answer(found: Explanation) -> str:
    """What was said, and what moved it most, in one or two sentences."""
    said = f"Version {found.said.version} said {value_words(found.said.prediction)}"
    if found.total is None or found.base is None:
        return f"{said}. What each feature contributed cannot be said: {found.reason}."
    most = [f for f in found.features if f.contribution.value][:3]
    moved = ", ".join(f"{f.name} ({formats.change(f.contribution.value)})" for f in most)
    score = f"the {found.explained} is {formats.figure(found.total)}{_answered(found)}"
    score += f", on reference rows {formats.figure(found.base)} on average"
    return f"{said}: {score}. What moved it most: {moved}." if most else f"{said}: {score}. No feature moved it."


def _answered(found: Explanation) -> str:
    """The answer itself, where contributions are on another scale."""
    if found.explained == found.outcome or found.today is None:
        return ""
    return f" (the {found.outcome}: {formats.figure(found.today.score)})"


def facts(found: Explanation, zone: tzinfo) -> markup.Html:
    """When it was, who answered, who was live, what came true, and what today's champion says."""
    pairs = [("Prediction", found.id or "a row that was given, not logged")]
    if found.at is not None:
        live = f"v{found.live} was live" if found.live is not None else "no version was live"
        pairs.append(("Event", f"{formats.second(found.at, zone)}; {live}"))
        pairs.append(("Answered", f"v{found.said.version} as {found.role}, {formats.second(found.logged_at, zone)}"))
        label = "not known" if found.label is None else value_words(found.label)
        known = f", known {formats.second(found.observed_at, zone)}" if found.observed_at else ""
        pairs.append(("Label", label + known))
    pairs.append(("Today's champion", champion_words(found)))
    return markup.facts(pairs)


def champion_words(found: Explanation) -> str:
    """Whether today's champion decides otherwise on the same row."""
    now = found.champion
    if now is None:
        return "cannot be asked about this row"
    score = f", {found.outcome}: {formats.figure(now.score)}" if now.score is not None else ""
    if now.version == found.said.version:
        return f"the same version (v{now.version})"
    verb = "decides otherwise" if found.flips else "decides the same"
    return f"v{now.version} {verb}: {value_words(now.prediction)}{score}"


def panel(found: Explanation) -> Panel:
    """What each feature added to the average answer, largest first."""
    columns = ("feature", "value", "contribution", "low", "high", "standing", "percentile", "share")
    rows = tuple(
        (f.name, f.value, f.contribution.value, f.contribution.low, f.contribution.high, f.place.standing.value,
         f.place.percentile, f.place.share)
        for f in found.features
    )  # fmt: skip
    asked = f"id={found.id!r}" if found.id else "row={...}"
    asked += f", of_class={found.of_class!r}" if found.of_class not in (None, found.said.prediction) else ""
    asked += f', by="{found.by}"' if found.by is not By.OURS else ""
    note = f"{found.method}. {found.note}".strip() if found.method else ""
    return Panel(
        name=f"{found.model}-explanation",
        title=f"What moved the {found.explained}",
        answer=_sum_words(found),
        spec=None if found.reason else _bars(found),
        rows=Table(columns=columns, rows=rows),
        empty=f"What each feature contributed cannot be said: {found.reason}." if found.reason else "",
        note=note,
        alt=f"Contributions of features to one prediction of {found.model}. {answer(found)}",
        code=f'house["{found.model}"].explain({asked})',
    )


def _sum_words(found: Explanation) -> str:
    if found.base is None or found.total is None:
        return ""
    base, score = formats.figure(found.base), formats.figure(found.total)
    return f"From {base}, the average over {found.background} reference rows, to {score}: the bars add up to the difference."


def _bars(found: Explanation) -> dict[str, object]:
    shown, rest = found.features[:BARS], found.features[BARS:]
    names = [_bar_name(f) for f in shown] + ([f"{len(rest)} others"] if rest else [])
    values = [f.contribution.value or 0.0 for f in shown] + (
        [sum(f.contribution.value or 0.0 for f in rest)] if rest else []
    )
    halves = [(f.contribution.high or 0.0) - (f.contribution.value or 0.0) for f in shown] + ([0.0] if rest else [])
    places = list(range(len(names)))
    trace = {
        "type": "bar", "orientation": "h", "x": values, "y": places, "showlegend": False,
        "marker": {"color": [Colour.CURRENT] * len(shown) + [Colour.MUTED] * bool(rest)},
        "error_x": {"type": "data", "array": halves, "color": Colour.INK, "thickness": 1, "width": 3, "visible": any(halves)},
        "text": [formats.change(value) for value in values], "textposition": "none",
        "customdata": names, "hovertemplate": "%{customdata}: %{text}<extra></extra>",
    }  # fmt: skip
    layout = charts.frame(
        height=60 + 26 * len(names), hovermode="closest", dragmode=False, bargap=0.3,
        xaxis=charts.effect_axis("contribution"),
        yaxis=charts.axis(showgrid=False, tickvals=places, ticktext=names, range=[len(names) - 0.5, -0.5]),
    )  # fmt: skip
    return {"data": [trace], "layout": layout}


def _bar_name(line: FeatureLine) -> str:
    name = line.name if line.place.standing is Standing.HIDDEN else f"{line.name} = {value_words(line.value)}"
    return in_figure(formats.short(name, _LONGEST))


def table(features: Sequence[FeatureLine]) -> markup.Html:
    """Each value beside the reference, and what it contributed."""
    head = ("Feature", "Value", "Contribution", "95 % band", "Beside the reference")
    largest = max((abs(f.contribution.value or 0.0) for f in features), default=0.0)
    return markup.table(head, [_row(f, largest) for f in features], right=(2,))


def _row(line: FeatureLine, like: float) -> list[object]:
    part, words = line.contribution, place_words(line.place)
    beside = markup.badge(words, "watch") if line.place.standing in _ODD else markup.tag("span", words, kind="ph-quiet")
    name = markup.name(line.name)
    return [name, shown_value(line), formats.change(part.value, like), band_words(part, like), beside]


def shown_value(line: FeatureLine) -> str:
    """The value as people read it; dots for what is hidden."""
    return "•••" if line.place.standing is Standing.HIDDEN else value_words(line.value)


def band_words(part: Metric, like: float | None = None) -> str:
    """The band of a contribution, or that there is nothing to be unsure of. like : the value whose decimals it takes."""
    exact = part.low == part.high and part.value is not None
    return "exact" if exact else formats.edges(part.low, part.high, like)


def place_words(place: Place) -> str:
    """
    >>> place_words(Place(standing=Standing.WITHIN, percentile=0.93))
    'at percentile 93 of the reference'
    """
    match place.standing:
        case Standing.WITHIN if place.percentile is not None:
            edge = min(place.percentile, 1 - place.percentile) < 0.01
            return f"at percentile {formats.number(100 * place.percentile, 1 if edge else 0)} of the reference"
        case Standing.WITHIN | Standing.MISSING if place.share:
            missing = "missing, " if place.standing is Standing.MISSING else ""
            return f"{missing}as in {formats.share(place.share)} of the reference"
        case Standing.MISSING:
            return "missing, and never so in the reference"
        case Standing.HIDDEN:
            return "not shown, together"
    return str(place.standing.value)


def value_words(value: Value) -> str:
    """A value of a row; numbers to six figures."""
    if value is None:
        return "missing"
    return f"{value:.6g}".replace("-", formats.MINUS) if isinstance(value, float) else str(value)

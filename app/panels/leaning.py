"""What a model leans on, and whether that has changed: importance and attribution drift as bars and tables."""

from __future__ import annotations

from typing import Any

from pilothouse.app import formats, markup
from pilothouse.app import metric_words as words
from pilothouse.app.markup import in_figure
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.attribution import AttributionDrift
from pilothouse.data.measures.importance import Importance, Lean

SHOWN = 15
_LONGEST = 32


def importance_answer(found: Importance) -> str:
    """Which features the model cannot do without, in one sentence."""
    if found.reason:
        return f"It cannot be said: {found.reason}."
    sure = [each for each in found.features if (each.drop.low or 0.0) > 0]
    metric = words.in_sentence(found.metric)
    if not sure:
        return f"Shuffling no single feature makes the {metric} worse by more than chance would."
    named = ", ".join(f"{_name(each)} ({_size(found, each.drop.value)})" for each in sure[:3])
    most = f", most of all {named}" if len(sure) > 1 else f": {named}"
    which = f"{len(sure)} of {len(found.features)} features"
    return f"Shuffling {which}, one at a time, makes the {metric} worse{most}."


def importance_panel(found: Importance) -> Panel:
    """By how much the metric gets worse without each feature."""
    rows = tuple(
        (_name(each), len(each.names), each.drop.value, each.drop.low, each.drop.high)
        for each in (*found.features, *found.groups)
    )
    window = f'"{found.window}"' if found.window else "None"
    return Panel(
        name=f"{found.model}-importance",
        title=f"What version {found.version} leans on",
        answer=importance_answer(found),
        spec=None if found.reason else _drops(found),
        rows=Table(columns=("feature", "together", "drop", "low", "high"), rows=rows),
        empty=f"It cannot be said: {found.reason}." if found.reason else "",
        note=importance_note(found),
        alt=f"Permutation importance of the features of {found.model}. {importance_answer(found)}",
        code=f'house["{found.model}"].importance({window})',
    )


def importance_note(found: Importance) -> str:
    """On which rows, and how."""
    of = "the reference" if found.window is None else "this range"
    many = found.rows < found.of_rows
    rows = (
        f"a fixed sample of {formats.count(found.rows)} of {formats.count(found.of_rows)}"
        if many
        else formats.count(found.rows)
    )
    there = f" {words.title(found.metric)} there: {words.value(found.metric, found.value)}."
    value = there if found.value is not None else ""
    how = f"On {rows} labelled rows of {of}, each feature shuffled {found.repeats} times; bands are of 95 %.{value}"
    return f"{how} {found.unshown}".strip()


def groups_table(found: Importance) -> markup.Html:
    """Features that hang together, shuffled together."""
    head = ("Shuffled together", "Worse by", "95 % band")
    rows = [[_name(g), _size(found, g.drop.value), _worse_band(found, g.drop)] for g in found.groups]
    return markup.table(head, rows, right=(1,))


def _drops(found: Importance) -> dict[str, Any]:
    scale, unit = (100, " by, pp") if words.is_share(found.metric) else (1, " by")
    lines = [(_name(f), f.drop) for f in found.features[:SHOWN]]
    return bars(lines, f"{words.in_sentence(found.metric)} gets worse{unit}", scale=scale)


def _size(found: Importance, drop: float | None) -> str:
    """By how much a metric gets worse: a fall of one that should be high, a rise of one that should be low."""
    return words.change(found.metric, drop, found.value).lstrip("+")


def _worse_band(found: Importance, drop: Metric) -> str:
    known = drop.low is not None and drop.high is not None
    return f"{_size(found, drop.low)} to {_size(found, drop.high)}" if known else formats.NOTHING


def attribution_answer(found: AttributionDrift) -> str:
    """Which features contribute more or less than they did."""
    if found.reason:
        return f"It cannot be said: {found.reason}."
    changed = [each for each in found.features if each.changed]
    if not changed:
        return f"None of {len(found.features)} features contributes more or less than it did on the reference."
    more = [each.name for each in changed if (each.change.value or 0.0) > 0]
    less = [each.name for each in changed if (each.change.value or 0.0) <= 0]
    parts = [
        f"{_some(names)} contribute{'s' if len(names) == 1 else ''} {word}"
        for names, word in ((more, "more"), (less, "less"))
        if names
    ]
    return f"{' and '.join(parts)} than on the reference."


def attribution_panel(found: AttributionDrift) -> Panel:
    """The change of the mean size of contributions, feature by feature."""
    rows = tuple(
        (f.name, f.reference, f.window, f.change.value, f.change.low, f.change.high, f.p, f.changed)
        for f in found.features
    )
    many = (
        f"{formats.count(found.rows)} of {formats.count(found.of_rows)}"
        if found.rows < found.of_rows
        else formats.count(found.rows)
    )
    note = (
        f"Mean size of contributions to {many} answers of version {found.version}, beside {formats.count(found.reference_rows)} "
        f"reference rows; samples with a fixed seed. {found.unshown}"
    ).strip()
    return Panel(
        name=f"{found.model}-attribution",
        title="Change of what features contribute",
        answer=attribution_answer(found),
        spec=None
        if found.reason
        else bars([(f.name, f.change) for f in found.features[:SHOWN]], "change of mean size"),
        rows=Table(columns=("feature", "reference", "window", "change", "low", "high", "p", "changed"), rows=rows),
        empty=f"It cannot be said: {found.reason}." if found.reason else "",
        note=note,
        alt=f"Attribution drift of the features of {found.model}. {attribution_answer(found)}",
        code=f'house["{found.model}"].attribution_drift("{found.window}")',
    )


def attribution_table(found: AttributionDrift) -> markup.Html:
    head = ("Feature", "Reference", "This range", "Change", "95 % band", "Said to differ")
    largest = max((abs(size) for f in found.features for size in (f.reference, f.window)), default=0.0)
    rows = [
        [
            markup.name(f.name), formats.figure(f.reference, largest), formats.figure(f.window, largest),
            formats.change(f.change.value, largest), formats.edges(f.change.low, f.change.high, largest),
            "yes" if f.changed else "no",
        ]
        for f in found.features[:SHOWN]
    ]  # fmt: skip
    return markup.table(head, rows, right=(1, 2, 3))


def bars(lines: list[tuple[str, Metric]], title: str, *, scale: float = 1) -> dict[str, Any]:
    """Sideways bars with bands, one a feature, in the order given. title : what is drawn, each value times `scale`."""
    names = [in_figure(formats.short(name, _LONGEST)) for name, _ in lines]
    values = [scale * (metric.value or 0.0) for _, metric in lines]
    halves = [scale * (metric.high or 0.0) - value for (_, metric), value in zip(lines, values, strict=True)]
    places = list(range(len(names)))
    trace = {
        "type": "bar", "orientation": "h", "x": values, "y": places, "showlegend": False,
        "marker": {"color": Colour.CURRENT}, "customdata": names, "text": [formats.change(v) for v in values],
        "error_x": {"type": "data", "array": halves, "color": Colour.INK, "thickness": 1, "width": 3},
        "textposition": "none", "hovertemplate": "%{customdata}: %{text}<extra></extra>",
    }  # fmt: skip
    layout = charts.frame(
        height=60 + 24 * len(names), hovermode="closest", dragmode=False, bargap=0.3,
        xaxis=charts.effect_axis(title),
        yaxis=charts.axis(showgrid=False, tickvals=places, ticktext=names, range=[len(names) - 0.5, -0.5]),
    )  # fmt: skip
    return {"data": [trace], "layout": layout}


def _name(lean: Lean) -> str:
    return " + ".join(lean.names)


def _some(names: list[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

"""Groups of one column side by side, how far apart they are, and how that went over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pilothouse.app import formats, markup, together_words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.fairness import Disparity, Fairness, FairnessPoint, Group
from pilothouse.data.signature import Task

RATE_WORDS = {
    "selection_rate": "Selected",
    "tpr": "True positive rate",
    "fpr": "False positive rate",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "mean_error": "Mean error",
    "mae": "Mean absolute error",
}
APART_WORDS = {
    "demographic_parity_difference": "Demographic parity, difference",
    "demographic_parity_ratio": "Demographic parity, ratio",
    "equalized_odds_difference": "Equalized odds, difference",
    "equalized_odds_ratio": "Equalized odds, ratio",
    "accuracy_difference": "Accuracy, difference",
    "mean_error_difference": "Mean error, difference",
    "mae_difference": "Mean absolute error, difference",
}
_APART_SAYS = {
    "demographic_parity": "of the shares that are selected",
    "equalized_odds": "of true positive rates or of false positive rates, whichever are further apart",
    "accuracy": "of the shares of right answers",
    "mean_error": "of the mean of prediction − label",
    "mae": "of the mean size of the error",
}
ASKED = {
    Task.BINARY: "Whether the groups of a column are selected alike, and judged right alike.",
    Task.MULTICLASS: "Whether the model is right alike about the groups of a column. Nobody is selected by one of several "
    "classes, so parity and odds are not asked of it.",
    Task.REGRESSION: "Whether the model errs alike about the groups of a column, in size and in direction. Nobody is "
    "selected by a number, so parity and odds are not asked of it.",
}
"""What fairness is for the models of each task."""
_SHARES = frozenset({"selection_rate", "tpr", "fpr", "accuracy", "precision"})
_SHARES_APART = frozenset({"demographic_parity_difference", "equalized_odds_difference", "accuracy_difference"})
"""Differences of percentages, which are written in percentage points."""
_SHOWN = 15


def panel(found: Fairness) -> Panel:
    """The groups as rows, and the sentence about the pair that is furthest apart."""
    names = list(found.groups[0].metrics) if found.groups else []
    columns = ("group", "rows", "labelled", *(f"{n}{part}" for n in names for part in ("", "_low", "_high")))
    return Panel(
        name=f"{found.model}-fairness",
        title=f"Groups of {found.column}",
        answer=answer(found),
        rows=Table(columns=columns, rows=tuple(_cells(group, names) for group in found.groups)),
        empty="" if found.groups else f"No group has {found.min_rows:,} rows in this range.",
        note=note(found),
        code=f'house["{found.model}"].fairness({found.column!r}, "{found.window}", min_rows={found.min_rows})',
    )


def _cells(group: Group, names: Sequence[str]) -> tuple[str | float | int | None, ...]:
    values = [v for n in names for v in (group.metrics[n].value, group.metrics[n].low, group.metrics[n].high)]
    return (group.name, group.rows, group.labelled, *values)


def answer(found: Fairness) -> str:
    """How far apart groups are in what matters first, and whether chance alone would do it."""
    if not found.groups and not found.left_out:
        return "There are no predictions in this range."
    if found.reason:
        return f"Groups cannot be compared: {found.reason}."
    name, apart = next(iter(found.disparities.items()))
    if apart.value.value is None:
        return f"Groups cannot be compared: {apart.value.reason}."
    said = f"{formats.short(apart.highest)} and {formats.short(apart.lowest)} are furthest apart"
    rates = {group.name: group.metrics for group in found.groups}
    rate = {"demographic_parity_difference": "selection_rate", "accuracy_difference": "accuracy"}.get(
        name, "mean_error"
    )
    values = [_number(rates[group][rate], rate) for group in (apart.highest, apart.lowest)]
    more = "more than" if apart.beyond_chance else "no more than"
    return f"{said}: {RATE_WORDS[rate].lower()} {values[0]} against {values[1]}, {more} chance alone would make."


def note(found: Fairness) -> str:
    if not found.groups and not found.left_out:
        return ""
    rule = f"Four-fifths rule: {found.four_fifths.reason} " if found.four_fifths and not found.reason else ""
    return f"{rule}{_rows_note(found)} {together_words.of_bands({together_words.ROWS})}"


def _rows_note(found: Fairness) -> str:
    if not found.left_out:
        selected = any("selection_rate" in group.metrics for group in found.groups)
        if not selected:
            return "The rates are of labelled rows."
        return "Selected is of all answered rows; the other rates are of labelled ones."
    named = ", ".join(f"{formats.short(name)} ({rows:,})" for name, rows in found.left_out[:_SHOWN])
    more = f" and {len(found.left_out) - _SHOWN} more" if len(found.left_out) > _SHOWN else ""
    return f"Left out, with fewer than {found.min_rows:,} rows or no value of their own: {named}{more}."


def table(found: Fairness) -> markup.Html:
    """The groups, one or more, and below them how far they are apart."""
    names = list(found.groups[0].metrics)
    head = [found.column, *(RATE_WORDS[n] for n in names), "Rows", "Labelled"]
    groups = markup.table(head, [_group(g, names) for g in found.groups[:_SHOWN]], right=range(1, len(head)))
    if found.reason:
        return groups
    rows = [_apart(name, disparity) for name, disparity in found.disparities.items()]
    apart = markup.table(("", "Value", "95 % band", "By chance", "Lowest", "Highest", ""), rows, right=(1, 2, 3))
    words = markup.tag(
        "p", "How far apart they are, and what chance alone would make of groups of these sizes:", kind="ph-quiet"
    )
    return markup.join([groups, words, apart])


def _group(group: Group, names: Sequence[str]) -> list[object]:
    cells = [_with_band(group.metrics[n], n) for n in names]
    return [
        markup.name(group.name),
        *cells,
        formats.count(group.rows),
        formats.count(group.labelled),
    ]


def _number(metric: Metric, name: str) -> str:
    return formats.share(metric.value) if name in _SHARES else formats.figure(metric.value)


def _with_band(metric: Metric, name: str) -> markup.Html:
    """The value, and its 95 % band behind it; a dash that says on hovering why there is none."""
    if metric.value is None:
        return markup.tag("span", formats.NOTHING, title=metric.reason)
    edges = (metric.low, metric.high)
    low, high = (formats.share(e).rstrip("%") if name in _SHARES else formats.figure(e, metric.value) for e in edges)
    return markup.join([_number(metric, name), markup.tag("small", f" {low} to {high}", kind="ph-band")])


def _apart(name: str, found: Disparity) -> list[object]:
    says = _APART_SAYS[name.removesuffix("_difference").removesuffix("_ratio")]
    title = markup.join([APART_WORDS[name], markup.tag("div", says, kind="ph-quiet")])
    if found.value.value is None:
        return [title, formats.NOTHING, markup.tag("span", found.value.reason, kind="ph-quiet"), "", "", "", ""]
    side = "above" if found.ratio else "below"
    said = {True: markup.badge("more than chance", "watch"), False: "no more than chance", None: ""}[
        found.beyond_chance
    ]
    return [
        title, _amount(name, found.value.value), _edges(name, found.value),
        f"{side} {_amount(name, found.by_chance)}", formats.short(found.lowest), formats.short(found.highest), said,
    ]  # fmt: skip


def _amount(name: str, value: float | None) -> str:
    return formats.points(value).lstrip("+") if name in _SHARES_APART else formats.figure(value)


def _edges(name: str, found: Metric) -> str:
    if name in _SHARES_APART and found.low is not None and found.high is not None:
        return f"{_amount(name, found.low).removesuffix(' pp')} to {_amount(name, found.high)}"
    return formats.edges(found.low, found.high, found.value)


def trend(found: Fairness, name: str, view: charts.View) -> Panel:
    """One disparity over time with its band."""
    title = f"{APART_WORDS[name]}, by {view.every}"
    points = found.trend
    rows = tuple((p.window.start, p.rows, p.labelled, *_values(p, name)) for p in points)
    columns = ("from", "rows", "labelled", "value", "low", "high", "by_chance")
    bare = Panel(name=f"{found.model}-{name}", title=title, rows=Table(columns=columns, rows=rows))
    values = [_values(p, name) for p in points]
    if all(value[0] is None for value in values):
        return replace(bare, empty=f"No {view.every} has two groups of {found.min_rows:,} rows with labels enough.")
    scale, unit = (100, "pp") if name in _SHARES_APART else (1, "")
    drawn = [[None if v is None else scale * v for v in value] for value in values]
    x = [view.middle(p.window) for p in points]
    traces = [
        charts.band(x, [v[1] for v in drawn], [v[2] for v in drawn], Colour.CURRENT, "95 % band"),
        charts.line(x, [v[3] for v in drawn], "by chance", Colour.REFERENCE, line={"dash": "dot"}),
        charts.line(x, [v[0] for v in drawn], "difference", Colour.CURRENT),
    ]
    axis = charts.value_axis(tickformat=".2~f", hoverformat=".3~f", rangemode="tozero", title={"text": unit})
    return replace(bare, spec=charts.timed(traces, view, yaxis=axis), alt=f"{title} of {found.model}.")


def _values(point: FairnessPoint, name: str) -> tuple[float | None, float | None, float | None, float | None]:
    found = point.disparities.get(name)
    if found is None:
        return None, None, None, None
    return found.value.value, found.value.low, found.value.high, found.by_chance

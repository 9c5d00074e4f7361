"""How right a model was over one window: its metrics, what lies behind them, and the sentence they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilothouse.app import formats, markup, together_words
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.report import Crossing, MetricReport
from pilothouse.data.signature import Task

FEW_ROWS = 200
"""Labelled rows below which a band says more than its value."""
NO_LABELS = "No labels yet in this range. Choose a longer one, or send what came true: docs/http.md says how."
_SAME = 1e-9
_COUNTED = {
    Task.BINARY: "by steps of the score",
    Task.MULTICLASS: "row by row, but for ROC AUC: by steps of each class's score",
    Task.REGRESSION: "row by row",
}
"""What the counts of the roll-ups are made of."""


def answer(report: MetricReport) -> str:
    """How right it was, in one or two sentences."""
    if not report.rows:
        return "There are no predictions in this range."
    if not report.labelled:
        return "Predictions arrive, labels do not yet. What is to be expected of them is estimated below."
    name = words.MAIN[report.task][0]
    metric = report.metrics[name]
    if metric.value is None:
        return f"{words.title(name)} cannot be said: {metric.reason}."
    band = "" if metric.low is None else f" (95 % band {words.band(name, metric)})"
    said = f"{words.title(name)} was {words.value(name, metric.value)}{band}"
    few = f" So few rows say little; {FEW_ROWS} would do." if report.labelled < FEW_ROWS else ""
    return f"{said} on {formats.count(report.labelled)} labelled rows.{_at_threshold(report)}{few}"


def _at_threshold(report: MetricReport) -> str:
    flagged, precision, recall = (report.metrics.get(name) for name in ("flagged", "precision", "recall"))
    if report.threshold is None or not flagged or not precision or not recall or flagged.value is None:
        return ""
    if not flagged.value:
        return f" No row reaches the threshold of {report.threshold:g}."
    at = f" From a score of {report.threshold:g} on it flags {formats.share(flagged.value)} of the rows"
    return f"{at}; {formats.share(precision.value)} of them came true. It finds {formats.share(recall.value)} of all that did."


def speaks_for(report: MetricReport) -> str:
    """For which rows the metrics speak."""
    if not report.rows:
        return ""
    share = f"{formats.share(report.coverage)} of {formats.count(report.rows)} rows have a label"
    due = "all labels have had time to arrive" if report.mature else "labels of this range are still arriving"
    return f"{share}; {due}. Counted {'row by row' if report.exact else _COUNTED[report.task]}."


def bands_rest_on(report: MetricReport) -> str:
    """Whether bands take rows of a day together, and what that does to the first of them; empty without bands."""
    name = next((n for n in words.MAIN[report.task] if n in report.metrics and report.metrics[n].low is not None), "")
    return together_words.of_main(report.metrics[name], words.in_sentence(name)) if name else ""


def tiles(report: MetricReport) -> list[tuple[str, str, str]]:
    """The main metrics: name, value, and the band or the reason for none."""
    found = [(name, report.metrics[name]) for name in words.MAIN[report.task] if name in report.metrics]
    shown = [
        (words.title(name), words.value(name, m.value), words.band(name, m) if report.labelled else "no labels yet")
        for name, m in found
    ]
    own = [(words.own_title(o), formats.figure(o.found.value), _own_note(o.found)) for o in report.own]
    return shown + own


def _own_note(found: Metric) -> str:
    if found.value is not None and found.low is not None and found.high is not None:
        return formats.edges(found.low, found.high)
    return found.reason or "the team's own"


def overview(report: MetricReport, then: MetricReport | None) -> Panel:
    """Every metric as rows. then : the same as it was known at another time."""
    columns = ("metric", "value", "low", "high", "reason", "by", "wider", *(("as known then",) if then else ()))
    rows = tuple(
        (name, m.value, m.low, m.high, m.reason, m.by, m.wider, *((then.metrics[name].value,) if then else ()))
        for name, m in report.metrics.items()
    )
    own = tuple(
        (o.metric.name, o.found.value, o.found.low, o.found.high, o.found.reason, *((None,) * (len(columns) - 5)))
        for o in report.own
    )
    return Panel(
        name=f"{report.model}-metrics",
        title="All metrics",
        answer=_changed(report, then),
        rows=Table(columns=columns, rows=rows + own),
        empty="" if report.labelled else NO_LABELS,
        note=_exactness(report),
        code=f'house["{report.model}"].metrics("{report.window}")',
    )


def table(report: MetricReport, then: MetricReport | None) -> markup.Html:
    """Every metric with its band, what it says, and what it was as known then."""
    head = ("Metric", "Value", "95 % band", *(("As known then",) if then else ()), "What it says")
    rows: list[list[object]] = [
        [
            words.title(name), words.value(name, m.value),
            markup.tag("span", words.band(name, m), kind="ph-quiet", title=together_words.of_metric(m)),
            *([words.value(name, then.metrics[name].value)] if then else []), words.says(name),
        ]
        for name, m in report.metrics.items()
    ]  # fmt: skip
    rows += [
        [
            words.own_title(o), formats.figure(o.found.value), markup.tag("span", _own_note(o.found), kind="ph-quiet"),
            *([formats.NOTHING] if then else []), f"own metric, {o.metric.better} is better",
        ]
        for o in report.own
    ]  # fmt: skip
    return markup.table(head, rows, right=(1, 3) if then else (1,))


def _changed(report: MetricReport, then: MetricReport | None) -> str:
    if then is None:
        return ""
    if then.labelled == report.labelled and all(
        _alike(m.value, then.metrics[name].value) for name, m in report.metrics.items()
    ):
        return "What was known then is what is known now."
    known = f"Then {formats.count(then.labelled)} rows had a label, now {formats.count(report.labelled)} have."
    name = words.MAIN[report.task][0]
    was, now = then.metrics[name].value, report.metrics[name].value
    if was is None or now is None:
        return known
    return f"{known} {words.title(name)} was {words.value(name, was)} then, and is {words.value(name, now)} now."


def _alike(one: float | None, other: float | None) -> bool:
    return one is other or (one is not None and other is not None and abs(one - other) <= _SAME * max(1, abs(one)))


def _exactness(report: MetricReport) -> str:
    if report.exact or report.task is not Task.BINARY or not report.labelled:
        return ""
    beside = (
        f" {formats.count(report.threshold_slack)} rows lie in the step of the threshold."
        if report.threshold_slack
        else ""
    )
    return f"Rows of one step of the score count as ties: ROC AUC is off by {report.auc_slack:.4f} at most.{beside}"


def calibration(report: MetricReport) -> Panel:
    """What was said against what came true, in ten bins of about equal rows."""
    title = "What it says against what comes true"
    bins = report.calibration
    rows = tuple((b.rows, b.mean_score, b.share, b.low, b.high) for b in bins)
    panel = Panel(name=f"{report.model}-calibration-curve", title=title)
    if not bins:
        return replace(panel, empty=NO_LABELS)
    top = 1.05 * max(max(b.high for b in bins), max(b.mean_score for b in bins))
    x, y = [b.mean_score for b in bins], [b.share for b in bins]
    error = {
        "type": "data", "symmetric": False, "array": [b.high - b.share for b in bins],
        "arrayminus": [b.share - b.low for b in bins], "color": Colour.CURRENT, "thickness": 1.2, "width": 0,
    }  # fmt: skip
    traces = [
        _line([0, top], [0, top], "as said", Colour.REFERENCE, dash="dash", hoverinfo="skip"),
        _line(x, y, "came true, 95 % band", Colour.CURRENT, mode="lines+markers", error_y=error),
    ]
    said = _worst_bin(report)
    axes = _axes("mean score", "share that came true", {"range": [0, top]}, {"range": [0, top]})
    spec = {"data": traces, "layout": charts.frame(height=300, hovermode="closest", **axes)}
    columns = ("rows", "mean_score", "came_true", "low", "high")
    return replace(panel, answer=said, spec=spec, rows=Table(columns=columns, rows=rows), alt=f"{title}. {said}")


def _worst_bin(report: MetricReport) -> str:
    worst = max(report.calibration, key=lambda b: abs(b.mean_score - b.share))
    if worst.low <= worst.mean_score <= worst.high:
        return "In every bin what was said lies within what chance allows." if _all_inside(report) else ""
    said, came = formats.share(worst.mean_score), formats.share(worst.share)
    return f"Furthest off: it said {said}, and {came} came true ({formats.count(worst.rows)} row{'' if worst.rows == 1 else 's'})."


def _all_inside(report: MetricReport) -> bool:
    return all(b.low <= b.mean_score <= b.high for b in report.calibration)


def roc(report: MetricReport) -> Panel:
    """Recall against false alarms, over all thresholds; the present one is marked."""
    pairs = [(p.fall_out, p.recall) for p in report.points if p.fall_out is not None and p.recall is not None]
    return _curve(report, "roc", "ROC curve", pairs, ("false alarms", "recall"), diagonal=True)


def precision_recall(report: MetricReport) -> Panel:
    """Precision against recall, over all thresholds; the present one is marked."""
    pairs = [(p.recall, p.precision) for p in report.points if p.precision is not None and p.recall is not None]
    return _curve(report, "pr", "Precision and recall", pairs, ("recall", "precision"), diagonal=False)


def _curve(
    report: MetricReport,
    name: str,
    title: str,
    pairs: Sequence[tuple[float, float]],
    axes: tuple[str, str],
    *,
    diagonal: bool,
) -> Panel:
    panel = Panel(name=f"{report.model}-{name}", title=title)
    if len(pairs) < 2:
        return replace(panel, empty=NO_LABELS if not report.labelled else "Only one class among the labels.")
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    traces = [_line(x, y, title, Colour.CURRENT)]
    if diagonal:
        traces.insert(0, _line([0, 1], [0, 1], "chance alone", Colour.REFERENCE, dash="dash", hoverinfo="skip"))
    here = _here(report, diagonal=diagonal)
    if here is not None:
        mark = {"size": 10, "color": Colour.CRITICAL}
        traces.append(
            _line([here[0]], [here[1]], f"from {report.threshold:g} on", Colour.CRITICAL, mode="markers", marker=mark)
        )
    named = "roc_auc" if diagonal else "pr_auc"
    metric = report.metrics[named]
    said = f"{words.title(named)} {words.value(named, metric.value)}, 95 % band {words.band(named, metric)}."
    spec = {
        "data": traces,
        "layout": charts.frame(
            height=300, hovermode="closest", **_axes(*axes, {"range": [0, 1.01]}, {"range": [0, 1.01]})
        ),
    }
    return replace(panel, answer=said, spec=spec, rows=Table(columns=axes, rows=tuple(pairs)), alt=f"{title}. {said}")


def _here(report: MetricReport, *, diagonal: bool) -> tuple[float, float] | None:
    recall, precision, specificity = (report.metrics[name].value for name in ("recall", "precision", "specificity"))
    if diagonal:
        return None if recall is None or specificity is None else (1 - specificity, recall)
    return None if recall is None or precision is None else (recall, precision)


def errors(report: MetricReport) -> Panel:
    """How the errors of a regression lie."""
    title = "Errors: prediction − label"
    panel = Panel(name=f"{report.model}-errors", title=title)
    if not report.errors:
        return replace(panel, empty=NO_LABELS)
    x = [(b.low + b.high) / 2 for b in report.errors]
    bars = {
        "type": "bar", "x": x, "y": [b.rows for b in report.errors], "name": "rows", "marker": {"color": Colour.CURRENT},
    }  # fmt: skip
    bias = report.metrics["bias"]
    side = "too much" if (bias.value or 0) > 0 else "too little"
    said = (
        f"On average it says {words.value('bias', abs(bias.value or 0))} {side} (95 % band {words.band('bias', bias)})."
    )
    shapes = [
        {
            "type": "line",
            "x0": 0,
            "x1": 0,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": Colour.TRUTH, "dash": "dot"},
        }
    ]
    spec = {
        "data": [bars],
        "layout": charts.frame(height=300, bargap=0.04, shapes=shapes, **_axes("error", "rows", {}, {})),
    }
    rows = tuple((b.low, b.high, b.rows) for b in report.errors)
    return replace(
        panel, answer=said, spec=spec, rows=Table(columns=("low", "high", "rows"), rows=rows), alt=f"{title}. {said}"
    )


def crossing_table(crossed: Crossing, *, binary: bool) -> markup.Html:
    """The confusion: what came true by row, what was said by column."""
    said = ("let pass", "flagged") if binary else tuple(f"said {name}" for name in crossed.names)
    came = tuple(f"came out {name}" for name in crossed.names)
    rows = [
        [name, *(formats.count(n) for n in row), formats.count(sum(row))]
        for name, row in zip(came, crossed.counts, strict=True)
    ]
    return markup.table(("", *said, "rows"), rows, right=range(1, len(said) + 2))


def classes(report: MetricReport) -> markup.Html:
    """One line a class of a multiclass model."""
    head = ("Class", "Precision", "Recall", "F1", "Labelled rows", "Predicted")
    rows = [
        [
            c.name, _with_band("precision", c.precision), _with_band("recall", c.recall), _with_band("f1", c.f1),
            formats.count(c.support), formats.count(c.predicted),
        ]
        for c in report.classes
    ]  # fmt: skip
    return markup.table(head, rows, right=(4, 5))


def _with_band(name: str, metric: Metric) -> markup.Html:
    return markup.join(
        [words.value(name, metric.value), " ", markup.tag("span", words.band(name, metric), kind="ph-quiet")]
    )


def _line(
    x: Sequence[float], y: Sequence[float], name: str, colour: str, *, dash: str = "solid", **given: Any
) -> charts.Trace:
    line = {"color": colour, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name, "line": line} | given


def _axes(x: str, y: str, of_x: dict[str, Any], of_y: dict[str, Any]) -> dict[str, Any]:
    """Named axes of a figure that is not over time."""
    font = {"size": 11, "color": Colour.MUTED}
    return {
        "xaxis": charts.axis(showgrid=False, title={"text": x, "font": font}, **of_x),
        "yaxis": charts.value_axis(title={"text": y, "font": font}, **of_y),
    }

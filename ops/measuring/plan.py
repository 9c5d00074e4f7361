"""How a model should be watched, from its reference and its traffic; and the act of agreeing on it."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.errors import BadPolicy
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import mean_metric, share_metric, standard_error
from pilothouse.data.measures.drift import rows_needed
from pilothouse.data.measures.outcomes import Floats, Sums, log_losses
from pilothouse.data.measures.performance import roc_auc
from pilothouse.data.measures.plan import Plan
from pilothouse.data.measures.power import SPANS, Expected, Watch, choose_span, terms_of, watch
from pilothouse.data.measures.telling import telling_columns
from pilothouse.data.policies import UNSHOWN, WatchTerms
from pilothouse.data.rollups.outcomes import outcomes_of
from pilothouse.data.signature import Kind, Signature, Task
from pilothouse.data.state import audit, catalog
from pilothouse.data.windows import Window
from pilothouse.ops.actors import Right, require
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, judged_version, reference_rows
from pilothouse.ops.measuring.together import together_of

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

BUDGET = 0.1
"""False alarms a month: about one a year."""
USUAL_LOSS = {Task.BINARY: 0.02, Task.MULTICLASS: 0.02}
"""Of ROC AUC and of accuracy. For a regression it is a tenth of its error."""
_METRIC = {Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
_DRIFT_SPANS = (1, 7, 14, 28)
_TRAFFIC = timedelta(days=28)
_SEGMENTS = 3


def suggest(
    handle: ModelHandle, *, loss: float | None = None, budget: float = BUDGET, labelled_a_day: float | None = None
) -> Plan:
    """What the reference and the last four weeks suggest. Nothing is changed.

    loss : how much worse the metric must become to be worth an alarm; None for the usual. budget : false alarms a month.
    labelled_a_day : labelled rows to expect, where the log cannot tell yet. Raises BadPolicy, NoChampion.
    """
    _check(loss, budget, labelled_a_day)
    version = judged_version(handle, None)
    rows = reference_rows(handle, version).drop_nulls(TRUE)
    signature, task = version.signature, version.signature.task
    metric = _metric(rows, signature)
    seen, labelled = _traffic(handle)
    expected = _expected(handle, task, metric, rows.height)
    asked = loss if loss is not None else _usual_loss(task, metric)
    chosen = None
    if expected is not None and asked is not None:
        chosen = choose_span(expected, labelled if labelled_a_day is None else labelled_a_day, asked, budget)
    return Plan(
        model=handle.name,
        metric=_METRIC[task],
        expected=expected,
        watch=chosen,
        budget=budget,
        drift_days=_drift_days(handle, seen),
        segments=telling_columns(*_losses_by_column(handle, rows, signature))[:_SEGMENTS],
        labelled_a_day=labelled if labelled_a_day is None else labelled_a_day,
        rows_a_day=seen,
        reason=_why_not(expected, chosen, metric),
    )


def agree(handle: ModelHandle, plan: Plan | None, days: int | None = None) -> WatchTerms | None:
    """Have the model's health judged by `plan` from now on, or by the usual rules for None; audited.

    days : another span than the plan's, of whole weeks. Raises BadPolicy where the plan has nothing to agree on, NotAllowed.
    """
    terms = None if plan is None else _terms(plan, days)
    house = handle.house
    require(house.state, house.actor, Right.OPERATOR, "set how performance is watched of", handle.name, house.clock)
    with house.state.write() as conn:
        before = catalog.get_model(conn, handle.name).watch
        catalog.set_watch(conn, handle.name, terms)
        details = {"from": asdict(before) if before else None, "to": asdict(terms) if terms else None}
        audit.append(conn, actor=house.actor.name, act="watch", target=handle.name, details=details, at=house.clock())
    return terms


def _terms(plan: Plan, days: int | None) -> WatchTerms:
    """The terms that a plan comes to, with another span than its own where `days` says so."""
    chosen = plan.watch if days is None else _with_days(plan, days)
    if chosen is None or plan.expected is None:
        raise BadPolicy("plan", plan.reason, "a plan that has a span")
    return terms_of(chosen, plan.expected, plan.budget)


def _check(loss: float | None, budget: float, labelled_a_day: float | None) -> None:
    if loss is not None and not loss > 0:
        raise BadPolicy("loss", loss, "above 0, such as 0.02 of ROC AUC")
    if not 0 < budget <= 30:
        raise BadPolicy("budget", budget, "above 0 and up to 30 false alarms a month")
    if labelled_a_day is not None and not labelled_a_day > 0:
        raise BadPolicy("labelled_a_day", labelled_a_day, "above 0")


def _with_days(plan: Plan, days: int) -> Watch | None:
    if days < 7 or days % 7:
        raise BadPolicy("days", days, f"whole weeks, such as {', '.join(map(str, SPANS))}")
    rows = int(plan.labelled_a_day * days)
    if plan.expected is None or plan.watch is None or rows < 1:
        return None
    return watch(plan.expected, days, rows, plan.watch.loss, plan.budget)


def _metric(rows: pl.DataFrame, signature: Signature) -> Metric:
    """The watched metric of the reference rows."""
    if rows.is_empty():
        return Metric(value=None, reason="no reference row has a label")
    if signature.task is Task.BINARY:
        positive = (rows[TRUE] == signature.target.positive).to_numpy()
        return roc_auc(outcomes_of(rows[SCORED].cast(pl.Float64).fill_null(np.nan).to_numpy(), positive))
    answered = rows.drop_nulls(SAID)
    if answered.is_empty():
        return Metric(value=None, reason="the reference has no predictions")
    losses = _losses(answered, signature)
    if signature.task is Task.MULTICLASS:
        return share_metric(int((losses == 0).sum()), len(losses), "")
    return mean_metric(Sums.of(losses))


def _losses(rows: pl.DataFrame, signature: Signature) -> Floats:
    """Loss of each row: log-loss, 0 or 1 for a wrong class, the size of the error."""
    if signature.task is Task.BINARY:
        return log_losses(rows[SCORED].to_numpy(), (rows[TRUE] == signature.target.positive).to_numpy())
    if signature.task is Task.MULTICLASS:
        return (rows[SAID].cast(pl.String) != rows[TRUE].cast(pl.String)).cast(pl.Float64).to_numpy()
    return (rows[SAID] - rows[TRUE]).abs().cast(pl.Float64).to_numpy()


def _losses_by_column(handle: ModelHandle, rows: pl.DataFrame, signature: Signature) -> tuple[pl.DataFrame, Floats]:
    """The features by whose values rows can be told apart and may be shown, beside the loss of each row."""
    said = SCORED if signature.task is Task.BINARY else SAID
    answered = rows.drop_nulls(said)
    names = [
        f.name for f in signature.features
        if handle.row.classes.get(f.name) not in UNSHOWN and f.kind is not Kind.NUMBER
    ]  # fmt: skip
    return answered.select(names), _losses(answered, signature)


def _expected(handle: ModelHandle, task: Task, metric: Metric, rows: int) -> Expected | None:
    error = standard_error(metric)
    if metric.value is None or error is None:
        return None
    wider, together = _together(handle, _METRIC[task], rows)
    return Expected(
        metric=_METRIC[task], value=metric.value, error=error * wider, rows=rows, wider=wider, together=together,
        high_is_good=task is not Task.REGRESSION,
    )  # fmt: skip


def _together(handle: ModelHandle, metric: str, rows: int) -> tuple[float, float]:
    """By what factor errors on the reference, and of spans of the traffic, are larger because rows of a day go together."""
    window = _due(handle)
    shown = None if window is None else handle.history.performance(window).metrics.get(metric)
    if window is None or shown is None or shown.value is None:
        return 1.0, 1.0
    return math.sqrt(together_of(handle, window, rows, shown).reference), shown.wider


def _due(handle: ModelHandle) -> Window | None:
    """The last four weeks of whole days whose labels are due; None where the log has no row."""
    end = handle.history.data_end()
    if end is None:
        return None
    due = end - handle.label_policy.horizon
    steps = handle.history.steps(Window(due - _TRAFFIC, due), timedelta(days=1))
    return Window(steps[0].start, steps[-1].end)


def _usual_loss(task: Task, metric: Metric) -> float | None:
    return USUAL_LOSS.get(task, None if metric.value is None else metric.value / 10)


def _traffic(handle: ModelHandle) -> tuple[float, float]:
    """Rows a day and labelled rows a day, of the last four weeks whose labels are due, or of as many as there are."""
    due = _due(handle)
    points = [] if due is None else [p for p in handle.history.performance_trend(due, timedelta(days=1)) if p.rows]
    if not points:
        return 0.0, 0.0
    return sum(p.rows for p in points) / len(points), sum(p.labelled for p in points) / len(points)


def _drift_days(handle: ModelHandle, rows_a_day: float) -> int | None:
    """The shortest span with rows enough for every feature's drift; None where even four weeks are too few."""
    features = handle.profile.features.values()
    needed = max((rows_needed(int((f.grouped(f.counts) > 0).sum())) for f in features), default=0)
    return next((days for days in _DRIFT_SPANS if rows_a_day * days >= needed), None)


def _why_not(expected: Expected | None, chosen: Watch | None, metric: Metric) -> str:
    if expected is None:
        return metric.reason or "the reference is too small to say how well the model does"
    if chosen is None:
        return "no labelled rows have come yet; say how many to expect with labelled_a_day"
    if not chosen.sees:
        return (
            f"even {chosen.days} days would see such a loss with a chance of only {chosen.power:.0%}: "
            "ask for a larger loss, allow more false alarms, or register a larger reference"
        )
    return ""

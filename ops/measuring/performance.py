"""Reports of realized performance: the log's counts, or its labelled rows, and what a model's team has agreed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData, BadPolicy
from pilothouse.data.history.exact import exact_performance
from pilothouse.data.history.results import Metric, TrendPoint
from pilothouse.data.history.split import by_point
from pilothouse.data.measures.binary import calibration_bins, crossing, curve, measure_binary
from pilothouse.data.measures.classes import class_crossing, class_rows, measure_crossing
from pilothouse.data.measures.costs import best_threshold, each_of, too_few
from pilothouse.data.measures.errors import Sized, error_bars, measure_counted, measure_rows
from pilothouse.data.measures.outcomes import Outcomes
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.measures.report import MetricReport, Thresholds
from pilothouse.data.rollups.bins import measurable, numbers
from pilothouse.data.rollups.outcomes import confusion_in, errors_in, outcomes_in, outcomes_of, realized
from pilothouse.data.rollups.ranked import held_rows, ranked_in, sized_in
from pilothouse.data.rollups.schema import Part
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.own_metrics import own_values

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_PARTS = (Part.VOLUME, Part.OUTCOME)
_TREND_TIMES = 60
"""Samples for the bands of one bucket: a trend has many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is asked of. threshold : None for that of the version, or of the champion.

    own : whether the team's own metrics are run for it.
    """

    window: Window
    version: int | None = None
    threshold: float | None = None
    exact: bool = False
    as_known: datetime | None = None
    own: bool = True


def make_report(handle: ModelHandle, asked: Asked) -> MetricReport:
    """Every metric of the model's task over a window. Raises BadPolicy for a threshold, OnlyRollups, QueryTooSlow."""
    history, signature = handle.history, handle.signature
    apart = history.count_apart(asked.window, asked.version, asked.as_known)
    point = history.trend_point(apart.whole, asked.window, asked.version)
    rows = _rows_of(handle, asked) if asked.exact else None
    plain = MetricReport(
        model=handle.name,
        task=signature.task,
        version=asked.version,
        window=asked.window,
        watermark=history.watermark(),
        rows=point.rows,
        labelled=point.labelled,
        coverage=point.coverage,
        mature=point.mature,
        horizon=handle.label_policy.horizon,
        silence=handle.label_policy.silence,
        as_known=asked.as_known,
        exact=asked.exact,
        metrics={},
        own=own_values(handle, asked.window, asked.version) if asked.own and asked.as_known is None else (),
    )
    threshold = threshold_of(handle, asked.version, asked.threshold) if signature.task is Task.BINARY else None
    found = _PARTS_OF[signature.task](apart.whole, rows, signature, threshold)
    told = {"metrics": apart.widen(found["metrics"], signature, found.get("threshold", 0.5))}
    return replace(plain, **found | told)


def metric_trend(
    handle: ModelHandle, window: Window, every: timedelta, *, threshold: float | None = None
) -> tuple[TrendPoint, ...]:
    """Every metric in steps of `every`, oldest first, from roll-ups; steps as in History.performance_trend."""
    history, signature = handle.history, handle.signature
    windows = history.steps(window, every)
    counts = history.count(windows, _PARTS)
    at = threshold_of(handle, None, threshold) if signature.task is Task.BINARY else 0.5
    return tuple(
        replace(history.trend_point(rows, w, None), metrics=_counted_metrics(rows, signature, at))
        for w, rows in by_point(counts, windows)
    )


def judge_thresholds(handle: ModelHandle, asked: Asked) -> Thresholds:
    """What each threshold would have done, and the one of least cost. Raises BadData unless the model is binary."""
    only_binary(handle)
    present = threshold_of(handle, asked.version, asked.threshold)
    history, costs = handle.history, handle.row.costs
    counts = history.count([asked.window], _PARTS, asked.version, asked.as_known)
    point = history.trend_point(counts, asked.window, asked.version)
    rows = ranked_rows(handle, asked, counts)
    reason = "nobody has said what mistakes cost" if costs is None else too_few(rows)
    return Thresholds(
        model=handle.name,
        version=asked.version,
        window=asked.window,
        watermark=history.watermark(),
        rows=point.rows,
        labelled=point.labelled,
        mature=point.mature,
        exact=asked.exact,
        present=present,
        points=curve(rows, None if costs is None else each_of(costs), present),
        saving=None if costs is None or reason else best_threshold(rows, costs, present),
        reason=reason,
    )


def only_binary(handle: ModelHandle) -> None:
    """Raises BadData unless the model is binary."""
    if handle.task is not Task.BINARY:
        raise BadData(
            f"{handle.name} is a {handle.task} model. Thresholds, their costs and score bands are of binary models: only "
            f"these say one score a row. What can be said of it: `pilothouse metrics {handle.name}`."
        )


def ranked_rows(handle: ModelHandle, asked: Asked, counts: pl.DataFrame) -> Ranked:
    """The labelled, scored rows of a binary model in order: from its counts, or where asked from the rows."""
    if not asked.exact:
        return ranked_in(counts)
    held = held_rows(handle.history.labelled(asked.window, asked.version, asked.as_known))
    return _of_rows(held, handle.signature)[1]


def threshold_of(handle: ModelHandle, version: int | None, told: float | None) -> float:
    """`told`, or the threshold of the version, of the champion, of the newest version. Raises BadPolicy."""
    if told is not None:
        if not 0 <= told <= 1:
            raise BadPolicy("threshold", told, "from 0 to 1, such as 0.5")
        return told
    row = handle.champion if version is None else handle.version(version)
    if row is not None:
        return row.threshold
    newest = handle.versions
    return newest[0].threshold if newest else 0.5


def _rows_of(handle: ModelHandle, asked: Asked) -> pl.DataFrame:
    """The labelled rows; of several classes signed and with all their probabilities, as `exact_performance` takes them."""
    labelled = handle.history.labelled(asked.window, asked.version, asked.as_known)
    return labelled if handle.task is Task.MULTICLASS else held_rows(labelled)


def _of_rows(held: pl.DataFrame, signature: Signature) -> tuple[Outcomes, Ranked]:
    scores, positive = numbers(held["score"]), (held["label"] == signature.target.positive).to_numpy()
    scored = ~np.isnan(scores)
    return outcomes_of(scores, positive), Ranked.of_scores(scores[scored], positive[scored])


def _binary(
    counts: pl.DataFrame, held: pl.DataFrame | None, signature: Signature, threshold: float | None
) -> dict[str, Any]:
    outcomes, rows = (outcomes_in(counts), ranked_in(counts)) if held is None else _of_rows(held, signature)
    at = 0.5 if threshold is None else threshold
    negative, positive = (str(name) for name in signature.target.classes)
    return {
        "metrics": measure_binary(outcomes, rows, at),
        "threshold": at,
        "threshold_slack": rows.beside(at),
        "auc_slack": rows.tied,
        "crossing": crossing(rows, at, (negative, positive)) if rows.rows else None,
        "calibration": calibration_bins(rows),
        "points": curve(rows, also=at),
    }


def _classes(
    counts: pl.DataFrame, held: pl.DataFrame | None, signature: Signature, threshold: float | None
) -> dict[str, Any]:
    """Counts of a confusion are exact; of the probabilities only ROC AUC is not. held : signed rows."""
    names = [str(name) for name in signature.target.classes]
    crossed = confusion_in(counts, len(names)).counts
    measured = realized(counts, signature) if held is None else exact_performance(held, signature)
    return {
        "metrics": measured | measure_crossing(crossed),
        "crossing": class_crossing(crossed, names) if crossed.any() else None,
        "classes": class_rows(crossed, names),
    }


def _numbers(
    counts: pl.DataFrame, held: pl.DataFrame | None, signature: Signature, threshold: float | None
) -> dict[str, Any]:
    if held is None:
        sized = sized_in(counts)
        return {"metrics": measure_counted(errors_in(counts), sized), "errors": error_bars(sized)}
    there = held.filter(measurable("prediction"), measurable("label"))
    said, came = numbers(there["prediction"]), numbers(there["label"])
    return {
        "metrics": measure_rows(said, came, held.height),
        "errors": error_bars(Sized.of(said - came)),
    }


_PARTS_OF: dict[Task, Callable[[pl.DataFrame, pl.DataFrame | None, Signature, float | None], dict[str, Any]]] = {
    Task.BINARY: _binary,
    Task.MULTICLASS: _classes,
    Task.REGRESSION: _numbers,
}


def _counted_metrics(counts: pl.DataFrame, signature: Signature, threshold: float) -> dict[str, Metric]:
    """The metrics of one bucket, with coarser bands than a report has."""
    if signature.task is Task.BINARY:
        return measure_binary(outcomes_in(counts), ranked_in(counts), threshold, times=_TREND_TIMES)
    if signature.task is Task.REGRESSION:
        return measure_counted(errors_in(counts), sized_in(counts), _TREND_TIMES)
    crossed = confusion_in(counts, len(signature.target.classes)).counts
    return realized(counts, signature) | measure_crossing(crossed, _TREND_TIMES)

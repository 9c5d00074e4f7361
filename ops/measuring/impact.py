"""Drift ranked by what it costs: the reference rows as a version scores them, weighted to lie as the window's do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.history.apart import Apart
from pilothouse.data.history.results import Metric, Performance
from pilothouse.data.history.split import answered_rows, dense_counts, each_version
from pilothouse.data.history.takers import of_takers
from pilothouse.data.measures.drift import LEAST_ROWS
from pilothouse.data.measures.impact import KIND, Effects, Impact, Shift, measure_effects
from pilothouse.data.measures.outcomes import log_losses
from pilothouse.data.measures.reweighting import Judge, WeightedAuc, WeightedMean, WeightedRoot
from pilothouse.data.policies import ColumnClass
from pilothouse.data.rollups.bins import numbers
from pilothouse.data.rollups.profile import STORED
from pilothouse.data.rollups.schema import Part
from pilothouse.data.signature import Signature, Task
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import allow_unmasking, unshown_features
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, judged_version, reference_rows
from pilothouse.ops.measuring.together import together_of

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("roc_auc", "log_loss"),
    Task.MULTICLASS: ("accuracy",),
    Task.REGRESSION: ("mae", "rmse"),
}
"""What the effect of drift is told in; the first is the usual one."""
MOSTLY = 0.9
"""Share of the window's rows that a version must have answered, for what it showed to be compared with their drift."""
_PLAIN: Mapping[str, ColumnClass] = {}


def shown_impact(
    handle: ModelHandle, window: Window, metric: str | None, version: int | None, *, unmask: bool, reason: str
) -> Impact:
    """Impact without sensitive features; with them for a `reason`, which is audited. Raises NotAllowed, NoReason."""
    if not unmask:
        return measure_impact(handle, window, metric, version, classes=handle.row.classes)
    house = handle.house
    allow_unmasking(house.state, house.actor, handle.name, handle.row.classes, reason, house.clock)
    return measure_impact(handle, window, metric, version)


def measure_impact(
    handle: ModelHandle,
    window: Window,
    metric: str | None = None,
    version: int | None = None,
    *,
    classes: Mapping[str, ColumnClass] = _PLAIN,
) -> Impact:
    """What the drift of each feature over `window` costs `version` in `metric`.

    version : None for the one that answered most of the window's rows, the champion where nobody answered any.
    classes : of columns; the sensitive ones are left out, and what they cost is in the remainder.
    Raises BadData for a metric that is not of METRICS, UnknownVersion, NoChampion.
    """
    chosen, apart = _metric(handle, metric), handle.history.count_apart(window, part=Part.FEATURE)
    judged = judged_version(handle, _busiest(apart.whole) if version is None else version)
    hidden = unshown_features(classes)
    rows = _scored(reference_rows(handle, judged), handle.task)
    answered, shifts = answered_rows(apart.whole), _shifts(handle, judged.signature, rows, apart, hidden)
    shown = handle.history.performance(window, judged.version)
    realized = _realized(shown, chosen, answered)
    found = _silence(rows, answered) or measure_effects(
        chosen, judge_of(chosen, handle.signature, rows), shifts, rows.height, realized,
        together_of(handle, window, rows.height, shown.metrics.get(chosen), apart),
    )  # fmt: skip
    return _impact(handle, judged, window, chosen, rows.height, answered, shown, found, _unshown(judged, hidden))


def judge_of(metric: str, signature: Signature, rows: pl.DataFrame) -> Judge:
    """The judge of `metric` on labelled rows that hold SAID, SCORED and TRUE, none of them missing where it is used."""
    if metric in METRICS[Task.BINARY]:
        scores, positive = numbers(rows[SCORED]), (rows[TRUE] == signature.target.positive).to_numpy()
        return WeightedAuc(scores, positive) if metric == "roc_auc" else WeightedMean(log_losses(scores, positive))
    if metric == "accuracy":
        kind = pl.Series(signature.target.classes).dtype
        return WeightedMean((rows[SAID].cast(kind) == rows[TRUE].cast(kind)).to_numpy().astype(np.float64))
    errors = numbers(rows[SAID]) - numbers(rows[TRUE])
    return WeightedMean(np.abs(errors)) if metric == "mae" else WeightedRoot(errors)


def _metric(handle: ModelHandle, asked: str | None) -> str:
    allowed = METRICS[handle.task]
    if asked is not None and asked not in allowed:
        raise BadData(
            f"The effect of drift on {asked!r} is not measured for {handle.name}, a {handle.task} model. "
            f"Ask for {' or '.join(allowed)}."
        )
    return asked or allowed[0]


def _scored(rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Rows with a label and with what the metric rests on."""
    said = SCORED if task is Task.BINARY else SAID
    return rows.filter(pl.col(TRUE).is_not_null(), pl.col(said).is_not_null())


def _shifts(
    handle: ModelHandle, signature: Signature, rows: pl.DataFrame, apart: Apart, hidden: frozenset[str]
) -> list[Shift]:
    """How the window has each feature that the version takes and people may see."""
    profiles = handle.profile.features
    # Told apart once: a window's days times its features are many rows to look through for each feature.
    counts = apart.buckets.partition_by("feature", as_dict=True)
    by_bucket, number = bool(apart.told), apart.number
    shifts, none = [], apart.buckets.clear()
    for feature in signature.features:
        profile = profiles.get(feature.column.removeprefix(STORED))
        if profile is not None and feature.name not in hidden:
            taken = of_takers(counts.get((profile.name,), none), profile, handle.signature)
            buckets = dense_counts(taken, Part.FEATURE, profile, number)[0].astype(np.int64)
            told = buckets if by_bucket else None
            shifts.append(Shift.of(feature.name, profile, rows[feature.name], buckets.sum(axis=0), told))
    return shifts


def _busiest(counts: pl.DataFrame) -> int | None:
    """The version that answered most rows; None where none did."""
    answered = {version: answered_rows(rows) for version, rows in each_version(counts)}
    return max(answered, key=lambda version: answered[version], default=None)


def _silence(rows: pl.DataFrame, answered: int) -> Effects | None:
    """Why nothing can be said of any feature; None when something can."""
    if not answered:
        return _nothing("no predictions in this range")
    if rows.height < LEAST_ROWS:
        return _nothing(
            f"the reference has {rows.height:,} labelled rows that the version scores; {LEAST_ROWS:,} would do"
        )
    return None


def _nothing(reason: str) -> Effects:
    silent = Metric(value=None, kind=KIND, reason=reason)
    return Effects(reference=silent, change=silent, features=(), summed=silent, remainder=silent)


def _realized(shown: Performance, metric: str, answered: int) -> Metric:
    """What the version showed in the window, if it answered most of the rows whose drift is measured."""
    if answered and shown.rows < MOSTLY * answered:
        return Metric(
            value=None,
            reason=f"the version answered {shown.rows:,} of {answered:,} rows of this range, so what it showed "
            "cannot be set beside the drift of all of them",
        )
    return shown.metrics.get(metric, Metric(value=None, reason="not measured"))


def _unshown(version: VersionRow, hidden: frozenset[str]) -> str:
    left_out = sum(feature.name in hidden for feature in version.signature.features)
    if not left_out:
        return ""
    verb = "column is" if left_out == 1 else "columns are"
    return f"{left_out} sensitive {verb} not shown; what that costs is in the remainder."


def _impact(
    handle: ModelHandle,
    version: VersionRow,
    window: Window,
    metric: str,
    reference_rows: int,
    answered: int,
    shown: Performance,
    found: Effects,
    unshown: str,
) -> Impact:
    return Impact(
        model=handle.name,
        version=version.version,
        window=window,
        metric=metric,
        rows=answered,
        reference_rows=reference_rows,
        reference=found.reference,
        realized=_realized(shown, metric, answered),
        change=found.change,
        features=found.features,
        summed=found.summed,
        remainder=found.remainder,
        answered=shown.rows / answered if answered else None,
        labelled=shown.labelled,
        mature=shown.mature,
        unshown=unshown,
        reason="" if found.features else found.reference.reason,
    )

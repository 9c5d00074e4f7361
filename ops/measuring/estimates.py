"""Performance before its labels, and how good that was once they came: the log, the reference and each version joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.opened import Memory
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.estimate import LEAST_ROWS, Estimate, Expected, metrics_of
from pilothouse.data.measures.scoreboard import (
    LEAST_BUCKETS,
    Ahead,
    Scoreboard,
    ScoreLine,
    Standing,
    Track,
    judge_metric,
    worst_of,
)
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.class_estimator import ClassEstimator
from pilothouse.ops.measuring.estimators import BinaryEstimator, Estimator, LossEstimator
from pilothouse.ops.measuring.frames import TRUE

if TYPE_CHECKING:
    from pilothouse.data.history.history import History
    from pilothouse.ops.model import ModelHandle

JUDGED_OVER, EVERY = timedelta(weeks=26), timedelta(weeks=1)
"""How far back, and in what buckets, estimates are held against the truth before one is relied on."""
_MAKERS: dict[Task, Callable[[ModelHandle], Estimator]] = {
    Task.BINARY: BinaryEstimator,
    Task.MULTICLASS: ClassEstimator,
    Task.REGRESSION: LossEstimator,
}
_memory: Memory[Ahead] = Memory()
_TITLES = {"roc_auc": "ROC AUC", "macro_roc_auc": "macro ROC AUC", "log_loss": "log-loss", "mae": "MAE"}
"""What the metrics that decide are called in a sentence."""


def estimate(handle: ModelHandle, window: Window) -> tuple[Estimate, Scoreboard]:
    """Performance over `window` from answers alone; and the half year up to its end, which says whether to rely on that."""
    wide = Window(min(window.start, window.end - JUDGED_OVER), window.end)
    estimator = _MAKERS[handle.task](handle)
    rows = estimator.rows(wide)
    asked, past = _within(rows, window), _judged(handle, estimator, rows, wide, EVERY)
    reason = _too_few(estimator, asked)
    if reason:
        return _unsaid(handle, window, asked.height, estimator.reference_rows, reason), past
    found = Estimate(
        model=handle.name,
        window=window,
        rows=asked.height,
        reference_rows=estimator.reference_rows,
        calibrated=estimator.calibrated,
        metrics=metrics_of(estimator.expected(asked)),
        trusted=past.trusted,
        reason="" if past.trusted else past.reason,
    )
    return found, past


def scoreboard(handle: ModelHandle, window: Window, every: timedelta) -> Scoreboard:
    """Estimates of each bucket of `window` beside what came true, and what that says of the estimates."""
    estimator = _MAKERS[handle.task](handle)
    return _judged(handle, estimator, estimator.rows(window), window, every)


def ahead(handle: ModelHandle, window: Window, every: timedelta) -> Ahead:
    """Estimates of the buckets of `window` whose labels have not all had time to come, and whether to rely on them.

    Remembered for as long as the log is what it was; nothing is read where all labels have had their time.
    """
    history = handle.history
    young = [bucket for bucket in history.steps(window, every) if not _mature(history, bucket)]
    if not young:
        return Ahead(lines=(), trusted=None)
    asked = (handle.house.workspace.root, handle.name, history.policy, tuple(young), history.watermark())
    return _memory.recall(asked, lambda: _ahead(handle, young))


def _ahead(handle: ModelHandle, young: Sequence[Window]) -> Ahead:
    span = Window(young[0].start, young[-1].end)
    estimator = _MAKERS[handle.task](handle)
    wide = Window(min(span.start, span.end - JUDGED_OVER), span.end)
    rows = estimator.rows(wide)
    lines = [_line(estimator, _within(rows, bucket), bucket, mature=False) for bucket in young]
    if not any(line.estimated for line in lines):
        return Ahead(lines=(), trusted=None, reason=_why_none(estimator, lines))
    past = _judged(handle, estimator, rows, wide, EVERY)
    return Ahead(lines=tuple(lines), trusted=past.trusted, reason="" if past.trusted else past.reason)


def _why_none(estimator: Estimator, lines: Sequence[ScoreLine]) -> str:
    most = max(line.rows for line in lines)
    return estimator.why_not or f"{most:,} answered rows in the fullest of them; {LEAST_ROWS} would do"


def _mature(history: History, bucket: Window) -> bool:
    """Whether all labels of a bucket have had time to come."""
    end = history.data_end()
    return end is not None and bucket.end + history.policy.horizon <= end


def _unsaid(handle: ModelHandle, window: Window, rows: int, reference: int, reason: str) -> Estimate:
    return Estimate(
        model=handle.name,
        window=window,
        rows=rows,
        reference_rows=reference,
        calibrated=None,
        metrics={},
        reason=reason,
    )


def _too_few(estimator: Estimator, rows: pl.DataFrame) -> str:
    if rows.height >= LEAST_ROWS:
        return ""
    return estimator.why_not or f"{rows.height:,} answered rows in this range; {LEAST_ROWS} would do"


def _judged(
    handle: ModelHandle, estimator: Estimator, rows: pl.DataFrame, window: Window, every: timedelta
) -> Scoreboard:
    history = handle.history
    lines = [
        _line(estimator, _within(rows, bucket), bucket, mature=_mature(history, bucket))
        for bucket in history.steps(window, every)
    ]
    tracks = {name: judge_metric(lines, name) for name in _names(lines)}
    standing, name = worst_of(tracks)
    return Scoreboard(
        model=handle.name,
        window=window,
        every=every,
        lines=tuple(lines),
        tracks=tracks,
        standing=standing,
        reason=_reason(standing, name, lines, tracks),
    )


def _line(estimator: Estimator, rows: pl.DataFrame, window: Window, *, mature: bool) -> ScoreLine:
    labelled = rows.filter(pl.col(TRUE).is_not_null()) if rows.height else rows
    weighed = labelled if mature else rows
    found = estimator.expected(weighed) if weighed.height >= LEAST_ROWS else {}
    realized = estimator.realized(labelled) if mature and found else {}
    return ScoreLine(
        window=window,
        rows=rows.height,
        labelled=labelled.height,
        mature=mature,
        estimated=metrics_of(found),
        realized={name: Metric(value=value) for name, value in realized.items()},
        expected={name: each for name, each in found.items() if isinstance(each, Expected)},
    )


def _names(lines: Sequence[ScoreLine]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line.estimated))


def _within(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    return rows.filter(pl.col("at") >= window.start, pl.col("at") < window.end)


def _reason(standing: Standing, name: str | None, lines: Sequence[ScoreLine], tracks: dict[str, Track]) -> str:
    if name is None:
        known = sum(bool(line.realized) for line in lines)
        return f"{known} {_buckets(lines)} have all their labels and enough of them; {LEAST_BUCKETS} would do"
    track = tracks[name]
    inside = (
        f"in {round((track.coverage or 0) * track.buckets)} of {track.buckets} {_buckets(lines)} {_TITLES[name]} came out "
        "within the band of its estimate"
    )
    if standing is Standing.HOLDS or track.since is None:
        return inside
    began = lines[track.since].window.start
    return f"{inside}; from {began.day} {began:%B %Y} on, answers are not worth what they were in the reference"


def _buckets(lines: Sequence[ScoreLine]) -> str:
    # A week in which clocks are set is an hour longer, or shorter.
    weeks = all(abs(line.window.length - EVERY) <= timedelta(hours=1) for line in lines)
    return "weeks" if weeks else "buckets"

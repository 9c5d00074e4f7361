"""Performance before its labels, and how good that was once they came: the log, the reference and each version joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.estimate import LEAST_ROWS, Estimate, Expected, metrics_of
from pilothouse.data.measures.scoreboard import (
    LEAST_BUCKETS,
    Scoreboard,
    ScoreLine,
    Standing,
    Track,
    judge_metric,
    worst_of,
)
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.estimators import BinaryEstimator, Estimator, LossEstimator
from pilothouse.ops.measuring.frames import TRUE

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

JUDGED_OVER, EVERY = timedelta(weeks=26), timedelta(weeks=1)
"""How far back, and in what buckets, estimates are held against the truth before one is relied on."""
_MAKERS: dict[Task, Callable[[ModelHandle], Estimator]] = {
    Task.BINARY: BinaryEstimator,
    Task.REGRESSION: LossEstimator,
}
_NO_WAY = (
    "Performance without labels is estimated for binary models and regressions; {model} tells several classes apart."
)


def estimate(handle: ModelHandle, window: Window) -> tuple[Estimate, Scoreboard]:
    """Performance over `window` from answers alone; and the half year up to its end, which says whether to rely on that."""
    wide = Window(min(window.start, window.end - JUDGED_OVER), window.end)
    make = _MAKERS.get(handle.task)
    if make is None:
        return _unsaid(handle, window, 0, 0, _NO_WAY.format(model=handle.name)), _no_board(handle, wide, EVERY)
    estimator = make(handle)
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
    make = _MAKERS.get(handle.task)
    if make is None:
        return _no_board(handle, window, every)
    estimator = make(handle)
    return _judged(handle, estimator, estimator.rows(window), window, every)


def _no_board(handle: ModelHandle, window: Window, every: timedelta) -> Scoreboard:
    reason = _NO_WAY.format(model=handle.name)
    return Scoreboard(
        model=handle.name, window=window, every=every, lines=(), tracks={}, standing=Standing.TOO_FEW, reason=reason
    )


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
    due = history.data_end()
    lines = [
        _line(estimator, _within(rows, w), w, mature=due is not None and w.end + handle.label_policy.horizon <= due)
        for w in history.steps(window, every)
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
        return f"{known} buckets have all their labels and enough of them; {LEAST_BUCKETS} would do"
    track = tracks[name]
    inside = (
        f"of {track.buckets} buckets {round((track.coverage or 0) * track.buckets)} came true within the band of {name}"
    )
    if standing is Standing.HOLDS or track.since is None:
        return inside
    began = lines[track.since].window.start
    return f"{inside}; from {began:%d %B %Y} on, scores are not worth what they were in the reference"

"""Weak segments of a model: what is reported of each beside its loss, and how losses of single rows are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, auc_band, auc_with_variance
from pilothouse.data.measures.cuts import Condition, Cut
from pilothouse.data.measures.gaps import difference
from pilothouse.data.measures.outcomes import Bools, Floats, Ints, brier_scores, log_losses
from pilothouse.data.measures.row_buckets import DAYS, Buckets, buckets_of, days_of
from pilothouse.data.measures.slices import half_of
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window

PART_ROWS = 20
"""Labelled rows of a segment from which a part of the window says whether it was worse there."""
ENOUGH_DAYS = 14
"""Days of labelled rows from which every other day is searched and the days between measure; below, every other row."""
SINCE_ROWS = 50
"""Labelled rows of a segment on each side of a deploy from which it can be called new."""


class Loss(StrEnum):
    """What a row costs. The first three are for binary models.

    surprise : the log-loss beyond what the model's own probability made one expect, so that rows which are merely hard
    to tell do not count. error : 1 for a wrong class. absolute_error : |prediction - label|.
    """

    LOG_LOSS = "log_loss"
    BRIER = "brier"
    SURPRISE = "surprise"
    ERROR = "error"
    ABSOLUTE_ERROR = "absolute_error"


LOSSES = {
    Task.BINARY: (Loss.LOG_LOSS, Loss.BRIER, Loss.SURPRISE),
    Task.MULTICLASS: (Loss.ERROR,),
    Task.REGRESSION: (Loss.ABSOLUTE_ERROR,),
}
"""By task, the usual one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakSegment:
    """Rows on which the model is worse than on all others.

    rows, share : of the answered rows. labelled : those with a label. loss, rest, difference : measured on the half of
    the labelled rows that the search has not seen. expected : how much of the difference the model's own probabilities
    had made one expect; none for tasks without. worse_in, parts : in how many parts of the window it was worse, of those
    with enough rows. before : the difference in a window as long before the last deploy. new_since_deploy : whether it
    was not weak then and has become so; None where that cannot be said. metrics : ROC AUC of the segment and the rest.
    """

    conditions: tuple[Condition, ...]
    rows: int
    share: float
    labelled: int
    loss: Metric
    rest: Metric
    difference: Metric
    expected: Metric
    q: float
    worse_in: int
    parts: int
    before: Metric
    new_since_deploy: bool | None
    metrics: dict[str, Metric]

    @property
    def name(self) -> str:
        return " and ".join(map(str, self.conditions))


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakSegments:
    """What was found in a window, the greatest difference first.

    columns : those that were searched. unshown : how many were left out, being sensitive or masked. searched : segments
    looked at on one half. tested : those measured on the other half, over which the false discovery rate is kept.
    deployed_at : the last change of champion. reason : why nothing can be said.
    """

    model: str
    version: int | None
    window: Window
    loss: Loss
    rows: int
    labelled: int
    columns: tuple[str, ...]
    unshown: int
    searched: int
    tested: int
    found: tuple[WeakSegment, ...]
    deployed_at: datetime | None
    reason: str = ""


def halves_of(times: Ints, cuts: Sequence[Cut], columns: pl.DataFrame, zone: str) -> tuple[Bools, Buckets | None]:
    """Which rows are searched, and what the others are counted together by; no bucket holds rows of both where it can.

    times : int64, shape (rows,), microseconds since 1970. Every other day is searched from ENOUGH_DAYS of them on;
    below, about half of the rows, whatever day they are of.
    """
    days = days_of(times, zone)
    if len(np.unique(days)) >= ENOUGH_DAYS:
        return days % 2 == 0, Buckets(by=DAYS, places=days - days.min())
    return half_of(times, cuts, columns), buckets_of(times, zone)


def row_losses(
    loss: Loss, signature: Signature, said: pl.Series, score: pl.Series, label: pl.Series
) -> tuple[Floats, Floats]:
    """The loss of each row and what the model's probability made one expect; NaN where it has no label or no answer.

    Shapes (rows,). The second is NaN throughout for tasks without probabilities.
    """
    nothing = np.full(len(label), np.nan)
    if signature.task is Task.MULTICLASS:
        return (said != label).cast(pl.Float64).fill_null(np.nan).to_numpy(), nothing
    if signature.task is Task.REGRESSION:
        return (said - label).abs().cast(pl.Float64).fill_null(np.nan).to_numpy(), nothing
    p = score.cast(pl.Float64).fill_null(np.nan).to_numpy()
    known, positive = (
        label.is_not_null().to_numpy(),
        np.asarray((label == signature.target.positive).fill_null(value=False)),
    )
    measure = brier_scores if loss is Loss.BRIER else log_losses
    of_each = np.where(known, measure(p, positive), np.nan)
    yes, no = np.ones(len(p), bool), np.zeros(len(p), bool)
    expected = np.where(known, p * measure(p, yes) + (1 - p) * measure(p, no), np.nan)
    return (of_each - expected, np.where(known, 0.0, np.nan)) if loss is Loss.SURPRISE else (of_each, expected)


def steadiness(mask: Bools, loss: Floats, part: Ints) -> tuple[int, int]:
    """In how many parts the rows of `mask` are worse than the others, and of how many parts that can be said.

    part : int64, shape (rows,), which part of the window each row is of.
    """
    worse = told = 0
    for one in np.unique(part):
        inside, outside = loss[mask & (part == one)], loss[~mask & (part == one)]
        if min(len(inside), len(outside)) >= PART_ROWS:
            told, worse = told + 1, worse + int(inside.mean() > outside.mean())
    return worse, told


def since_deploy(before: Metric, since: Metric) -> bool | None:
    """Whether a segment was not weak before and has become so: the two differences, of rows before and since.

    True where the earlier band reaches 0 and the change is more than chance makes; both samples are independent.
    """
    if before.value is None or since.value is None or before.low is None or since.low is None:
        return None
    spread = np.hypot(before.value - before.low, since.value - since.low) / Z
    return bool(before.low <= 0 and since.value - before.value > Z * spread)


def told_apart(mask: Bools, loss: Floats, together: Buckets | None) -> Metric:
    """The difference in mean loss between the rows of `mask` and the others, where the segment has rows enough."""
    rows = int(mask.sum())
    if rows < SINCE_ROWS:
        return Metric(value=None, reason=f"{rows:,} labelled rows; {SINCE_ROWS} would do")
    return difference(mask, loss, together)


def ranking(score: Floats, positive: Bools) -> Metric:
    """ROC AUC with its DeLong band, from every score. score : finite."""
    if positive.all() or not positive.any():
        return Metric(value=None, reason="only one class; ROC AUC compares two")
    _, slots = np.unique(score, return_inverse=True)
    size = int(slots.max()) + 1
    came, stayed = np.bincount(slots[positive], minlength=size), np.bincount(slots[~positive], minlength=size)
    value, variance = auc_with_variance(came, stayed)
    low, high = auc_band(value, variance)
    return Metric(value=value, low=low, high=high)

"""Where a model is weak: the labelled rows of a window searched for segments with a higher loss than the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.history.results import Metric
from pilothouse.data.limits import Limit
from pilothouse.data.measures.gaps import difference
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.measures.row_buckets import Buckets, buckets_of
from pilothouse.data.measures.slices import Slice, SliceRule, cut_columns, find_slices
from pilothouse.data.measures.weak_segments import (
    LOSSES,
    Loss,
    WeakSegment,
    WeakSegments,
    halves_of,
    ranking,
    row_losses,
    since_deploy,
    steadiness,
    told_apart,
)
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, labelled_rows

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_WEEK = timedelta(weeks=1)
_QUARTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    """The labelled rows of a window: columns to search, the loss of each row, what was expected of it, and its time."""

    rows: pl.DataFrame
    loss: Floats
    expected: Floats

    @property
    def times(self) -> Ints:
        return self.rows["at"].dt.epoch("us").to_numpy().astype(np.int64)

    def differ(self, mask: Bools, rows: Bools, zone: str) -> Metric:
        """The difference in loss between the rows of `mask` and the others, of `rows` alone."""
        return told_apart(mask[rows], self.loss[rows], buckets_of(self.times[rows], zone))


def weak_segments(
    handle: ModelHandle, window: Window, loss: str | None = None, *, rule: SliceRule, version: int | None = None
) -> WeakSegments:
    """Segments of one or two conditions on which the model is worse than on all other rows.

    Features and context columns are searched; sensitive and masked ones are not, since a condition shows a value.
    loss : of `Loss`; by default the first of the task's. version : its own answers alone.
    Raises BadData for a loss of another task, UnknownVersion, QueryTooSlow.
    """
    chosen, classes = _chosen(handle, loss), handle.row.classes
    with Limit(handle.house.settings.query_limit_s):
        read = _Read(handle, window, version)
        everything = read.window
        judged = _judged(handle, chosen, everything)
        known = [c.name for c in handle.signature.columns if c.name in everything.columns]
        names = [name for name in known if classes.get(name) not in UNSHOWN]
        columns = judged.rows.select(names)
        cuts = cut_columns(columns, rule)
        searched, together = halves_of(judged.times, cuts, columns, handle.house.settings.time_zone)
        # What the model expects of itself sums to nothing, so surprise has no size of its own to be compared with.
        scale = _usual_loss(handle, everything) if chosen is Loss.SURPRISE else None
        found = find_slices(cuts, columns, judged.loss, searched, rule, scale=scale, together=together)
        asked = _Asked(handle, read, chosen, judged, ~searched, together)
        segments = tuple(asked.described(one) for one in found.slices)
    return WeakSegments(
        model=handle.name, version=version, window=window, loss=chosen, rows=len(everything), labelled=found.rows,
        columns=tuple(names), unshown=len(known) - len(names), searched=found.searched, tested=found.tested,
        found=segments, deployed_at=read.deployed, reason=found.reason,
    )  # fmt: skip


def _chosen(handle: ModelHandle, loss: str | None) -> Loss:
    allowed = LOSSES[handle.task]
    found = allowed[0] if loss is None else next((one for one in allowed if one == loss), None)
    if found is None:
        raise BadData(f"{loss!r} is no loss of a {handle.task} model. Choose one of: {', '.join(allowed)}.")
    return found


def _judged(handle: ModelHandle, loss: Loss, rows: pl.DataFrame) -> _Judged:
    of_each, expected = row_losses(loss, handle.signature, rows[SAID], rows[SCORED], rows[TRUE])
    known = np.isfinite(of_each)
    if known.all():
        return _Judged(rows=rows, loss=of_each, expected=expected)
    return _Judged(rows=rows.filter(pl.Series(known)), loss=of_each[known], expected=expected[known])


def _usual_loss(handle: ModelHandle, rows: pl.DataFrame) -> float:
    usual = _judged(handle, LOSSES[handle.task][0], rows).loss
    return float(usual.mean()) if len(usual) else 0.0


class _Read:
    """The labelled rows that are asked about: those of the window, and of one as long up to the last deploy.

    deployed : when the champion last changed; None for a first champion, before whom nothing was.
    """

    def __init__(self, handle: ModelHandle, window: Window, version: int | None) -> None:
        self._handle, self._version, self.asked = handle, version, window
        changes = handle.deployments
        self.deployed = changes[0].at if changes and changes[0].previous is not None else None
        before = self._before
        # Where the two meet, one reading of both costs little more than that of one.
        self._both = window
        if before is not None and before.start <= window.end and window.start <= before.end:
            self._both = Window(min(before.start, window.start), max(before.end, window.end))
        self._rows = labelled_rows(handle, self._both, version)
        self.window = self._within(window)

    @property
    def before(self) -> pl.DataFrame:
        """Up to the last deploy, of which there must be one."""
        span = self._before
        assert span is not None
        held = self._both.start <= span.start and span.end <= self._both.end
        return self._within(span) if held else labelled_rows(self._handle, span, self._version)

    @property
    def _before(self) -> Window | None:
        return None if self.deployed is None else Window(self.deployed - self.asked.length, self.deployed)

    def _within(self, span: Window) -> pl.DataFrame:
        # Oldest first, so that they stand together.
        first, last = (self._rows["at"].search_sorted(edge) for edge in (span.start, span.end))
        return self._rows.slice(first, last - first)


class _Asked:
    """What is said of each segment that was found."""

    def __init__(
        self, handle: ModelHandle, read: _Read, loss: Loss, judged: _Judged, measured: Bools, together: Buckets | None
    ) -> None:
        self._handle, self._read, self._loss, self._judged = handle, read, loss, judged
        self._measured, self._together = measured, together
        self._earlier: _Judged | None = None

    def described(self, found: Slice) -> WeakSegment:
        mask, half = found.rows_of(self._judged.rows), self._measured
        rows = found.rows_of(self._read.window)
        worse, parts = steadiness(mask[half], self._judged.loss[half], self._parts()[half])
        before, new = self._since_deploy(found, mask)
        return WeakSegment(
            conditions=found.conditions, rows=int(rows.sum()), share=float(rows.mean()), labelled=found.rows,
            loss=found.loss, rest=found.rest, difference=found.difference, expected=self._expected(mask), q=found.q,
            worse_in=worse, parts=parts, before=before, new_since_deploy=new, metrics=self._metrics(mask),
        )  # fmt: skip

    def _parts(self) -> Ints:
        """Which week of the window each row is of; which quarter of a window shorter than four weeks."""
        span = min(_WEEK, self._read.asked.length / _QUARTERS)
        since = self._judged.times - round(self._read.asked.start.timestamp() * 1e6)
        return since // round(span.total_seconds() * 1e6)

    def _expected(self, mask: Bools) -> Metric:
        if self._handle.task is not Task.BINARY:
            return Metric(value=None, reason="the log holds no probability to expect a loss from")
        half, expected = self._measured, self._judged.expected
        return difference(mask[half], expected[half], None if self._together is None else self._together.of(half))

    def _metrics(self, mask: Bools) -> dict[str, Metric]:
        if self._handle.task is not Task.BINARY:
            return {}
        score = self._judged.rows[SCORED].to_numpy()
        positive = np.asarray(self._judged.rows[TRUE] == self._handle.signature.target.positive)
        sides = {"roc_auc": mask & self._measured, "roc_auc_rest": ~mask & self._measured}
        return {name: ranking(score[side], positive[side]) for name, side in sides.items()}

    def _since_deploy(self, found: Slice, mask: Bools) -> tuple[Metric, bool | None]:
        if self._read.deployed is None:
            return Metric(value=None, reason="the champion has never changed"), None
        before, zone = self._before(), self._handle.house.settings.time_zone
        earlier = before.differ(found.rows_of(before.rows), np.ones(len(before.loss), bool), zone)
        since = self._measured & np.asarray(self._judged.rows["at"] >= self._read.deployed)
        return earlier, since_deploy(earlier, self._judged.differ(mask, since, zone))

    def _before(self) -> _Judged:
        """The labelled rows of a window as long as the one asked about, up to the last deploy; judged once."""
        if self._earlier is None:
            self._earlier = _judged(self._handle, self._loss, self._read.before)
        return self._earlier

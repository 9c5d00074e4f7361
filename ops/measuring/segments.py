"""Segments beside the rest, by one column or two: read from the answered rows of a window and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.history.results import Metric
from pilothouse.data.limits import Limit
from pilothouse.data.measures.drift import DECILES, psi, rows_needed
from pilothouse.data.measures.exact import NumberSample
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.row_buckets import buckets_of
from pilothouse.data.measures.segment_comparison import (
    ComparedSegment,
    Said,
    SegmentComparison,
    compare_means,
    compare_ranking,
    compare_shares,
)
from pilothouse.data.measures.weak_segments import LOSSES, row_losses
from pilothouse.data.rollups.profile import SCORE, Profile
from pilothouse.data.rollups.segments import SegmentColumn
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, labelled_rows
from pilothouse.ops.segments import look_behind

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

LISTED = 200
"""Segments that are compared; of more, the commonest."""
METRIC = {Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
_KEY = "__segment"


def compared_segments(
    handle: ModelHandle,
    columns: Sequence[str],
    window: Window,
    *,
    version: int | None,
    unmask: bool,
    reason: str,
) -> SegmentComparison:
    """The rows that share a value of each of `columns`, one or two features or context columns, beside all others.

    Raises BadData for another number of columns, UnknownColumn, HiddenColumn, NotAllowed, NoReason, QueryTooSlow.
    """
    if not 1 <= len(columns) <= 2 or len(set(columns)) < len(columns):
        raise BadData(f"Segments are told by one column or by two different ones; got {', '.join(columns) or 'none'}.")
    look_behind(handle, columns, unmask=unmask, reason=reason)
    with Limit(handle.house.settings.query_limit_s):
        rows = labelled_rows(handle, window, version)
        cuts = [_segment_column(handle, name, rows) for name in columns]
        keyed = _keyed(rows, columns, cuts)
        sizes = keyed.group_by(_KEY).agg(rows=pl.len(), labelled=pl.col(TRUE).count())
        sizes = sizes.sort("rows", _KEY, descending=[True, False])
        listed = sizes.head(LISTED)
        segments = _described(handle, keyed, columns, cuts, listed)
    beyond = sizes.tail(len(sizes) - len(listed))
    return SegmentComparison(
        model=handle.name, columns=tuple(columns), version=version, window=window, metric=METRIC[handle.task],
        rows=len(rows), labelled=len(rows) - rows[TRUE].null_count(),
        segments=tuple(sorted(segments, key=lambda s: _order(s, handle.task))),
        unlisted=len(beyond), unlisted_rows=int(beyond["rows"].sum()),
    )  # fmt: skip


def _order(segment: ComparedSegment, task: Task) -> tuple[bool, float, int]:
    value = segment.metric.value
    worst_first = 0.0 if value is None else -value if task is Task.REGRESSION else value
    return value is None, worst_first, -segment.rows


def _segment_column(handle: ModelHandle, name: str, rows: pl.DataFrame) -> SegmentColumn:
    values = rows[name] if name in rows.columns else pl.Series(name, [], pl.String)
    return SegmentColumn.of(handle.signature, handle.name, name, values)


def _keyed(rows: pl.DataFrame, columns: Sequence[str], cuts: Sequence[SegmentColumn]) -> pl.DataFrame:
    """`rows` with a list of the value of each column, by which segments are told apart."""
    named = [_named(cut, rows[name]) for name, cut in zip(columns, cuts, strict=True)]
    return rows.with_columns(pl.DataFrame(named).select(pl.concat_list(pl.all())).to_series().alias(_KEY))


def _named(cut: SegmentColumn, values: pl.Series) -> pl.Series:
    names = np.array([name for name, _ in cut.labels()], dtype=object)
    return pl.Series(cut.name, names[cut.bins.codes(values)], dtype=pl.String)


def _described(
    handle: ModelHandle, rows: pl.DataFrame, columns: Sequence[str], cuts: Sequence[SegmentColumn], listed: pl.DataFrame
) -> list[ComparedSegment]:
    codes = _codes(rows, listed)
    compared = _compared(handle, rows, codes, len(listed))
    drifts = _score_drift(handle, rows, columns, cuts, listed, codes)
    return [
        ComparedSegment(
            values=tuple(values), rows=n, labelled=labelled, coverage=labelled / n, metric=own, rest=rest,
            difference=gap, score_psi=moved,
        )
        for (values, n, labelled), (own, rest, gap), moved in zip(listed.iter_rows(), compared, drifts, strict=True)
    ]  # fmt: skip


def _compared(handle: ModelHandle, rows: pl.DataFrame, codes: Ints, n: int) -> list[Said]:
    loss, _ = row_losses(LOSSES[handle.task][0], handle.signature, rows[SAID], rows[SCORED], rows[TRUE])
    known = np.isfinite(loss)
    times = rows["at"].dt.epoch("us").to_numpy()[known]
    together = buckets_of(times, handle.house.settings.time_zone)
    if handle.task is Task.REGRESSION:
        return compare_means(codes[known], n, loss[known], together)
    if handle.task is Task.MULTICLASS:
        return compare_shares(codes[known], n, loss[known] == 0, together)
    positive = np.asarray((rows[TRUE] == handle.signature.target.positive).fill_null(value=False))
    return compare_ranking(codes[known], n, rows[SCORED].to_numpy()[known], positive[known], together)


def _score_drift(
    handle: ModelHandle, rows: pl.DataFrame, columns: Sequence[str], cuts: Sequence[SegmentColumn],
    listed: pl.DataFrame, codes: Ints,
) -> list[Metric]:  # fmt: skip
    """PSI of the score of each segment, against the reference rows of the same segment."""
    reference = Profile.load_sample(handle.house.workspace.reference(handle.name, handle.row.profile_id))
    stored = [cut.stored for cut in cuts]
    absent = next((cut.name for cut in cuts if cut.stored not in reference.columns), None)
    if absent is not None or SCORE not in reference.columns or handle.task is not Task.BINARY:
        why = f"the reference has no {absent}" if absent is not None else "the model gives no score"
        return [Metric(value=None, reason=why)] * len(listed)
    known = _keyed(reference.select(stored).rename(dict(zip(stored, columns, strict=True))), columns, cuts)
    before, now = reference[SCORE].to_numpy(), rows[SCORED].to_numpy()
    places = _codes(known, listed)
    return [_moved(before[places == place], now[codes == place]) for place in range(len(listed))]


def _codes(rows: pl.DataFrame, listed: pl.DataFrame) -> Ints:
    """Which of the listed segments each row is of: int64, shape (rows,); their number for one that is not listed."""
    places = listed.select(_KEY).with_row_index("place")
    found = rows.select(_KEY).join(places, on=_KEY, how="left", maintain_order="left")["place"]
    return found.fill_null(len(listed)).cast(pl.Int64).to_numpy()


def _moved(before: Floats, now: Floats) -> Metric:
    needed = rows_needed(DECILES)
    if min(len(before), len(now)) < needed:
        return Metric(
            value=None, reason=f"{len(now):,} rows, {len(before):,} in the reference; {needed} of each would do"
        )
    known, moved = NumberSample.of(pl.Series(before)), NumberSample.of(pl.Series(now))
    edges = known.decile_edges
    return Metric(value=psi(known.counts_between(edges), moved.counts_between(edges)))

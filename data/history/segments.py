"""Rows and outcomes by the values of one column: from roll-ups for a watched column, from the log's rows for any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.counting import Chosen, Counter
from pilothouse.data.history.exact import Rows
from pilothouse.data.history.results import Metric, SegmentRow
from pilothouse.data.limits import check_limit
from pilothouse.data.policies import Silence
from pilothouse.data.rollups.contributions import outcomes_between
from pilothouse.data.rollups.outcomes import count_outcomes, realized
from pilothouse.data.rollups.plan import make_plan
from pilothouse.data.rollups.schema import TRUE_SCORE, Part
from pilothouse.data.rollups.segments import SegmentColumn
from pilothouse.data.rollups.store import read_counts
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from pilothouse.data.history.history import History

_PARTS = (Part.SEGMENT_VOLUME, Part.SEGMENT_OUTCOME)
_SUMS = ("n", "s", "s2")
SORTED_BY = {Task.BINARY: ("roc_auc", False), Task.MULTICLASS: ("accuracy", False), Task.REGRESSION: ("mae", True)}
"""By task, the metric that segments are ordered by, and whether its greatest value is the worst."""


def segment_of(history: History, counter: Counter, column: str, window: Window, chosen: Chosen) -> SegmentColumn:
    """The column as it is watched, or with the commonest values of the window. Raises UnknownColumn."""
    stored = history.signature.stored_as(column)
    watched = next((s for s in history.profile.segments if (s.name, s.stored) == (column, stored)), None)
    if watched is not None:
        return watched
    values = pl.Series(dtype=pl.Null) if stored is None else _values(counter.rows(window, chosen), stored)
    return SegmentColumn.of(history.signature, history.model, column, values)


def is_watched(counter: Counter, segment: SegmentColumn) -> bool:
    """Whether the roll-ups hold the column: chosen, and counted since."""
    profile = counter.profile
    return any(segment is one for one in profile.segments) and counter.cursor.counted_by(profile.counted_by)


def segment_counts(counter: Counter, segment: SegmentColumn, window: Window, chosen: Chosen) -> pl.DataFrame:
    """Counts of one column's segments: columns part, feature, bin, label, n, s, s2; features as `named` names them."""
    if not is_watched(counter, segment):
        return _scanned(counter, segment, window, chosen, _PARTS)
    plan = make_plan([counter.answerable(window)], counter.settings.zone, None, counter.data_end)
    unsaid = counter.source.policy.silence is Silence.NEGATIVE
    in_buckets = [Part.SEGMENT_VOLUME] if unsaid else list(_PARTS)
    buckets = read_counts(counter.rollups, plan.buckets, in_buckets, roles=chosen.roles, version=chosen.version)
    of_column = buckets.filter(
        (pl.col("feature") == segment.name) | pl.col("feature").str.ends_with(f" {segment.name}")
    )
    scans = [_scanned(counter, segment, span, chosen, in_buckets) for span, _ in plan.scans]
    if unsaid:
        scans.append(_scanned(counter, segment, window, chosen, [Part.SEGMENT_OUTCOME]))
    return _added([of_column, *scans])


def segment_rows(history: History, segment: SegmentColumn, counts: pl.DataFrame) -> tuple[SegmentRow, ...]:
    """The segments that have rows, worst first; those whose metric cannot be said come last, the largest first."""
    volume = counts.filter(pl.col("part") == Part.SEGMENT_VOLUME, pl.col("feature") == segment.name)
    outcome = counts.filter(pl.col("part") == Part.SEGMENT_OUTCOME).with_columns(
        pl.col("feature").str.splitn(" ", 3).struct.rename_fields(["measure", "slot", "column"])
    )
    named = outcome.unnest("feature").filter(pl.col("column") == segment.name)
    found = [
        _segment_row(history, label, is_value, *_of_slots(volume, named, slots))
        for label, is_value, slots in _by_label(segment)
    ]
    metric, greatest_worst = SORTED_BY[history.signature.task]

    def order(row: SegmentRow) -> tuple[bool, float, int]:
        value = row.metrics.get(metric, Metric(value=None)).value
        return value is None, 0.0 if value is None else -value if greatest_worst else value, -row.rows

    return tuple(sorted((row for row in found if row.rows or row.labelled), key=order))


def _by_label(segment: SegmentColumn) -> Iterator[tuple[str, bool, list[int]]]:
    slots: dict[tuple[str, bool], list[int]] = {}
    for slot, label in enumerate(segment.labels()):
        slots.setdefault(label, []).append(slot)
    for (name, is_value), of_label in slots.items():
        yield name, is_value, of_label


def _of_slots(volume: pl.DataFrame, outcome: pl.DataFrame, slots: Sequence[int]) -> tuple[int, pl.DataFrame]:
    rows = int(volume.filter(pl.col("bin").is_in(slots))["n"].sum())
    told = outcome.filter(pl.col("slot").is_in([str(slot) for slot in slots]))
    return rows, told.with_columns(part=pl.lit(Part.OUTCOME.value), feature=pl.col("measure"))


def _segment_row(history: History, label: str, is_value: bool, rows: int, outcome: pl.DataFrame) -> SegmentRow:
    labelled = int(outcome.filter(pl.col("feature") == TRUE_SCORE)["n"].sum())
    return SegmentRow(
        value=label,
        is_value=is_value,
        rows=rows,
        labelled=labelled,
        coverage=labelled / rows if rows else None,
        metrics=realized(outcome, history.signature),
    )


def _scanned(
    counter: Counter, segment: SegmentColumn, span: Window, chosen: Chosen, parts: Sequence[Part]
) -> pl.DataFrame:
    found = [_empty()]
    if Part.SEGMENT_VOLUME in parts:
        found.append(_volume(counter.rows(span, chosen), segment))
    if Part.SEGMENT_OUTCOME in parts:
        found.append(_outcomes(counter, segment, span, chosen))
    return _added(found)


def _volume(rows: Rows, segment: SegmentColumn) -> pl.DataFrame:
    counted = pl.Series("bin", segment.bins.codes(_values(rows, segment.stored))).value_counts(name="n")
    return counted.select(
        part=pl.lit(Part.SEGMENT_VOLUME.value), feature=pl.lit(segment.name), bin=pl.col("bin").cast(pl.Int32),
        label=pl.lit(None, pl.Int32), n=pl.col("n").cast(pl.Int64), s=pl.lit(0.0), s2=pl.lit(0.0),
    )  # fmt: skip


def _outcomes(counter: Counter, segment: SegmentColumn, span: Window, chosen: Chosen) -> pl.DataFrame:
    check_limit()
    silent_at: datetime | None = counter.data_end if counter.source.policy.silence is Silence.NEGATIVE else None
    zone = counter.settings.time_zone
    told = outcomes_between(
        counter.source, counter.prediction_files(), counter.label_files(), span, zone, silent_at, (segment,)
    ).filter(pl.col("role").is_in(list(chosen.roles)))
    if chosen.version is not None:
        told = told.filter(pl.col("version") == chosen.version)
    counted = count_outcomes(told, counter.source.signature, zone, None, segments=(segment,))
    return counted.filter(pl.col("part") == Part.SEGMENT_OUTCOME)


def _values(rows: Rows, stored: str) -> pl.Series:
    """The column's values in the rows asked about."""
    return rows.read([stored]).to_series().filter(rows.asked_about())


def _added(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    kept = [part.select(_empty().columns) for part in counts]
    return pl.concat([_empty(), *kept]).group_by("part", "feature", "bin", "label").agg(pl.col(_SUMS).sum())


def _empty() -> pl.DataFrame:
    kinds = {"part": pl.String, "feature": pl.String, "bin": pl.Int32, "label": pl.Int32}
    return pl.DataFrame(schema={**kinds, "n": pl.Int64, "s": pl.Float64, "s2": pl.Float64})

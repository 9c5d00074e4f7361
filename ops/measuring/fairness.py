"""How alike a model treats the groups of one column: read from the answered rows of a window and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.limits import Limit
from pilothouse.data.measures.fairness import (
    Counts,
    Disparity,
    Fairness,
    FairnessPoint,
    Group,
    binary_counts,
    class_counts,
    disparities,
    error_disparities,
    error_rates,
    rates,
)
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.rollups.segments import Rest, SegmentColumn
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, TRUE, labelled_rows
from pilothouse.ops.segments import look_behind

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_RATE = {Task.BINARY: "selection_rate", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mean_error"}
"""By task, what a trend shows of each group."""


def fairness(
    handle: ModelHandle,
    column: str,
    window: Window,
    *,
    version: int | None,
    min_rows: int,
    every: timedelta,
    unmask: bool,
    reason: str,
) -> Fairness:
    """Groups of `column`, a feature or context column, over the window and by spans of `every` within it.

    A category's 50 commonest values are groups, all others are not compared; a number is told apart by tenths.
    min_rows : answered rows that a group must have; smaller ones are named and left out.
    Raises UnknownColumn, HiddenColumn, NotAllowed, NoReason, QueryTooSlow.
    """
    look_behind(handle, (column,), unmask=unmask, reason=reason)
    with Limit(handle.house.settings.query_limit_s):
        rows = labelled_rows(handle, window, version)
        grouped = grouped_by(handle, column, rows)
        whole = _compared(handle, grouped, min_rows)
        trend = [_point(handle, grouped, span, min_rows) for span in handle.history.steps(window, every)]
    groups, left_out, apart = whole
    few = f"{len(groups)} groups have {min_rows:,} rows or more; 2 would do" if len(groups) < 2 else ""
    return Fairness(
        model=handle.name, column=column, version=version, window=window, rows=len(rows), labelled=_known(rows),
        min_rows=min_rows, groups=groups, left_out=left_out, disparities=apart, every=every,
        trend=tuple(point for point in trend if point.rows), reason=few,
    )  # fmt: skip


def grouped_by(handle: ModelHandle, column: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with the group of each as `group`. Raises UnknownColumn."""
    values = rows[column] if column in rows.columns else pl.Series(column, [], pl.String)
    found = SegmentColumn.of(handle.signature, handle.name, column, values)
    names = np.array([name for name, _ in found.labels()], dtype=object)
    return rows.with_columns(group=pl.Series(names[found.bins.codes(values)], dtype=pl.String))


def _point(handle: ModelHandle, grouped: pl.DataFrame, span: Window, min_rows: int) -> FairnessPoint:
    rows = grouped.filter(pl.col("at") >= span.start, pl.col("at") < span.end)
    groups, _, apart = _compared(handle, rows, min_rows)
    told = {group.name: group.metrics[_RATE[handle.task]] for group in groups}
    return FairnessPoint(window=span, rows=len(rows), labelled=_known(rows), rates=told, disparities=apart)


def _compared(
    handle: ModelHandle, grouped: pl.DataFrame, min_rows: int
) -> tuple[tuple[Group, ...], tuple[tuple[str, int], ...], dict[str, Disparity]]:
    """The groups that are large enough, those that are not, and how far the former are apart."""
    sizes = grouped.group_by("group").len("rows").sort("rows", "group", descending=[True, False])
    large = sizes.filter(pl.col("rows") >= min_rows, pl.col("group") != Rest.OTHER)
    small = sizes.join(large, on="group", how="anti").sort("rows", "group", descending=[True, False])
    names = large["group"].to_list()
    kept = grouped.filter(pl.col("group").is_in(names))
    places = {name: place for place, name in enumerate(names)}
    codes = np.array([places[name] for name in kept["group"]], np.int64)
    measured, apart = _measured(handle, kept, codes, names)
    known = np.bincount(codes[kept[TRUE].is_not_null().to_numpy()], minlength=len(names))
    groups = tuple(
        Group(name=name, rows=rows, labelled=int(n), metrics=metrics)
        for name, rows, n, metrics in zip(names, large["rows"].to_list(), known, measured, strict=True)
    )
    return groups, tuple(small.iter_rows()), apart


def _measured(
    handle: ModelHandle, rows: pl.DataFrame, codes: Ints, names: Sequence[str]
) -> tuple[list[dict[str, Metric]], dict[str, Disparity]]:
    if handle.task is Task.REGRESSION:
        error = _numbers(rows[SAID] - rows[TRUE])
        return error_rates(codes, len(names), error), error_disparities(codes, names, error)
    counts: dict[str, Counts]
    if handle.task is Task.MULTICLASS:
        counts = class_counts(codes, len(names), _numbers(rows[SAID] == rows[TRUE]))
    else:
        positive = handle.signature.target.positive
        said, came = _numbers(rows[SAID] == positive), _numbers(rows[TRUE] == positive)
        counts = binary_counts(codes, len(names), said, came)
    return rates(counts, len(names)), disparities(counts, names)


def _numbers(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _known(rows: pl.DataFrame) -> int:
    return len(rows) - rows[TRUE].null_count()

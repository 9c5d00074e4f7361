"""Counted rows, split by window and version, or laid out for arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from pilothouse.data.history.results import TrafficPoint, TrendPoint
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.drift import Counts, Floats
from pilothouse.data.measures.latency import percentile_ms
from pilothouse.data.rollups.bins import LATENCY_SLOTS, LATENCY_STEPS_PER_DECADE
from pilothouse.data.rollups.outcomes import realized
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.rollups.schema import TRUE_SCORE, Part
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Window


def by_point(counts: pl.DataFrame, windows: Sequence[Window]) -> Iterator[tuple[Window, pl.DataFrame]]:
    """Each window with its rows, be there none."""
    found = counts.partition_by("point", as_dict=True)
    for point, window in enumerate(windows):
        yield window, found.get((point,), counts.clear())


def each_version(counts: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """Each version with its rows, lowest first."""
    for (version,), rows in sorted(counts.partition_by("version", as_dict=True).items()):
        yield int(str(version)), rows


def dense_counts(counts: pl.DataFrame, part: Part, feature: FeatureProfile, windows: int) -> tuple[Counts, Floats]:
    """Counts and sums of a feature by window and slot: int64 and float64, shape (windows, slots)."""
    rows = counts.filter(pl.col("part") == part, pl.col("feature") == feature.name)
    shape = (windows, feature.bins.slots)
    counted, sums = np.zeros(shape, np.int64), np.zeros(shape, np.float64)
    at = (rows["point"].to_numpy(), rows["bin"].to_numpy())
    np.add.at(counted, at, rows["n"].to_numpy())
    np.add.at(sums, at, rows["s"].to_numpy())
    return counted, sums


def answered_rows(counts: pl.DataFrame) -> int:
    """Rows that got an answer; those that ended in an error are left out."""
    answered = counts.filter(pl.col("part") == Part.VOLUME, pl.col("feature") == Status.OK)
    return int(answered["n"].sum())


def labelled_rows(counts: pl.DataFrame) -> int:
    """Rows that have a label."""
    labelled = counts.filter(pl.col("part") == Part.OUTCOME, pl.col("feature") == TRUE_SCORE)
    return int(labelled["n"].sum())


def trend_point(
    counts: pl.DataFrame, window: Window, version: int | None, signature: Signature, mature: bool
) -> TrendPoint:
    """Performance in one window; version : None for all."""
    rows, labelled = answered_rows(counts), labelled_rows(counts)
    return TrendPoint(
        window=window,
        version=version,
        rows=rows,
        labelled=labelled,
        coverage=labelled / rows if rows else None,
        mature=mature,
        metrics=realized(counts, signature),
    )


def traffic_point(counts: pl.DataFrame, window: Window, version: int) -> TrafficPoint:
    """Rows, errors and latency of a version in one window."""
    volume = counts.filter(pl.col("part") == Part.VOLUME)
    latency = counts.filter(pl.col("part") == Part.LATENCY)
    slots = np.zeros(LATENCY_SLOTS, np.int64)
    np.add.at(slots, latency["bin"].to_numpy(), latency["n"].to_numpy())
    p50, p95, p99 = (percentile_ms(slots, share, LATENCY_STEPS_PER_DECADE) for share in (0.5, 0.95, 0.99))
    return TrafficPoint(
        window=window,
        version=version,
        rows=int(volume["n"].sum()),
        errors=int(volume.filter(pl.col("feature") == Status.ERROR)["n"].sum()),
        p50_latency_ms=p50,
        p95_latency_ms=p95,
        p99_latency_ms=p99,
    )

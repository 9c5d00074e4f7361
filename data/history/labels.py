"""What is known of a model's labels: how many rows have one, and how long they took to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.history.results import CohortPoint
from pilothouse.data.rollups.schema import TRUE_SCORE, Part, Tier
from pilothouse.data.windows import Window


def label_delays(
    rollups: DeltaFolder, windows: Sequence[Window], zone: ZoneInfo, roles: Sequence[str], version: int | None
) -> pl.DataFrame:
    """How many rows of each window got their first label after how many days: columns point, days, n.

    A correction takes one row away and adds one on the same day, so only first labels are left in the sums.
    windows : whole business days. days : whole business days between the event and the day the label was known.
    """
    months = {month for w in windows for month in _months(w, zone)}
    files = rollups.files(keep=months.__contains__)
    if not files:
        return pl.DataFrame(schema={"point": pl.Int64, "days": pl.Int64, "n": pl.Int64})
    asked = (
        (pl.col("tier") == Tier.DAY.value)
        & (pl.col("part") == Part.OUTCOME.value)
        & (pl.col("feature") == TRUE_SCORE)
        & pl.col("role").is_in(list(roles))
    )
    if version is not None:
        asked &= pl.col("version") == version
    day = pl.col("bucket").dt.convert_time_zone(zone.key).dt.date()
    rows = (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(asked)
        .select("bucket", days=(pl.col("recorded") - day).dt.total_days(), n=pl.col("n").list.sum())
        .collect()
    )
    inside = [
        rows.filter(pl.col("bucket") >= w.start, pl.col("bucket") < w.end).select(
            pl.lit(point, pl.Int64).alias("point"), "days", "n"
        )
        for point, w in enumerate(windows)
    ]
    added = pl.concat(inside).group_by("point", "days").agg(pl.col("n").sum())
    return added.filter(pl.col("n") > 0).sort("point", "days")


def cohort_point(window: Window, rows: int, delays: pl.DataFrame, *, mature: bool) -> CohortPoint:
    """Coverage and delay of the rows of one window. delays : columns days and n, by rising days."""
    labelled = int(delays["n"].sum())
    return CohortPoint(
        window=window,
        rows=rows,
        labelled=labelled,
        coverage=labelled / rows if rows else None,
        delay_p50=_delay(delays, labelled, 0.5),
        delay_p95=_delay(delays, labelled, 0.95),
        mature=mature,
    )


def _delay(delays: pl.DataFrame, labelled: int, share: float) -> timedelta | None:
    """The days after which that share of the labelled rows had their label."""
    if labelled == 0:
        return None
    reached = delays.filter(pl.col("n").cum_sum() >= share * labelled)
    return timedelta(days=int(reached["days"][0]))


def _months(window: Window, zone: ZoneInfo) -> set[str]:
    """The periods of the day tier that `window` touches, as `2026-03`."""
    first, last = (moment.astimezone(zone) for moment in (window.start, window.end - timedelta(microseconds=1)))
    span = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return {f"{month // 12:04d}-{month % 12 + 1:02d}" for month in span}

"""Which days roll-ups alone remember: rows of theirs were removed, thinned or erased, so nobody can count them anew.

Kept as marks in the roll-up table itself, written before the rows go: a rebuild, or a restored backup, always knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.rollups.plan import midnight
from pilothouse.data.rollups.schema import added_up, day_of, no_rows, opened, to_arrow
from pilothouse.data.rollups.store import stored_periods, stored_rows

RAW_FROM = "raw_from"
_GAP = "gap "


def raw_from(folder: DeltaFolder) -> date | None:
    """The first business day of which the log still has every row; None while it has had no retention."""
    mark = folder.mark(RAW_FROM)
    return None if mark is None else date.fromordinal(mark)


def lacks_rows(folder: DeltaFolder, day: date) -> bool:
    """Whether rows of this business day are gone, so that its roll-ups can be kept, and not be counted again."""
    first = raw_from(folder)
    return (first is not None and day < first) or folder.mark(_gap(day)) is not None


def first_whole_day(cut: date, zone: ZoneInfo) -> date:
    """The first business day that begins when the UTC day `cut` does, or later.

    >>> first_whole_day(date(2026, 3, 3), ZoneInfo("America/New_York"))
    datetime.date(2026, 3, 3)
    >>> first_whole_day(date(2026, 3, 3), ZoneInfo("Asia/Tokyo"))
    datetime.date(2026, 3, 4)
    """
    begins = datetime.combine(cut, time.min, UTC)
    return cut if midnight(cut, zone) >= begins else cut + timedelta(days=1)


def mark_raw_from(folder: DeltaFolder, day: date) -> None:
    """Say that rows before `day` are about to go. It never moves back. Raises CommitConflict."""
    known = raw_from(folder)
    if known is None or known < day:
        folder.append(to_arrow(no_rows()), {RAW_FROM: day.toordinal()})


def mark_gaps(folder: DeltaFolder, days: Iterable[date]) -> None:
    """Say that some rows of these business days are about to go. Raises CommitConflict."""
    new = {_gap(day): 1 for day in days if not lacks_rows(folder, day)}
    if new:
        folder.append(to_arrow(no_rows()), new)


def with_kept_days(folder: DeltaFolder, counted: pa.Table, zone: str) -> pa.Table:
    """`counted` for the days whose rows are all there, and what is stored for those whose rows are not.

    counted : as the roll-up table holds them.
    """
    kept = [day for day in _stored_days(folder, zone) if lacks_rows(folder, day)]
    if not kept:
        return counted
    stored = stored_rows(folder, stored_periods(folder))
    without_rows = day_of("bucket", zone).is_in(kept)
    return to_arrow(
        added_up(pl.concat([stored.filter(without_rows), opened(pl.DataFrame(counted)).filter(~without_rows)]))
    )


def _stored_days(folder: DeltaFolder, zone: str) -> list[date]:
    files = folder.files()
    if not files:
        return []
    buckets = pl.scan_parquet(files, hive_partitioning=False).select(pl.col("bucket").unique()).collect()
    return buckets.select(day_of("bucket", zone).unique()).to_series().to_list()


def _gap(day: date) -> str:
    return f"{_GAP}{day.isoformat()}"

"""The roll-up table of a model: opened, read by bucket, kept small."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.rollups.plan import Bucket, midnight
from pilothouse.data.rollups.schema import LISTS, ROLLUP_SCHEMA, SUMS, Part, added_up, no_rows, opened, to_arrow
from pilothouse.data.workspace import Workspace

PREDICTIONS = "predictions"
LABELS = "labels"
HOURS_FROM = "hours_from"
ZONE = "zone"
SEGMENTS = "segments"
_FORM = "histograms"
_GENERATION = 1 << 32
CROWDED = 20
"""Files in one period from which it is rewritten as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What the roll-ups have taken in: versions of the two tables, and since which day hours are complete.

    zone : a number that stands for the business zone in whose days and hours they were counted.
    segments : a number that stands for the segments, and for features that came later, by which they were counted; None
    as long as there were none.
    generation : how often all has been counted anew.
    """

    predictions: int | None
    labels: int | None
    hours_from: date | None
    zone: int | None
    segments: int | None = None
    generation: int = 0

    @classmethod
    def of(cls, folder: DeltaFolder) -> Cursor:
        day, zone, segments = folder.mark(HOURS_FROM), folder.mark(ZONE), folder.mark(SEGMENTS)
        return cls(
            predictions=folder.mark(PREDICTIONS),
            labels=folder.mark(LABELS),
            hours_from=None if day is None else date.fromordinal(day % _GENERATION),
            zone=None if zone is None else zone % _GENERATION,
            segments=None if segments is None else segments % _GENERATION,
            generation=0 if zone is None else zone // _GENERATION,
        )

    def marks(self) -> dict[str, int]:
        """The same as marks of a Delta commit; days as ordinals."""
        # Marks never go back, but hours may begin earlier and a zone's number be lower when all is counted anew.
        since = self.generation * _GENERATION
        day = None if self.hours_from is None else since + self.hours_from.toordinal()
        zone = None if self.zone is None else since + self.zone
        segments = None if self.segments is None else since + self.segments
        held = {
            PREDICTIONS: self.predictions, LABELS: self.labels, HOURS_FROM: day, ZONE: zone, SEGMENTS: segments
        }  # fmt: skip
        return {name: mark for name, mark in held.items() if mark is not None}

    def counted_in(self, zone: str) -> bool:
        """Whether the buckets are those of `zone`; true as long as there are none."""
        return (self.predictions is None and self.labels is None) or self.zone == zone_number(zone)

    def counted_by(self, number: int) -> bool:
        """Whether rows were counted by what `number` stands for (Profile.counted_by); true as long as there are none."""
        nothing = self.predictions is None and self.labels is None
        return nothing or (self.segments or 0) == number

    def hours_since(self, zone: ZoneInfo) -> datetime | None:
        """The moment since when hours are complete."""
        return None if self.hours_from is None else midnight(self.hours_from, zone)


def zone_number(zone: str) -> int:
    """What stands for a zone, and for the form of the rows, among the marks of a Delta table, which are numbers."""
    return zlib.crc32(f"{_FORM} {zone}".encode())


def drop_other_form(folder: DeltaFolder) -> None:
    """Remove roll-ups that an earlier release made in another form; they are counted anew from the log."""
    handle = folder.table()
    if handle is not None and not pa.types.is_list(pa.schema(handle.schema().to_arrow()).field("bin").type):
        shutil.rmtree(folder.path)


def rollup_folder(workspace: Workspace, model: str) -> DeltaFolder:
    return DeltaFolder(
        workspace.rollups(model), ROLLUP_SCHEMA, ("period",), dictionaries=("tier", "role", "part", "feature", "s2")
    )


def read_counts(
    folder: DeltaFolder,
    buckets: Sequence[Bucket],
    parts: Collection[Part],
    *,
    roles: Collection[str],
    version: int | None = None,
    known_until: date | None = None,
) -> pl.DataFrame:
    """Counts of `buckets`, added up by point: columns point, version, part, feature, bin, label, n, s, s2.

    version : that model version alone, None for all. known_until : only what had become known by the end of that day.
    """
    periods = {bucket.period for bucket in buckets}
    files = folder.files(keep=periods.__contains__)
    if not files:
        return _empty()
    points = pl.LazyFrame(
        [(b.tier.value, b.start, b.point) for b in buckets],
        schema={"tier": pl.String, "bucket": pl.Datetime("us", "UTC"), "point": pl.Int64},
        orient="row",
    )
    asked = pl.col("part").is_in([part.value for part in parts]) & pl.col("role").is_in([str(role) for role in roles])
    if version is not None:
        asked &= pl.col("version") == version
    if known_until is not None:
        asked &= pl.col("recorded") <= known_until
    rows = pl.scan_parquet(files, hive_partitioning=False).filter(asked).join(points, on=["tier", "bucket"]).collect()
    return _by_point(rows)


_POINT = ("point", "version", "part", "feature", "label")


def _by_point(rows: pl.DataFrame) -> pl.DataFrame:
    """Histograms added up by point: all slots of a point stand side by side, so that adding up is one count."""
    if rows.height == 0:
        return _empty()
    keys = rows.select(_POINT)
    first = keys.unique(maintain_order=True)
    of = keys.join(first.with_row_index("group"), on=_POINT, how="left", nulls_equal=True, maintain_order="left")
    slots = rows.select(pl.col(LISTS).explode())
    group = np.repeat(of["group"].to_numpy().astype(np.int64), rows["bin"].list.len().to_numpy())
    slot = slots["bin"].to_numpy()
    width = int(slot.max()) + 1
    cells = group * width + slot
    size = first.height * width
    seen = np.flatnonzero(np.bincount(cells, minlength=size))
    n, s, s2 = (np.bincount(cells, slots[name].to_numpy(), minlength=size)[seen] for name in SUMS)
    return first[seen // width].select(
        "point", "version", "part", "feature", pl.Series("bin", seen % width, pl.Int32), "label",
        pl.Series("n", n, pl.Int64), pl.Series("s", s), pl.Series("s2", s2),
    )  # fmt: skip


def _empty() -> pl.DataFrame:
    kinds = {"point": pl.Int64, "version": pl.Int64, "part": pl.String, "feature": pl.String, "bin": pl.Int32}
    return pl.DataFrame(schema={**kinds, "label": pl.Int32, "n": pl.Int64, "s": pl.Float64, "s2": pl.Float64})


def compact_rollups(folder: DeltaFolder, *, crowded: int = CROWDED) -> list[str]:
    """Add up the rows of every period that stands in more than `crowded` files, and drop hours no longer kept.

    Returns the periods rewritten. The figures stay what they were. Raises CommitConflict when a fold came in between.
    """
    folder.refresh()
    if folder.table() is None:
        return []
    cursor = Cursor.of(folder)
    gone = _hours_no_longer_kept(folder, cursor.hours_from)
    full = sorted(set(folder.crowded(crowded)) - set(gone))
    if full or gone:
        rows = to_arrow(stored_rows(folder, full))
        replace_rows(folder, rows, [*full, *gone], cursor.marks(), data_change=False)
        folder.compact([])
    return full


def replace_rows(
    folder: DeltaFolder,
    rows: pa.Table,
    periods: Sequence[str] | None,
    marks: Mapping[str, int],
    *,
    data_change: bool = True,
) -> None:
    """Put `rows` in the place of all rows of `periods` (None: of the whole table) and set `marks`, in one commit.

    data_change : False where the figures stay what they were.
    Raises CommitConflict when somebody else has committed since the handle was refreshed.
    """
    replaced = folder.files(keep=None if periods is None else set(periods).__contains__, check=False)
    folder.commit([rows], replaced, marks, data_change=data_change)


def stored_periods(folder: DeltaFolder) -> list[str]:
    """Months that have days, and days that have hours, sorted."""
    handle = folder.table()
    return [] if handle is None else sorted({row["period"] for row in handle.partitions()})


def stored_rows(folder: DeltaFolder, periods: Sequence[str]) -> pl.DataFrame:
    """All rows of `periods` in long form, added up: one row a key."""
    rows = [
        pl.read_parquet(folder.files(keep=period.__eq__), hive_partitioning=False).with_columns(
            pl.lit(period).alias("period")
        )
        for period in periods
    ]
    return added_up(opened(pl.concat(rows))) if rows else no_rows()


def _hours_no_longer_kept(folder: DeltaFolder, since: date | None) -> list[str]:
    return [
        p for p in stored_periods(folder) if since is not None and len(p) == len("2026-03-14") and p < since.isoformat()
    ]

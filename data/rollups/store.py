"""The roll-up table of a model: opened, read by bucket, kept small."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.errors import CommitConflict
from pilothouse.data.rollups.plan import Bucket, midnight
from pilothouse.data.rollups.schema import ROLLUP_SCHEMA, Part, added_up, no_rows, to_arrow
from pilothouse.data.sql.duck import connect, statement
from pilothouse.data.workspace import Workspace

PREDICTIONS = "predictions"
LABELS = "labels"
HOURS_FROM = "hours_from"
ZONE = "zone"
CROWDED = 20
"""Files in one period from which it is rewritten as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What the roll-ups have taken in: versions of the two tables, and since which day hours are complete.

    zone : a number that stands for the business zone in whose days and hours they were counted.
    """

    predictions: int | None
    labels: int | None
    hours_from: date | None
    zone: int | None

    @classmethod
    def of(cls, folder: DeltaFolder) -> Cursor:
        day = folder.mark(HOURS_FROM)
        return cls(
            predictions=folder.mark(PREDICTIONS),
            labels=folder.mark(LABELS),
            hours_from=None if day is None else date.fromordinal(day),
            zone=folder.mark(ZONE),
        )

    def marks(self) -> dict[str, int]:
        """The same as marks of a Delta commit; days as ordinals."""
        day = None if self.hours_from is None else self.hours_from.toordinal()
        held = {PREDICTIONS: self.predictions, LABELS: self.labels, HOURS_FROM: day, ZONE: self.zone}
        return {name: mark for name, mark in held.items() if mark is not None}

    def counted_in(self, zone: str) -> bool:
        """Whether the buckets are those of `zone`; true as long as there are none."""
        return (self.predictions is None and self.labels is None) or self.zone == zone_number(zone)

    def hours_since(self, zone: ZoneInfo) -> datetime | None:
        """The moment since when hours are complete."""
        return None if self.hours_from is None else midnight(self.hours_from, zone)


def zone_number(zone: str) -> int:
    """What stands for a zone among the marks of a Delta table, which are numbers."""
    return zlib.crc32(zone.encode())


def rollup_folder(workspace: Workspace, model: str) -> DeltaFolder:
    return DeltaFolder(
        workspace.rollups(model), ROLLUP_SCHEMA, ("period",), dictionaries=("tier", "role", "part", "feature")
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
    points = pl.DataFrame(
        [(b.tier.value, b.start, b.point) for b in buckets],
        schema={"tier": pl.String, "bucket": pl.Datetime("us", "UTC"), "point": pl.Int64},
        orient="row",
    )
    bound = {
        "files": files,
        "parts": [part.value for part in parts],
        "roles": [str(role) for role in roles],
        "version": version,
        "known_until": known_until,
    }
    with connect([folder.path]) as duck:
        duck.register("points", points.to_arrow())
        return pl.DataFrame(duck.sql(statement("rollup_counts"), params=bound).to_arrow_table())


def _empty() -> pl.DataFrame:
    kinds = {"point": pl.Int64, "version": pl.Int64, "part": pl.String, "feature": pl.String, "bin": pl.Int32}
    return pl.DataFrame(schema={**kinds, "label": pl.Int8, "n": pl.Int64, "s": pl.Float64, "s2": pl.Float64})


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
        before = folder.version
        replace_rows(folder, stored_rows(folder, full), [*full, *gone], cursor.marks())
        folder.sync_since(before)
        folder.compact([])
    return full


def replace_rows(
    folder: DeltaFolder, rows: pl.DataFrame, periods: Sequence[str] | None, marks: Mapping[str, int]
) -> None:
    """Put `rows` in the place of all rows of `periods` (None: of the whole table) and set `marks`, in one commit.

    Raises CommitConflict when somebody else has committed since the handle was refreshed.
    """
    from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake
    from deltalake.exceptions import CommitFailedError

    handle = folder.table()
    if handle is None:
        folder.append(to_arrow(rows), marks)
        return
    listed = None if periods is None else ", ".join(f"'{period}'" for period in periods)
    try:
        write_deltalake(
            handle,
            to_arrow(rows),
            mode="overwrite",
            predicate=None if listed is None else f"period IN ({listed})",
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
            commit_properties=CommitProperties(
                app_transactions=[Transaction(name, mark) for name, mark in marks.items()], max_commit_retries=0
            ),
        )
    except CommitFailedError:
        raise CommitConflict(folder.path.name) from None


def stored_periods(folder: DeltaFolder) -> list[str]:
    """Months that have days, and days that have hours, sorted."""
    handle = folder.table()
    return [] if handle is None else sorted({row["period"] for row in handle.partitions()})


def stored_rows(folder: DeltaFolder, periods: Sequence[str]) -> pl.DataFrame:
    """All rows of `periods`, added up: one row a key."""
    rows = [
        pl.read_parquet(folder.files(keep=period.__eq__), hive_partitioning=False).with_columns(
            pl.lit(period).alias("period")
        )
        for period in periods
    ]
    return added_up(pl.concat(rows)) if rows else no_rows()


def _hours_no_longer_kept(folder: DeltaFolder, since: date | None) -> list[str]:
    return [
        p for p in stored_periods(folder) if since is not None and len(p) == len("2026-03-14") and p < since.isoformat()
    ]

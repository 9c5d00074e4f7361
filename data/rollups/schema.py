"""What a roll-up row is. One Delta table a model, a row a histogram; rows add up, so several of one key are normal."""

from __future__ import annotations

from enum import StrEnum

import polars as pl
import pyarrow as pa

from pilothouse.data.log.schema import TIME


class Tier(StrEnum):
    """How long a bucket is. Days are kept for good, hours for the youngest days."""

    DAY = "day"
    HOUR = "hour"


class Part(StrEnum):
    """What a row counts. `bin` is a slot of bins.py; rows that ended in an error are volume alone."""

    VOLUME = "volume"
    """Rows by `feature`: "ok" or "error"."""
    FEATURE = "feature"
    SCORE = "score"
    LATENCY = "latency"
    OUTCOME = "outcome"
    """Labelled rows by `label`; `feature` is "score" (by score slot) for every task, and "log_loss" and "brier" of two
    classes, "confusion" (by predicted class) of several, and of those with a probability each "log_loss", "brier", "rank"
    (classes before the true one), "confidence" (by probability of what was said) and "against_rest_3" (by slot of the
    fourth class's probability), "error" (by size slot) and "target" of a number."""

    SEGMENT_VOLUME = "segment-volume"
    """Answered rows by `feature`, a watched column; `bin` is the slot of its value (segments.py). In both tiers."""
    SEGMENT_OUTCOME = "segment-outcome"
    """What OUTCOME counts, of one segment; `feature` names the measure, the slot and the column. By day alone."""


TRUE_SCORE = "score"
LOG_LOSS = "log_loss"
BRIER = "brier"
CONFUSION = "confusion"
ERROR = "error"
RANK = "rank"
CONFIDENCE = "confidence"
AGAINST_REST = "against_rest_"
TARGET = "target"

ROLLUP_SCHEMA = pa.schema(
    [
        pa.field("tier", pa.string(), nullable=False),
        pa.field("bucket", TIME, nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("feature", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("recorded", pa.date32(), nullable=False),
        pa.field("bin", pa.list_(pa.int32()), nullable=False),
        pa.field("n", pa.list_(pa.int64()), nullable=False),
        pa.field("s", pa.list_(pa.float64()), nullable=False),
        pa.field("s2", pa.list_(pa.float64()), nullable=False),
        pa.field("period", pa.string(), nullable=False),
    ]
)
"""One row a histogram: the lists are as long as it has filled slots, so a table of 60 days is a few thousand rows.

bucket : the start, a midnight or whole hour of the business zone. label : the place of the true class among the
target's (1 for the positive one of two), null where there is none. recorded : the day of the business zone on which
this became known. n : rows, signed (a correction takes away on the day it came). s, s2 : sums of the values and of
their squares (squares for outcomes alone). period : the partition, "2026-03" for days and "2026-03-14" for hours."""

KEYS = ("tier", "period", "bucket", "version", "role", "part", "feature", "bin", "label", "recorded")
LISTS = ("bin", "n", "s", "s2")
SUMS = ("n", "s", "s2")
_KINDS = pl.Schema(ROLLUP_SCHEMA)


def no_rows() -> pl.DataFrame:
    """Roll-up rows in long form, a row a slot, in the order of KEYS and SUMS; none of them."""
    return opened(pl.DataFrame(schema=_KINDS))


def opened(stored: pl.DataFrame) -> pl.DataFrame:
    """Stored rows in long form."""
    return stored.explode(LISTS).select(*KEYS, *SUMS)


def added_up(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` in long form, with one row a key; keys whose rows cancel out are gone."""
    summed = rows.group_by(KEYS, maintain_order=True).agg(pl.col(SUMS).sum())
    return summed.filter((pl.col("n") != 0) | (pl.col("s") != 0) | (pl.col("s2") != 0))


def to_arrow(rows: pl.DataFrame) -> pa.Table:
    """`rows` in long form as the table stores them, by time."""
    keys = [key for key in KEYS if key not in LISTS]
    lists = rows.group_by(keys, maintain_order=True).agg(LISTS).sort("bucket", maintain_order=True)
    return lists.select(ROLLUP_SCHEMA.names).to_arrow().cast(ROLLUP_SCHEMA)


def bucket_of(tier: Tier, zone: str) -> pl.Expr:
    """Start of the bucket that `at` falls into, in UTC: what `day_start` and `hour_start` of plan.py say, for a column."""
    local = pl.col("at").dt.convert_time_zone(zone)
    start = _midnight(local.dt.date(), zone) if tier is Tier.DAY else local.dt.truncate("1h")
    return start.dt.convert_time_zone("UTC").alias("bucket")


def _midnight(day: pl.Expr, zone: str) -> pl.Expr:
    """The moment a day begins: the first midnight where the clock shows two, one o'clock where it skips midnight."""
    begin = day.cast(pl.Datetime("us"))
    first = begin.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    skipped = begin.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return first.fill_null(skipped)


def period_of(tier: Tier, zone: str) -> pl.Expr:
    """Partition of the bucket that `at` falls into: its month for days, its day for hours."""
    return period(pl.col("at"), tier, zone)


def period(time: pl.Expr, tier: Tier, zone: str) -> pl.Expr:
    """Partition of a time, or of the bucket that begins with it."""
    return time.dt.convert_time_zone(zone).dt.strftime("%Y-%m" if tier is Tier.DAY else "%Y-%m-%d").alias("period")


def day_of(column: str, zone: str) -> pl.Expr:
    """The business zone's day of a time."""
    return pl.col(column).dt.convert_time_zone(zone).dt.date()

"""Counts of a window told apart by day or by hour, from which bands follow that hold where the rows of one share something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.history.counting import GROUP, Counter
from pilothouse.data.history.results import Metric
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.outcomes import Ints
from pilothouse.data.measures.row_buckets import DAYS, DAYS_UP_TO, HOURS, HOURS_UP_TO, WEEKS
from pilothouse.data.measures.together import LEAST_BUCKETS, enough, equal_buckets
from pilothouse.data.rollups.plan import day_start, hour_start, next_day, next_hour
from pilothouse.data.rollups.schema import TRUE_SCORE, Part
from pilothouse.data.rollups.together import widen
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from pilothouse.data.history.history import History

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Counts of VOLUME and another part. whole : of the window. buckets : `point` numbers the day, hour or week of it."""

    whole: pl.DataFrame
    buckets: pl.DataFrame
    by: str
    part: Part

    @classmethod
    def of(cls, buckets: pl.DataFrame, by: str, part: Part) -> Apart:
        whole = buckets.with_columns(point=pl.lit(0, pl.Int64)).group_by(GROUP).agg(pl.col("n", "s", "s2").sum())
        return cls(whole=whole, buckets=buckets, by=by, part=part)

    def widen(self, metrics: Mapping[str, Metric], signature: Signature, threshold: float = 0.5) -> dict[str, Metric]:
        """`metrics` of the whole with bands that hold for whole buckets; threshold : of a binary model."""
        return widen(metrics, self.buckets, self.by, signature, threshold)

    @property
    def number(self) -> int:
        """How many buckets there are, the last of them with rows."""
        return int(self.buckets["point"].to_numpy().max(initial=-1)) + 1

    @property
    def told(self) -> str:
        """What the rows are told apart by; empty where these buckets are too few to say how far they lie apart."""
        return self.by if enough(self.rows) else ""

    @property
    def rows_of_one(self) -> float:
        """Rows of a bucket, were all of equal size."""
        return float(self.rows.sum()) / max(1.0, equal_buckets(self.rows))

    @property
    def rows(self) -> Ints:
        """Rows by bucket, of those that have some: labelled ones where outcomes were counted, else answered ones."""
        part, feature = (Part.OUTCOME, TRUE_SCORE) if self.part is Part.OUTCOME else (Part.VOLUME, Status.OK)
        counted = self.buckets.filter(pl.col("feature") == str(feature), pl.col("part") == part)
        rows = np.bincount(counted["point"].to_numpy(), weights=counted["n"].to_numpy()).astype(np.int64)
        return rows[rows > 0]


def count_apart(
    history: History, counter: Counter, window: Window, version: int | None, as_known: datetime | None, part: Part
) -> Apart:
    """Counts of VOLUME and `part`, told apart by the longest buckets of which enough hold rows, else by the shortest.

    As many roll-up rows are read as for the whole window.
    """
    span, zone = counter.answerable(window), history.zone
    for by in _offered(span, counter.cursor.hours_since(zone)):
        apart = Apart.of(
            history.count(bucket_windows(span, by, zone), (Part.VOLUME, part), version, as_known), by, part
        )
        if enough(apart.rows):
            break
    return apart


def bucket_windows(window: Window, by: str, zone: ZoneInfo) -> list[Window]:
    """The business hours, days or weeks of `window`; the first may be a part of one, and the last."""
    floor, following = (hour_start, next_hour) if by == HOURS else (day_start, next_day)
    starts = [following(floor(window.start, zone), zone)]
    while starts[-1] < window.end:
        starts.append(following(starts[-1], zone))
    inner = starts[:-1][::-1][:: 7 if by == WEEKS else 1][::-1]
    return [Window(a, b) for a, b in pairwise([window.start, *inner, window.end])]


def _offered(window: Window, hours_from: datetime | None) -> list[str]:
    """The buckets to try, in that order. hours_from : since when hours are counted; None where they are not."""
    by_hour = hours_from is not None and window.start >= hours_from and window.length <= HOURS_UP_TO
    lengths = {WEEKS: window.length > DAYS_UP_TO, DAYS: window.length >= LEAST_BUCKETS * _DAY, HOURS: by_hour}
    return [by for by, offered in lengths.items() if offered] or [DAYS]

"""Rows told apart by the day, the hour or the week they came in, so that bands may count those of one together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from pilothouse.data.measures.outcomes import Bools, Ints
from pilothouse.data.measures.together import enough

DAYS, HOURS, WEEKS = "days", "hours", "weeks"
DAYS_UP_TO = timedelta(days=70)
"""Windows beyond that are told apart by week: as sure, and a seventh of the work."""
HOURS_UP_TO = timedelta(days=14)
_WEEK = 7
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Buckets:
    """by : what buckets are, such as "days". places : int64, shape (rows,), 0 and above: which one each row is of."""

    by: str
    places: Ints

    @classmethod
    def one(cls, rows: int) -> Buckets:
        """All rows in one, which tells none apart."""
        return cls(by="", places=np.zeros(rows, np.int64))

    @property
    def number(self) -> int:
        """How many there are, the last of them with rows."""
        return int(self.places.max(initial=-1)) + 1

    def of(self, rows: Bools) -> Buckets:
        """Those of some of the rows."""
        return Buckets(by=self.by, places=self.places[rows])


def buckets_of(times: Ints, zone: str) -> Buckets | None:
    """The longest buckets of which enough hold rows; None where there are too few of any.

    times : int64, shape (rows,), microseconds since 1970. zone : in which days and weeks begin.
    """
    return next((found for found in _offered(times, zone) if enough(np.bincount(found.places))), None)


def days_of(times: Ints, zone: str) -> Ints:
    """The business day of each row, counted from 1970."""
    there = pl.from_epoch(pl.Series(times, dtype=pl.Int64), time_unit="us").dt.replace_time_zone("UTC")
    return there.dt.convert_time_zone(zone).dt.date().cast(pl.Int64).to_numpy()


def _offered(times: Ints, zone: str) -> Iterator[Buckets]:
    if not len(times):
        return
    days = days_of(times, zone)
    # Whole weeks up to the last day, as those of a window are.
    since_last = days.max() - days
    if since_last.max() >= DAYS_UP_TO.days:
        yield _from_first(WEEKS, -(since_last // _WEEK))
    yield _from_first(DAYS, days)
    if since_last.max() < HOURS_UP_TO.days:
        yield _from_first(HOURS, times // _HOUR_US)


def _from_first(by: str, places: Ints) -> Buckets:
    return Buckets(by=by, places=places - places.min())

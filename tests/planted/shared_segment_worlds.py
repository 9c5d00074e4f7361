"""Frozen: segments of rows that share something by the hour, by the day, or by the day and the city; none is weak for long.

Written before any band or search was looked at. Whatever is shared moves the labels and how well the score orders them,
and has the same law in every segment. So over endless days no segment is better or worse than the others, except where
one is made to fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
HOURS, AN_HOUR = 24, 30
A_DAY = HOURS * AN_HOUR
CITIES = 10
FAILING, SHIFT = "shop 0", 1.0
"""Five rows in a hundred are of that shop; by how much the log-odds of the truth there are above those that are said."""
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Standard deviation, in log-odds, of what rows of an hour, of a day, and of a day and a city have in common."""

    hour: float = 0.0
    day: float = 0.0
    city_day: float = 0.0


WORLDS: Mapping[str, Shared] = {
    "a day's rows": Shared(day=0.25),
    "an hour's rows": Shared(hour=0.5),
    "a city's day": Shared(day=0.15, city_day=0.5),
    "alone": Shared(),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """columns : those that segments are told by. times : microseconds of each row. day : counts from the first."""

    columns: pl.DataFrame
    times: Ints
    day: Ints
    score: Floats
    positive: Bools


def make(shared: Shared, days: int, rng: np.random.Generator, *, fails: bool = False) -> World:
    """Rows of so many days; `fails`: whether the model is wrong about one shop."""
    rows = days * A_DAY
    day, hour = np.repeat(np.arange(days), A_DAY), np.repeat(np.arange(days * HOURS), AN_HOUR)
    columns = _columns(rng, day, hour)
    city = columns["city"].str.strip_prefix("city ").cast(pl.Int64).to_numpy()
    said = rng.normal(-0.8, 1.1, rows)
    moved = _moved(shared, rng, day, hour, city)
    odds = said * (1 + 0.5 * _moved(shared, rng, day, hour, city)) + moved
    odds = odds + SHIFT * (fails & (columns["shop"] == FAILING).to_numpy())
    return World(
        columns=columns,
        times=hour * _HOUR_US + np.tile(np.arange(AN_HOUR) * (_HOUR_US // AN_HOUR), days * HOURS),
        day=day,
        score=1 / (1 + np.exp(-said)),
        positive=rng.random(rows) < 1 / (1 + np.exp(-odds)),
    )


def _moved(shared: Shared, rng: np.random.Generator, day: Ints, hour: Ints, city: Ints) -> Floats:
    days, hours = int(day[-1]) + 1, int(hour[-1]) + 1
    by_day, by_hour = shared.day * rng.normal(size=days), shared.hour * rng.normal(size=hours)
    by_city = shared.city_day * rng.normal(size=(days, CITIES))
    moved: Floats = by_day[day] + by_hour[hour] + by_city[day, city]
    return moved


def _columns(rng: np.random.Generator, day: Ints, hour: Ints) -> pl.DataFrame:
    days, rows = int(day[-1]) + 1, len(day)
    weather = rng.choice(["dry", "wet", "snow"], days, p=[0.6, 0.3, 0.1])
    on = 1 / (1 + np.exp(-1.5 * rng.normal(size=days)))
    wind = np.sqrt(0.6) * rng.normal(size=days)[day] + np.sqrt(0.4) * rng.normal(size=rows)
    return pl.DataFrame(
        {
            "city": [f"city {n}" for n in rng.integers(0, CITIES, rows)],
            "shop": rng.choice([f"shop {n}" for n in range(10)], rows, p=np.array([0.05, *np.full(9, 0.95 / 9)])),
            "campaign": np.where(rng.random(rows) < on[day], "on", "off"),
            "weather": weather[day],
            "weekday": np.array(["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"])[day % 7],
            "hour": (hour % HOURS).astype(float),
            "wind": wind,
            "height": rng.normal(size=rows),
            "visits": rng.poisson(2, rows).astype(float),
            "income": rng.lognormal(10, 1, rows),
        }
    )


SEGMENTS: Mapping[str, Callable[[pl.DataFrame], Bools]] = {
    "a city": lambda columns: (columns["city"] == "city 0").to_numpy(),
    "a campaign": lambda columns: (columns["campaign"] == "on").to_numpy(),
    "wet days": lambda columns: (columns["weather"] == "wet").to_numpy(),
    "mornings": lambda columns: columns["hour"].is_between(6, 9).to_numpy(),
    "strong wind": lambda columns: (columns["wind"] > 0.8).to_numpy(),
}
"""Told by a column whose values come on every day alike, more on some days than on others, or on whole days alone."""

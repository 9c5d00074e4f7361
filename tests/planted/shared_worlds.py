"""Frozen: worlds in which the rows of an hour, or of a day, share something. Written before any band was looked at.

What is shared moves the label (weather that the model does not see), how well the score orders, and the features. In a
row it is little: less than a hundredth of the variance; added up over the hundreds of rows of a day it makes what a
window shows vary by about one and a half times what independent rows would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS, AN_HOUR = 24, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Standard deviation of what all rows of a day, and of an hour, share; 0 and 0: every row stands alone."""

    day: float
    hour: float


BINARY: Mapping[str, Shared] = {
    "a day's rows": Shared(day=0.16, hour=0.0),
    "an hour's rows": Shared(day=0.0, hour=0.75),
    "both": Shared(day=0.12, hour=0.4),
    "alone": Shared(day=0.0, hour=0.0),
}
REGRESSION: Mapping[str, Shared] = {
    "a day's rows": Shared(day=0.07, hour=0.0),
    "an hour's rows": Shared(day=0.0, hour=0.33),
    "both": Shared(day=0.05, hour=0.2),
    "alone": Shared(day=0.0, hour=0.0),
}


def binary(shared: Shared, days: int, rng: np.random.Generator) -> pl.DataFrame:
    """Labelled rows of a binary model: the feature x, its score, and the label 0 or 1."""
    x, label_moves, order_moves = _shared_parts(shared, days, rng)
    odds = 1.3 * x * (1 + order_moves) - 0.9 + label_moves
    chance, score = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-(1.3 * x - 0.9)))
    label = (rng.random(len(x)) < chance).astype(np.int64)
    said = np.where(score >= 0.5, 1, 0)
    return _frame(days, x=x, score=score, prediction=said, label=label)


def regression(shared: Shared, days: int, rng: np.random.Generator) -> pl.DataFrame:
    """Labelled rows of a regression: the feature x, the prediction, and a label some way off."""
    x, label_moves, order_moves = _shared_parts(shared, days, rng)
    said = 50 + 6 * x
    label = said + 4 * np.exp(order_moves) * (rng.normal(size=len(x)) + label_moves)
    return _frame(days, x=x, score=np.full(len(x), np.nan), prediction=said, label=label)


DRAWS: Mapping[str, Callable[[Shared, int, np.random.Generator], pl.DataFrame]] = {
    "binary": binary,
    "regression": regression,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """Labelled rows of a reference and of a window of 28 days, and large samples in which one feature alone drifted."""

    reference: pl.DataFrame
    window: pl.DataFrame
    before: pl.DataFrame
    alone: Mapping[str, pl.DataFrame]


FEATURES = ("weather", "own")
SQUEEZED = 0.7


def drifted(shared: Shared, days: int, large_days: int, seed: int) -> Drifted:
    """A binary model with a feature that all rows of a day have much in common of, and one of which they have nothing.

    Both are drawn closer together in the window, and what the model does not see moves the labels of each day and hour.
    """
    rng = np.random.default_rng([8, seed])

    def large(scale: Mapping[str, float]) -> pl.DataFrame:
        # The same draws each time, so that a difference is that of the scale and little else.
        return _two_features(shared, large_days, np.random.default_rng([8, 10_000]), scale)

    return Drifted(
        reference=_two_features(shared, days, rng, {}),
        window=_two_features(shared, days, rng, dict.fromkeys(FEATURES, SQUEEZED)),
        before=large({}),
        alone={name: large({name: SQUEEZED}) for name in FEATURES},
    )


def _two_features(shared: Shared, days: int, rng: np.random.Generator, scale: Mapping[str, float]) -> pl.DataFrame:
    rows = days * HOURS * AN_HOUR
    of_day = np.repeat(rng.normal(size=days), HOURS * AN_HOUR)
    weather = scale.get("weather", 1.0) * (np.sqrt(0.6) * of_day + np.sqrt(0.4) * rng.normal(size=rows))
    own = scale.get("own", 1.0) * rng.normal(size=rows)
    odds = 0.8 * weather + 1.1 * own - 0.9
    moved = odds * (1 + _moved(shared, days, rng)) + _moved(shared, days, rng)
    label = (rng.random(rows) < 1 / (1 + np.exp(-moved))).astype(np.int64)
    score = 1 / (1 + np.exp(-odds))
    return _frame(days, weather=weather, own=own, score=score, prediction=np.where(score >= 0.5, 1, 0), label=label)


def _shared_parts(shared: Shared, days: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """The feature, what moves every label, and what moves how far labels lie from the score; a row each."""
    x = np.sqrt(1 - _weight(shared) ** 2) * rng.normal(size=days * HOURS * AN_HOUR) + _moved(shared, days, rng)
    return x, _moved(shared, days, rng), _moved(shared, days, rng)


def _weight(shared: Shared) -> float:
    return float(np.hypot(shared.day, shared.hour))


def _moved(shared: Shared, days: int, rng: np.random.Generator) -> Floats:
    by_day = shared.day * rng.normal(size=(days, 1, 1))
    by_hour = shared.hour * rng.normal(size=(days, HOURS, 1))
    return np.broadcast_to(by_day + by_hour, (days, HOURS, AN_HOUR)).ravel()


def _frame(days: int, **columns: npt.NDArray[np.generic]) -> pl.DataFrame:
    """Rows as the log's labelled ones come to be counted; `day` and `hour` count from the first."""
    hour = np.repeat(np.arange(days * HOURS), AN_HOUR)
    minute = np.tile(np.arange(AN_HOUR) * (60 // AN_HOUR), days * HOURS)
    at = pl.lit(START) + pl.duration(hours="hour", minutes="minute")
    frame = pl.DataFrame({**columns, "hour": hour, "minute": minute, "day": hour // HOURS})
    rows = frame.with_columns(
        at=at.dt.cast_time_unit("us"), version=pl.lit(1, pl.Int64), role=pl.lit("champion"), sign=pl.lit(1, pl.Int8)
    )
    return rows.drop("minute").with_columns(recorded=pl.col("at").dt.date())

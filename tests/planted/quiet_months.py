"""Frozen: a hundred months of drift windows in which nothing is wrong, and how often calibrated thresholds alarm.

Written before the calibration was run on it. Nothing here is to be tuned to a result: a goal that is missed is
reported as missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.measures.drift import Counts, DriftRule
from pilothouse.data.measures.drift_thresholds import DAYS_A_MONTH, allowed_alarms
from pilothouse.data.measures.false_alarms import Calibrated, calibrate_by_days, calibrate_by_rows, measured_of
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import NUMERIC, Kind
from pilothouse.ops.measuring.drift_thresholds import parse_budget, whole_days
from tests.planted.verdict import Verdict

SEEDS = {"small": 2, "full": 20}
MONTHS, BUDGET, WINDOW = 100, "2 per month", "7d"
ROWS_A_DAY, REFERENCE_DAYS, BASELINE_DAYS, DAYS = 150, 28, 56, 7
ALIKE = 0.15
"""How far a day lies from others of its weekday, in standard deviations of its rows."""
MOVED = 0.3

Floats = npt.NDArray[np.float64]
_CARRIERS = np.array([f"c{i:02}" for i in range(12)])


def _categories(latent: Floats) -> pl.Series:
    """Twelve values, a few of them rare, by where the latent value lies."""
    edges = np.array([-2.2, -1.6, -1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2, 1.6, 2.2])
    return pl.Series(_CARRIERS[np.searchsorted(edges, latent)])


def _half_missing(latent: Floats) -> pl.Series:
    return pl.Series(np.where(latent > 0, np.exp(latent), np.nan))


FEATURES: dict[str, tuple[Kind, Callable[[Floats], pl.Series]]] = {
    "normal": (Kind.NUMBER, pl.Series),
    "lognormal": (Kind.NUMBER, lambda z: pl.Series(np.exp(1.2 * z))),
    "rounded": (Kind.NUMBER, lambda z: pl.Series(np.round(2 * z) / 2)),
    "count": (Kind.INTEGER, lambda z: pl.Series(np.maximum(np.floor(6 + 2.5 * z), 0).astype(int))),
    "carrier": (Kind.CATEGORY, _categories),
    "yes": (Kind.BOOLEAN, lambda z: pl.Series(z > 0.8)),
    "zeroes": (Kind.NUMBER, lambda z: pl.Series(np.where(z > 0.5, z, 0.0))),
    "half_missing": (Kind.NUMBER, _half_missing),
}
"""Each feature is made of a standard normal value of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One law: a reference, a baseline's days and a hundred months of days after it, as counts by slot."""

    profiles: Mapping[str, FeatureProfile]
    baseline: Mapping[str, Counts]
    later: Mapping[str, Counts]
    moved: Mapping[str, Counts]


def latent(rng: np.random.Generator, days: int, alike: float, shift: float = 0.0) -> Floats:
    """Values by row, days one after the other: a weekly rhythm, and where `alike` is not 0, a mood of each day."""
    weekly = 0.2 * np.sin(2 * np.pi * np.arange(days) / 7)
    moods = weekly + alike * rng.normal(size=days)
    return (moods[:, None] + rng.normal(size=(days, ROWS_A_DAY)) + shift).ravel()


def make(seed: int, alike: float) -> World:
    rng = np.random.default_rng([20_260, seed, int(1000 * alike)])
    later = int(np.ceil(MONTHS * DAYS_A_MONTH / DAYS)) * DAYS
    profiles: dict[str, FeatureProfile] = {}
    parts: dict[str, dict[str, Counts]] = {"baseline": {}, "later": {}, "moved": {}}
    for name, (kind, law) in FEATURES.items():
        profile = FeatureProfile.of(name, kind, law(latent(rng, REFERENCE_DAYS, alike)))
        profiles[name] = profile
        for part, days, shift in (("baseline", BASELINE_DAYS, 0.0), ("later", later, 0.0), ("moved", DAYS, MOVED)):
            parts[part][name] = _by_day(profile, law(latent(rng, days, alike, shift)), days)
    return World(profiles=profiles, **parts)


def _by_day(profile: FeatureProfile, column: pl.Series, days: int) -> Counts:
    codes = profile.bins.codes(column).reshape(days, ROWS_A_DAY)
    return np.stack([np.bincount(day, minlength=profile.bins.slots) for day in codes]).astype(np.int64)


def windows_of(daily: Counts) -> Counts:
    summed: Counts = daily.reshape(-1, DAYS, daily.shape[1]).sum(axis=1)
    return summed


def alarms(world: World, of: Mapping[str, Counts], limits: Mapping[str, Mapping[str, float]]) -> npt.NDArray[np.bool_]:
    """Whether each feature alarms in each window: bool, shape (features, windows)."""
    found = []
    for name, profile in world.profiles.items():
        measured = measured_of(profile, profile.counts, windows_of(of[name]))
        found.append((measured["psi"] > limits[name]["psi"]) | (measured["missing"] > limits[name]["missing"]))
    return np.array(found)


def _calibrated(world: World, by: str) -> Calibrated:
    allowed = allowed_alarms(parse_budget(BUDGET), whole_days(WINDOW))
    if by == "rows":
        return calibrate_by_rows(world.profiles, DAYS * ROWS_A_DAY, allowed)
    weekdays = [day % 7 for day in range(BASELINE_DAYS)]
    return calibrate_by_days(world.profiles, world.baseline, weekdays, DAYS, allowed)


def run(size: str) -> list[Verdict]:
    """Rows that stand alone, by both ways of drawing; days that are alike, by days."""
    budget = parse_budget(BUDGET)
    cases = (("each row by itself", 0.0, "days"), ("each row by itself", 0.0, "rows"), ("days alike", ALIKE, "days"))
    return [v for words, alike, by in cases for v in _judge(f"{words}, drawn by {by}", alike, by, SEEDS[size], budget)]


def _judge(words: str, alike: float, by: str, seeds: int, budget: float) -> list[Verdict]:
    monthly, with_one, found, fixed = [], [], [], []
    marks = {name: {"psi": DriftRule().psi_critical, "missing": DriftRule().missing_watch} for name in FEATURES}
    for seed in range(seeds):
        world = make(seed, alike)
        limits = _calibrated(world, by).features
        raised = alarms(world, world.later, limits)
        monthly.append(raised.sum() / MONTHS)
        month = (np.arange(raised.shape[1]) * DAYS / DAYS_A_MONTH).astype(int)
        with_one.append(len(set(month[raised.any(axis=0)].tolist())) / (month[-1] + 1))
        found.append(alarms(world, world.moved, limits).mean())
        fixed.append(alarms(world, world.moved, marks).mean())
    numbers = sum(kind in NUMERIC for kind, _ in FEATURES.values())
    detail = f"{len(FEATURES)} features, {numbers} of them numbers; worst world {max(monthly):.2f}"
    return [
        Verdict(name=f"{words}: false alarms", seeds=seeds, value=float(np.mean(monthly)), unit="a month", goal=budget,
                at_most=True, detail=detail),
        Verdict(name=f"{words}: months with one", seeds=seeds, value=float(np.mean(with_one)), unit="share"),
        Verdict(name=f"{words}: moved by 0.3 sd, found", seeds=seeds, value=float(np.mean(found)), unit="share",
                detail=f"in the first window; the fixed mark 0.2 finds {np.mean(fixed):.2f}"),
    ]  # fmt: skip

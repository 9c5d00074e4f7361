"""Frozen: a hundred months in which nothing is wrong, and how often features, scores and answers alarm together.

Written before scores and answers were calibrated. The features are those of `quiet_months`; the score follows all of
them, so that it moves whenever they do, and what is answered follows the score. Nothing here is to be tuned to a result.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.measures.drift import Counts
from pilothouse.data.measures.drift_thresholds import DAYS_A_MONTH, allowed_alarms
from pilothouse.data.measures.false_alarms import calibrate_by_days, calibrate_by_rows
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from pilothouse.ops.measuring.drift_thresholds import parse_budget, whole_days
from tests.planted import quiet_months as quiet
from tests.planted.quiet_months import ALIKE, BASELINE_DAYS, BUDGET, DAYS, FEATURES, MONTHS, WINDOW, World, latent
from tests.planted.verdict import Verdict

SEEDS = quiet.SEEDS
Floats = npt.NDArray[np.float64]
TASKS = {
    "binary": {
        "score": (Kind.NUMBER, lambda z: pl.Series(1 / (1 + np.exp(-z)))),
        "prediction": (Kind.BOOLEAN, lambda z: pl.Series(z > 1)),
    },
    "regression": {"prediction": (Kind.NUMBER, lambda z: pl.Series(20 + 5 * z))},
    "multiclass": {"prediction": (Kind.CATEGORY, lambda z: pl.Series(np.array(["low", "mid", "high"])[_third(z)]))},
}
"""What a model of each task gives besides its features, made of a value that follows all of them."""


def _third(value: Floats) -> npt.NDArray[np.int64]:
    return np.searchsorted(np.array([-0.8, 0.4]), value)


def make(task: str, seed: int, alike: float) -> World:
    """A law of features and answers: its reference, a baseline's days, a hundred months, and a moved week."""
    rng = np.random.default_rng([20_261, seed, int(1000 * alike)])
    later = int(np.ceil(MONTHS * DAYS_A_MONTH / DAYS)) * DAYS
    spans = {"reference": quiet.REFERENCE_DAYS, "baseline": BASELINE_DAYS, "later": later, "moved": DAYS}
    drawn = {
        part: {n: latent(rng, days, alike, quiet.MOVED if part == "moved" else 0.0) for n in FEATURES}
        for part, days in spans.items()
    }
    for values in drawn.values():
        values["answer"] = np.sum(list(values.values()), axis=0) / np.sqrt(len(FEATURES))
    laws = {**{n: (n, *law) for n, law in FEATURES.items()}, **{n: ("answer", *law) for n, law in TASKS[task].items()}}
    profiles = {n: FeatureProfile.of(n, kind, law(drawn["reference"][of])) for n, (of, kind, law) in laws.items()}
    counted = {
        part: {n: _by_day(profiles[n], law(drawn[part][of]), spans[part]) for n, (of, _, law) in laws.items()}
        for part in ("baseline", "later", "moved")
    }
    return World(profiles=profiles, **counted)


def _by_day(profile: FeatureProfile, column: pl.Series, days: int) -> Counts:
    """Rows by day and slot: int64, shape (days, slots)."""
    codes = profile.bins.codes(column).reshape(days, quiet.ROWS_A_DAY)
    return np.stack([np.bincount(day, minlength=profile.bins.slots) for day in codes]).astype(np.int64)


def run(size: str) -> list[Verdict]:
    """Each task, drawn by days, with days that are alike and without; and by rows for one of them. Small: two of these."""
    every = [(task, alike, "days") for task in TASKS for alike in (0.0, ALIKE)] + [("binary", 0.0, "rows")]
    cases = every[1:3] if size == "small" else every
    return [verdict for task, alike, by in cases for verdict in _judge(task, alike, by, SEEDS[size])]


def _judge(task: str, alike: float, by: str, seeds: int) -> list[Verdict]:
    monthly, of_answers, found = [], [], []
    answers = np.arange(len(FEATURES), len(FEATURES) + len(TASKS[task]))
    for seed in range(seeds):
        world = make(task, seed, alike)
        limits = _limits(world, by)
        raised = quiet.alarms(world, world.later, limits)
        monthly.append(raised.sum() / MONTHS)
        of_answers.append(raised[answers].sum() / MONTHS)
        found.append(quiet.alarms(world, world.moved, limits)[answers].mean())
    about = f"{task}, {'days alike' if alike else 'each row by itself'}, drawn by {by}"
    told = f"of them {np.mean(of_answers):.2f} by {' and '.join(TASKS[task])}; worst world {max(monthly):.2f}"
    return [
        Verdict(name=f"{about}: false alarms", seeds=seeds, value=float(np.mean(monthly)), unit="a month",
                goal=parse_budget(BUDGET), at_most=True, detail=told),
        Verdict(name=f"{about}: all moved by 0.3 sd, found", seeds=seeds, value=float(np.mean(found)), unit="share",
                detail="of score and answers, in the first window"),
    ]  # fmt: skip


def _limits(world: World, by: str) -> dict[str, dict[str, float]]:
    """Thresholds of the whole family: features, score and answers share the budget."""
    allowed = allowed_alarms(parse_budget(BUDGET), whole_days(WINDOW))
    if by == "rows":
        return calibrate_by_rows(world.profiles, DAYS * quiet.ROWS_A_DAY, allowed).features
    weekdays = [day % 7 for day in range(BASELINE_DAYS)]
    return calibrate_by_days(world.profiles, world.baseline, weekdays, DAYS, allowed).features

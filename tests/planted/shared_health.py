"""The usual rules of health where days differ: how often a model is called critical though nothing is wrong, and a real loss.

A day's ROC AUC moves by 0.06, twice what its 500 rows alone let it vary. Frozen, with its goals, before bands of health
counted days.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from scipy.stats import norm

from pilothouse.data.history.results import Metric, State
from pilothouse.data.measures.health import Facts, HealthRules, Stretch, judge
from pilothouse.data.measures.ranked import area_under_curve
from pilothouse.data.measures.together import jackknife, widened, without_each
from pilothouse.data.windows import Window
from tests.planted.months import A_DAY, AUC, EDGES, RATE, Ints, band_of
from tests.planted.verdict import Verdict

SEEDS = {"small": 6, "full": 60}
OF_DAYS = {"days differ": 0.06, "days are alike": 0.0}
WEEKS, SPAN, LOOKS = 30, 28, 6
LOSSES = (0.05, 0.1)
START = datetime(2026, 1, 1, tzinfo=UTC)
Band = Callable[[Ints], Metric]


def run(size: str) -> list[Verdict]:
    """Each seed looks at a quiet model every four weeks, and then once after four weeks of a loss."""
    return [verdict for name, of_days in OF_DAYS.items() for verdict in _judged(name, of_days, size)]


def by_days(daily: Ints) -> Metric:
    """ROC AUC of rows by day, class and step, with a band that holds for days."""
    spread = jackknife(area_under_curve(without_each(daily)), daily.sum(axis=(1, 2)))
    return widened(band_of(daily.sum(axis=0)), spread, "days")


def by_rows(daily: Ints) -> Metric:
    return band_of(daily.sum(axis=0))


def counts(rng: np.random.Generator, days: int, auc: float, of_days: float) -> Ints:
    """Rows by day, class and step of the score: int64, shape (days, 2, steps); each day with a ROC AUC of its own."""
    of_day = np.clip(auc + of_days * rng.normal(size=(days, 1)), 0.51, 0.99)
    positive = rng.random((days, A_DAY)) < RATE
    scores = rng.normal(size=(days, A_DAY)) + positive * math.sqrt(2) * norm.ppf(of_day)
    size = len(EDGES) + 1
    places = (np.arange(days)[:, None] * 2 + positive) * size + np.digitize(scores, EDGES)
    return np.bincount(places.ravel(), minlength=days * 2 * size).reshape(days, 2, size)


def state(daily: Ints, band: Band) -> State:
    """What the usual rules say at the end of these days, of which the last four weeks are judged."""
    ends = range(len(daily), SPAN - 1, -7)
    spans = [Stretch(window=_window(end), labelled=SPAN * A_DAY, metrics={"roc_auc": band(daily[end - SPAN : end])})
             for end in ends]  # fmt: skip
    now = spans[0].window.end
    facts = Facts(
        now=now, zone=ZoneInfo("UTC"), recent=spans[0], past=tuple(spans[SPAN // 7 :]), reference={}, drift=(),
        coverage=None, usual_coverage=None, last_prediction=now, active_days=0,
    )  # fmt: skip
    return judge(facts, HealthRules()).state


def _window(end: int) -> Window:
    return Window(START + timedelta(days=end - SPAN), START + timedelta(days=end))


def _judged(name: str, of_days: float, size: str) -> list[Verdict]:
    calm: list[tuple[bool, bool]] = []
    lost: dict[float, list[tuple[bool, bool]]] = {loss: [] for loss in LOSSES}
    for seed in range(SEEDS[size]):
        rng = np.random.default_rng([14, seed])
        daily = counts(rng, 7 * WEEKS + (LOOKS - 1) * SPAN, AUC, of_days)
        looks = range(7 * WEEKS, len(daily) + 1, SPAN)
        calm += [_critical(daily[end - 7 * WEEKS : end]) for end in looks]
        for loss in LOSSES:
            worse = counts(rng, SPAN, AUC - loss, of_days)
            lost[loss].append(_critical(np.concatenate([daily[-7 * WEEKS + SPAN :], worse])))
    few = size == "small"
    rows, days = (float(np.mean(each)) for each in zip(*calm, strict=True))
    found = [
        Verdict(
            name=f"{name}, nothing wrong: critical", seeds=SEEDS[size], value=days, unit="of looks",
            goal=0.2 if few else 0.02, at_most=True, detail=f"{rows:.3f} by rows; {len(calm)} looks",
        )
    ]  # fmt: skip
    for loss, told in lost.items():
        rows, days = (float(np.mean(each)) for each in zip(*told, strict=True))
        found.append(
            Verdict(
                name=f"{name}, a loss of {loss}: critical after four weeks", seeds=SEEDS[size], value=days,
                unit="of seeds", goal=None if few or loss < max(LOSSES) else 0.8, detail=f"{rows:.3f} by rows",
            )
        )  # fmt: skip
    return found


def _critical(daily: Ints) -> tuple[bool, bool]:
    """By bands of rows, and of days."""
    told = [state(daily, band) is State.CRITICAL for band in (by_rows, by_days)]
    return told[0], told[1]

"""A hundred months in which nothing is wrong, and then a loss of 0.02 ROC AUC: false alarms of a plan, and its power.

Scores are normal, those of positives higher by what the ROC AUC asks for. Frozen: it does not change to please a rule.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_band, auc_with_variance, standard_error
from pilothouse.data.measures.power import (
    DAYS_A_MONTH,
    Expected,
    Watch,
    choose_span,
    gap_and_allowance,
    terms_of,
)
from tests.planted.verdict import Verdict

SEEDS = {"small": 4, "full": 100}
MONTHS, A_DAY, REFERENCE = 100, 500, 20_000
AUC, LOSS, RATE, BUDGET = 0.75, 0.02, 0.2, 0.1
EDGES = np.linspace(-4, 6, 401)
Ints = npt.NDArray[np.int64]


def run(size: str) -> list[Verdict]:
    """Each seed draws a reference, makes a plan by it, and lives through the months."""
    lives = [life(seed) for seed in range(SEEDS[size])]
    alarms = float(np.mean([found for found, _, _ in lives])) / MONTHS
    seen = [delay is not None and delay <= days for _, delay, days in lives]
    delays = sorted(delay for _, delay, _ in lives if delay is not None)
    spans = sorted({days for _, _, days in lives})
    about = f"budget {BUDGET} a month; spans of {', '.join(map(str, spans))} days"
    slow = f"median {delays[len(delays) // 2]} days; stated: the span" if delays else "never"
    few = size == "small"
    return [
        Verdict(
            name=f"nothing wrong for {MONTHS} months: false alarms a month", seeds=len(lives), value=alarms,
            unit="alarms", goal=2 * BUDGET if few else BUDGET, at_most=True, detail=about,
        ),
        Verdict(
            name=f"a loss of {LOSS} ROC AUC: seen within the stated delay", seeds=len(lives),
            value=float(np.mean(seen)), unit="share of seeds", goal=0.5 if few else 0.8, detail=slow,
        ),
    ]  # fmt: skip


def life(seed: int) -> tuple[int, int | None, int]:
    """False alarms in the months, days from the loss to its alarm (None: never within four spans), days of the span."""
    rng = np.random.default_rng(seed)
    expected = measured(counts(rng, 1, REFERENCE, AUC).sum(axis=0))
    plan = choose_span(expected, A_DAY, LOSS, BUDGET)
    assert plan is not None
    calm = counts(rng, int(MONTHS * DAYS_A_MONTH), A_DAY, AUC)
    standing = alarms(calm, plan, expected)
    began = int((standing[1:] & ~standing[:-1]).sum() + standing[0])
    worse = counts(rng, 4 * plan.days, A_DAY, AUC - LOSS)
    after = alarms(np.concatenate([calm[-plan.days + 1 :], worse]), plan, expected)
    return began, int(after.argmax()) + 1 if after.any() else None, plan.days


def counts(rng: np.random.Generator, days: int, rows: int, auc: float) -> Ints:
    """Rows by day, class and step of the score: int64, shape (days, 2, steps)."""
    positive = rng.random((days, rows)) < RATE
    scores = rng.normal(size=(days, rows)) + positive * math.sqrt(2) * norm.ppf(auc)
    steps = np.digitize(scores, EDGES)
    size = len(EDGES) + 1
    places = (np.arange(days)[:, None] * 2 + positive) * size + steps
    return np.bincount(places.ravel(), minlength=days * 2 * size).reshape(days, 2, size)


def measured(held: Ints) -> Expected:
    metric = band_of(held)
    error = standard_error(metric)
    assert metric.value is not None
    assert error is not None
    return Expected(metric="roc_auc", value=metric.value, error=error, rows=int(held.sum()))


def band_of(held: Ints) -> Metric:
    value, variance = auc_with_variance(held[1], held[0])
    low, high = auc_band(value, variance)
    return Metric(value=value, low=low, high=high)


def alarms(daily: Ints, plan: Watch, expected: Expected) -> npt.NDArray[np.bool_]:
    """Whether the span that ends with each day is an alarm, by the rule that health is judged by."""
    terms = terms_of(plan, expected, BUDGET)
    total = np.cumsum(daily, axis=0)
    spans = total[plan.days - 1 :].copy()
    spans[1:] -= total[: -plan.days]
    found = [gap_and_allowance(band_of(held), terms) for held in spans]
    return np.array([each is not None and each[0] > each[1] for each in found])

"""Quiet months whose days differ: how well the model orders is not the same on all of them, though nothing is wrong.

A day's ROC AUC moves by 0.031, about as much as its 500 rows alone let it vary, so that spans of days vary by one and a
half times what single rows would. Frozen, as months.py is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from pilothouse.data.measures.bands import standard_error
from pilothouse.data.measures.power import DAYS_A_MONTH, Expected, Watch, choose_span
from pilothouse.data.measures.ranked import area_under_curve
from pilothouse.data.measures.together import design_effect, jackknife, student, wider, without_each
from tests.planted import months as quiet
from tests.planted.months import A_DAY, AUC, BUDGET, EDGES, LOSS, MONTHS, RATE, REFERENCE, Ints
from tests.planted.verdict import Verdict

SEEDS = {"small": 2, "full": 20}
OF_DAYS = 0.031
SEEN_DAYS = 28


def run(size: str) -> list[Verdict]:
    alone, together = (
        [life(seed, by_day=by_day) for seed in range(SEEDS[size])] for by_day in (False, True)
    )  # fmt: skip
    before, after = (float(np.mean([found for found, _, _ in lives])) / MONTHS for lives in (alone, together))
    seen = [delay is not None and delay <= plan.days for _, delay, plan in together]
    few, spans = size == "small", sorted({plan.days for _, _, plan in together})
    power = float(np.mean([plan.power for _, _, plan in together]))
    return [
        Verdict(
            name=f"days differ, nothing wrong for {MONTHS} months: false alarms a month", seeds=len(together), value=after,
            unit="alarms", goal=(2 if few else 1) * BUDGET, at_most=True,
            detail=f"{before:.3f} where rows are taken one by one; budget {BUDGET}; spans of {', '.join(map(str, spans))} days",
        ),
        Verdict(
            name=f"days differ, a loss of {LOSS} ROC AUC: seen within the stated delay", seeds=len(together),
            value=float(np.mean(seen)), unit="share of seeds", goal=0.5 * power if few else 0.8,
            detail=f"such plans state a power of {power:.2f} for a full span",
        ),
    ]  # fmt: skip


def counts(rng: np.random.Generator, days: int, auc: float) -> Ints:
    """Rows by day, class and step of the score, as months.counts draws them; each day with a ROC AUC of its own."""
    of_day = np.clip(auc + OF_DAYS * rng.normal(size=(days, 1)), 0.51, 0.99)
    positive = rng.random((days, A_DAY)) < RATE
    scores = rng.normal(size=(days, A_DAY)) + positive * math.sqrt(2) * norm.ppf(of_day)
    size = len(EDGES) + 1
    places = (np.arange(days)[:, None] * 2 + positive) * size + np.digitize(scores, EDGES)
    return np.bincount(places.ravel(), minlength=days * 2 * size).reshape(days, 2, size)


def life(seed: int, *, by_day: bool) -> tuple[int, int | None, Watch]:
    """As months.life; by_day : whether the plan is told how alike rows of one day are, by the newest four weeks."""
    rng = np.random.default_rng([9, seed])
    reference, lately = counts(rng, REFERENCE // A_DAY, AUC), counts(rng, SEEN_DAYS, AUC)
    expected = quiet.measured(reference.sum(axis=0))
    if by_day:
        expected = _told(expected, lately)
    plan = choose_span(expected, A_DAY, LOSS, BUDGET)
    assert plan is not None
    calm = counts(rng, int(MONTHS * DAYS_A_MONTH), AUC)
    standing = quiet.alarms(calm, plan, expected)
    began = int((standing[1:] & ~standing[:-1]).sum() + standing[0])
    worse = counts(rng, 4 * plan.days, AUC - LOSS)
    after = quiet.alarms(np.concatenate([calm[-plan.days + 1 :], worse]), plan, expected)
    return began, int(after.argmax()) + 1 if after.any() else None, plan


def _told(expected: Expected, lately: Ints) -> Expected:
    band = quiet.band_of(lately.sum(axis=0))
    assert standard_error(band) is not None
    spread = jackknife(area_under_curve(without_each(lately)), lately.sum(axis=(1, 2)))
    together = max(1.0, wider(band, spread) / student(SEEN_DAYS))
    of_reference = math.sqrt(design_effect(together**2, A_DAY, A_DAY))
    return replace(expected, error=expected.error * of_reference, wider=of_reference, together=together)

"""The rules of health: each fires at its threshold, not below, and says a true sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pilothouse.data.history.results import FeatureDrift, Metric, State
from pilothouse.data.measures.health import Facts, Stretch, judge
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window, parse_time

NOW = parse_time("2026-09-24T00:00:00Z")
FOUR_WEEKS = timedelta(weeks=4)


def metric(value: float, half: float = 0.01) -> Metric:
    return Metric(value=value, low=value - half, high=value + half)


def stretch(auc: float, *, back: timedelta = timedelta(0), labelled: int = 5000, half: float = 0.01) -> Stretch:
    span = Window(NOW - back - FOUR_WEEKS, NOW - back)
    honest = {"mean_score": metric(0.2), "positive_rate": metric(0.2)}
    return Stretch(window=span, labelled=labelled, metrics={"roc_auc": metric(auc, half), **honest})


def drifted(name: str, psi: float) -> FeatureDrift:
    return FeatureDrift(
        name=name, feature=name, kind=Kind.NUMBER, rows=900, psi=psi, ks=None, ks_p=None, wasserstein=None, jensen_shannon=None,
        missing=0.0, reference_missing=0.0, new_share=None, impact=None, state=State.HEALTHY, reason="",
    )  # fmt: skip


WELL = Facts(
    now=NOW,
    zone=ZoneInfo("UTC"),
    recent=stretch(0.72),
    past=(stretch(0.725, back=FOUR_WEEKS), stretch(0.71, back=2 * FOUR_WEEKS)),
    reference={"roc_auc": metric(0.72)},
    drift=(drifted("temp", 0.05), drifted("wind", 0.1)),
    coverage=0.97,
    usual_coverage=0.98,
    last_prediction=NOW,
    active_days=8,
)


def with_(**changes: Any) -> Facts:
    return replace(WELL, **changes)


def test_a_model_without_a_reason_is_healthy() -> None:
    assert judge(WELL).state is State.HEALTHY
    assert judge(WELL).reasons == ()


def test_decay_beyond_chance_is_critical_and_says_since_when() -> None:
    health = judge(with_(recent=stretch(0.679)))
    assert health.state is State.CRITICAL
    assert health.reasons[0].sentence == (
        "ROC AUC 0.679 over the last 28 days, 0.046 below its best 28 days (0.725, 30 July to 26 August); "
        "the rule allows 0.03"
    )


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        (with_(recent=stretch(0.708)), {"auc_decay": State.WATCH}),
        (with_(recent=stretch(0.69, half=0.05)), {"auc_decay": State.WATCH}),
        (with_(recent=stretch(0.69), past=()), {"auc_reference": State.CRITICAL}),
        (with_(recent=stretch(0.65, half=0.1), past=()), {}),
        (with_(recent=stretch(0.69, half=0.025), past=()), {"auc_reference": State.WATCH}),
        (with_(past=(stretch(0.9, back=timedelta(weeks=40)),)), {}),
        (with_(past=(stretch(0.9, back=FOUR_WEEKS, labelled=20),)), {}),
        (with_(drift=(drifted("temp", 0.3), drifted("wind", 0.19))), {"drift": State.WATCH}),
        (with_(coverage=0.4), {"labels": State.WATCH}),
        (with_(coverage=0.5), {}),
        (with_(last_prediction=NOW - timedelta(hours=25)), {"traffic": State.WATCH}),
        (with_(last_prediction=NOW - timedelta(hours=25), active_days=3), {}),
        (with_(last_prediction=NOW - timedelta(hours=23)), {}),
    ],
)
def test_each_rule_fires_at_its_threshold(facts: Facts, rules: dict[str, State]) -> None:
    assert {reason.rule: reason.state for reason in judge(facts).reasons} == rules


@pytest.mark.parametrize(("said", "came", "fires"), [(0.23, 0.16, True), (0.15, 0.2, True), (0.22, 0.2, False)])
def test_scores_that_promise_too_much_or_too_little(said: float, came: float, fires: bool) -> None:
    recent = stretch(0.72)
    recent.metrics.update(mean_score=metric(said), positive_rate=metric(came))
    reasons = judge(with_(recent=recent)).reasons
    assert bool(reasons) is fires
    if came == 0.16:
        assert reasons[0].sentence == (
            "It predicts 23% positives over the last 28 days, 16% came true: 1.44 times as many; the rule allows 1.25"
        )


def test_chance_may_explain_a_small_difference() -> None:
    recent = stretch(0.72)
    recent.metrics.update(mean_score=metric(0.03), positive_rate=metric(0.02, 0.015))
    assert judge(with_(recent=recent)).reasons == ()


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (with_(last_prediction=None), "No prediction has been logged yet"),
        (
            with_(recent=stretch(0.72, labelled=12)),
            "Too few labelled rows to say, in the last 28 days whose labels are due: 12; 500 would do",
        ),
    ],
)
def test_too_little_to_go_by_is_no_data(facts: Facts, sentence: str) -> None:
    health = judge(facts)
    assert (health.state, health.reasons[0].sentence) == (State.NO_DATA, sentence)

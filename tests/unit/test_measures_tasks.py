"""What regressions and models of several classes are judged by, where rows are few, equal, absurd or of no known class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics as sk
from tests.unit.test_measures_health import WELL, metric

from pilothouse.data.history.results import State
from pilothouse.data.measures.health import judge
from pilothouse.data.measures.segment_comparison import compare_shares
from pilothouse.data.rollups.bins import measurable
from pilothouse.data.rollups.predicted import predicted_performance
from pilothouse.data.signature import Kind, Signature, Target, Task

NUMBER = Signature(features=(), target=Target(name="rent", kind=Kind.NUMBER), task=Task.REGRESSION)
COLOURS = ("früh", "spät ☃", "日本")
COLOUR = Signature(features=(), target=Target(name="colour", kind=Kind.CATEGORY, classes=COLOURS), task=Task.MULTICLASS)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=60))
def test_predictions_without_a_score_are_judged_as_scikit_learn_does(rows: list[tuple[float, float]]) -> None:
    said, came = (np.array(values) for values in zip(*rows, strict=True))
    found = predicted_performance(pl.Series(said), pl.Series(came), NUMBER)
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(came, said), rel=1e-9, abs=1e-9)
    assert found["bias"].value == pytest.approx((said - came).mean(), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(COLOURS), st.sampled_from((*COLOURS, "unheard of"))), min_size=1))
def test_a_label_of_no_known_class_is_an_error_and_no_crash(rows: list[tuple[str, str]]) -> None:
    said, came = (list(values) for values in zip(*rows, strict=True))
    found = predicted_performance(pl.Series(said), pl.Series(came), COLOUR)
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(came, said))


def test_numbers_that_cannot_be_measured_are_none() -> None:
    odd = [1.0, float("nan"), float("inf"), -float("inf"), None, 1e300, -1.7e308, 1e100]
    kept = pl.DataFrame({"a": odd}).select(measurable("a"))["a"].to_list()
    assert kept == [True, False, False, False, False, False, False, True]
    found = predicted_performance(pl.Series([1e300, 2.0]), pl.Series([1.0, float("nan")]), NUMBER)
    assert found["mae"].reason == (
        "no labelled row has numbers as prediction and label; one beyond 1e+100 counts as none"
    )
    (one,) = {predicted_performance(pl.Series([3.0]), pl.Series([1.0]), NUMBER)["mae"]}
    assert (one.value, one.low, one.reason) == (2.0, None, "one row has no band")
    assert predicted_performance(pl.Series([3.0, 4.0]), pl.Series([1.0, 1.0]), NUMBER)["r2"].reason.startswith(
        "all labels"
    )


def test_shares_are_compared_with_bands_that_are_open_where_all_are_right() -> None:
    groups = np.repeat([0, 1], [120, 400])
    hits = np.concatenate([np.ones(120, bool), np.arange(400) % 2 == 0])
    own, rest, gap = compare_shares(groups, 2, hits)[0]
    assert (own.value, rest.value, gap.value) == (1.0, 0.5, 0.5)
    assert own.low is not None
    assert own.low < 0.98
    # Newcombe's method 10, written out: the distances of both Wilson bounds, as the legs of a right angle.
    z = norm.ppf(0.975)
    middle, half = 0.5, z / (1 + z * z / 400) * np.sqrt(0.25 / 400 + z * z / (4 * 400**2))
    assert gap.low == pytest.approx(0.5 - np.hypot(1 - own.low, middle + half - 0.5))
    assert gap.high == pytest.approx(0.5 + np.hypot(0.0, 0.5 - (middle - half)))
    few = compare_shares(np.repeat([0, 1], [3, 400]), 2, np.ones(403, bool))[0]
    assert few[0].reason == "too few labelled rows: 3; 100 would do"
    assert few[2].reason == few[0].reason


@pytest.mark.parametrize(
    ("now", "past", "reference", "rules"),
    [
        ({"accuracy": metric(0.60)}, {"accuracy": metric(0.61)}, {"accuracy": metric(0.61)}, {}),
        (
            {"accuracy": metric(0.57)}, {"accuracy": metric(0.61)}, {"accuracy": metric(0.60)},
            {"accuracy_decay": State.CRITICAL, "accuracy_reference": State.CRITICAL},
        ),
        ({"accuracy": metric(0.57, 0.05)}, {"accuracy": metric(0.61, 0.05)}, {"accuracy": metric(0.60)}, {}),
        ({"mae": metric(118.0, 2)}, {"mae": metric(100.0, 2)}, {}, {"mae_decay": State.CRITICAL}),
        ({"mae": metric(110.0, 2)}, {"mae": metric(100.0, 2)}, {}, {"mae_decay": State.WATCH}),
        ({"mae": metric(112.0, 2)}, {}, {"mae": metric(100.0, 2)}, {"mae_reference": State.CRITICAL}),
        ({"mae": metric(80.0, 2)}, {"mae": metric(100.0, 2)}, {"mae": metric(100.0, 2)}, {}),
        ({"mae": metric(5.0, 1)}, {"mae": metric(0.0, 0.0)}, {"mae": metric(0.0, 0.0)}, {}),
    ],
)  # fmt: skip
def test_health_judges_each_task_by_its_own_metric(now, past, reference, rules) -> None:
    assert WELL.recent is not None
    recent, before = replace(WELL.recent, metrics=now), replace(WELL.past[0], metrics=past)
    found = judge(replace(WELL, recent=recent, past=(before,), reference=reference))
    assert {reason.rule: reason.state for reason in found.reasons} == rules


def test_an_error_is_compared_by_the_share_that_it_has_grown_by() -> None:
    assert WELL.recent is not None
    recent = replace(WELL.recent, metrics={"mae": metric(134.0, 2)})
    (reason,) = judge(replace(WELL, recent=recent, past=(), reference={"mae": metric(93.0, 2)})).reasons
    assert reason.sentence == (
        "Mean absolute error 134.0 over the last 28 days, 44.1% above its reference (93.0); the rule allows 10.0%"
    )

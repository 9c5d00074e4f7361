"""Estimates of several classes without labels: what holds of them whatever the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.measures.calibrate import Way
from pilothouse.data.measures.calibrate_classes import ClassCalibration, calibrate_classes, why_not_calibrate_classes
from pilothouse.data.measures.chances import MOST_CLASSES
from pilothouse.data.measures.estimate import Expected, Told, estimate_binary, metrics_of
from pilothouse.data.measures.estimate_classes import ToldClasses, estimate_classes, metric_names
from pilothouse.data.measures.outcomes import Floats, Ints

FOUR = metric_names(4)


def world(rows: int = 3000, classes: int = 4, seed: int = 0) -> tuple[Floats, Ints]:
    """Chances, squared and thus too sure, and what came true by the chances themselves."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.linspace(1.5, 0.5, classes), rows)
    labels = (chances.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    scores = chances**2
    return scores / scores.sum(axis=1, keepdims=True), labels


@pytest.fixture(scope="module")
def known() -> ClassCalibration:
    return calibrate_classes(*world())


def told_by(known: ClassCalibration, scores: Floats) -> ToldClasses:
    return ToldClasses.by(known, scores, scores.argmax(axis=1))


def values(told: ToldClasses) -> dict[str, float]:
    return {name: each.value for name, each in estimate_classes(told).items() if isinstance(each, Expected)}


def test_probabilities_that_are_too_sure_are_taken_at_their_worth(known: ClassCalibration) -> None:
    scores, labels = world(seed=1)
    said = scores.argmax(axis=1)
    hits = float((said == labels).mean())
    assert known.changes
    assert values(told_by(known, scores))["accuracy"] == pytest.approx(hits, abs=0.02)
    assert scores.max(axis=1).mean() > hits + 0.05


def test_chances_of_a_row_sum_to_one(known: ClassCalibration) -> None:
    told = told_by(known, world(seed=2)[0])
    assert told.chances.sum(axis=1) == pytest.approx(1)
    assert told.chances.min() >= 0


def test_two_classes_are_estimated_as_a_binary_model_is() -> None:
    scores, labels = world(classes=2)
    window = world(800, classes=2, seed=3)[0]
    known = calibrate_classes(scores, labels, Way.ISOTONIC)
    several = estimate_classes(told_by(known, window))
    two = estimate_binary(Told.by(known.curves[1], window[:, 1], window.argmax(axis=1) == 1))
    for name, mine in (
        ("accuracy", "accuracy"),
        ("log_loss", "log_loss"),
        ("macro_roc_auc", "roc_auc"),
        ("mcc", "mcc"),
    ):
        one, other = several[name], two[mine]
        assert isinstance(one, Expected)
        assert isinstance(other, Expected)
        assert one.value == pytest.approx(other.value, abs=1e-3)
        assert one.noise == pytest.approx(other.noise, rel=0.02)
        assert one.doubt == pytest.approx(other.doubt, rel=0.05)


def test_the_noise_is_what_labels_drawn_by_their_chances_show(known: ClassCalibration) -> None:
    scores, rng = world(800, seed=4)[0], np.random.default_rng(5)
    told = told_by(known, scores)
    expected = estimate_classes(told)
    drawn = []
    for _ in range(300):
        labels = (told.chances.cumsum(axis=1) < rng.random((800, 1))).sum(axis=1).clip(max=3)
        drawn.append(values(ToldClasses.realized(scores, told.said, labels)))
    for name in FOUR:
        each, seen = expected[name], np.array([found[name] for found in drawn])
        assert isinstance(each, Expected)
        assert seen.std() == pytest.approx(each.noise, rel=0.15)
        assert seen.mean() == pytest.approx(each.value, abs=0.3 * each.noise)


def test_the_doubt_is_what_other_references_show() -> None:
    """References of the same law, and isotonic curves of them, for the same window."""
    window = world(1500, seed=6)[0]
    found = [
        estimate_classes(told_by(calibrate_classes(*world(1500, seed=100 + n), Way.ISOTONIC), window))
        for n in range(40)
    ]
    for name in ("accuracy", "log_loss", "brier", "macro_f1"):
        each = [one[name] for one in found]
        spread = np.std([e.value for e in each if isinstance(e, Expected)])
        said = np.mean([e.doubt for e in each if isinstance(e, Expected)])
        assert 0.6 < said / spread < 1.7, name


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_rows_does_not_matter(known: ClassCalibration, seed: int) -> None:
    scores = np.round(world(300, seed=7)[0], 2)
    shuffled = np.random.default_rng(seed).permutation(scores)
    first, second = estimate_classes(told_by(known, scores)), estimate_classes(told_by(known, shuffled))
    for name in FOUR:
        one, other = first[name], second[name]
        assert isinstance(one, Expected)
        assert isinstance(other, Expected)
        assert [one.value, one.noise, one.doubt] == pytest.approx([other.value, other.noise, other.doubt], abs=1e-12)


def test_the_order_of_classes_does_not_matter() -> None:
    scores, labels = world()
    window, turned = world(500, seed=8)[0], np.array([2, 0, 3, 1])
    there = np.argsort(turned)
    first = estimate_classes(told_by(calibrate_classes(scores, labels, Way.BETA), window))
    second = estimate_classes(told_by(calibrate_classes(scores[:, turned], there[labels], Way.BETA), window[:, turned]))
    for name in FOUR:
        one, other = first[name], second[name]
        assert isinstance(one, Expected)
        assert isinstance(other, Expected)
        assert [one.value, one.noise, one.doubt] == pytest.approx([other.value, other.noise, other.doubt], abs=1e-9)


def test_versions_pooled_are_as_all_rows_of_one(known: ClassCalibration) -> None:
    scores = world(500, seed=9)[0]
    pooled = estimate_classes(ToldClasses.pooled([told_by(known, scores[:200]), told_by(known, scores[200:])]))
    alone = estimate_classes(told_by(known, scores))
    for name in FOUR:
        one, other = pooled[name], alone[name]
        assert isinstance(one, Expected)
        assert isinstance(other, Expected)
        assert one.value == pytest.approx(other.value)
        assert one.noise == pytest.approx(other.noise)
        # Two calibrations that know nothing of each other leave less doubt than one.
        assert one.doubt <= other.doubt + 1e-12


def test_a_label_that_is_no_class_is_a_miss() -> None:
    scores, labels = world(200, seed=10)
    said = scores.argmax(axis=1)
    known = values(ToldClasses.realized(scores, said, labels))
    odd = values(ToldClasses.realized(scores, said, np.where(np.arange(200) < 100, 4, labels)))
    assert odd["accuracy"] == pytest.approx((said == labels)[100:].sum() / 200)
    assert odd["log_loss"] > 18
    assert known["log_loss"] < 18


def test_a_class_that_nobody_says_or_expects_is_left_out_of_the_means() -> None:
    scores, labels = world(400, classes=3, seed=11)
    wide = np.column_stack([scores, np.zeros(400)])
    said = scores.argmax(axis=1)
    three, four = (values(ToldClasses.realized(each, said, labels)) for each in (scores, wide))
    assert four["top_3"] == 1
    assert {name: four[name] for name in three} == pytest.approx(three)


def test_a_class_of_few_reference_rows_is_taken_as_it_is() -> None:
    scores, labels = world(1000, classes=5, seed=12)
    known = calibrate_classes(scores, np.where(labels == 4, 0, labels))
    assert known.curves[4].way is Way.AS_IT_IS
    assert all(math.isfinite(value) for value in values(told_by(known, scores)).values())


def test_many_classes_are_estimated_in_their_time() -> None:
    scores, labels = world(2000, classes=MOST_CLASSES + 10, seed=13)
    known = calibrate_classes(scores, labels)
    assert {curve.way for curve in known.curves} <= {Way.BETA, Way.AS_IT_IS}
    found = values(told_by(known, scores))
    assert set(found) == set(metric_names(MOST_CLASSES + 10))
    assert found["accuracy"] == pytest.approx((scores.argmax(axis=1) == labels).mean(), abs=0.03)


@pytest.mark.parametrize("row", [[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.0] * 4, [1e300, -1e300, 0.0, 1.0]])
def test_odd_probabilities_do_no_harm(known: ClassCalibration, row: list[float]) -> None:
    found = estimate_classes(told_by(known, np.array([row] * 120)))
    assert all(math.isfinite(e.value) and math.isfinite(e.doubt) for e in found.values() if isinstance(e, Expected))


def test_rows_without_a_finite_probability_are_left_out(known: ClassCalibration) -> None:
    scores = world(300, seed=14)[0]
    odd = np.vstack([scores, [[np.nan, 1, 0, 0]], [[np.inf, 0, 0, 0]]])
    assert values(told_by(known, odd)) == values(told_by(known, scores))
    labels = np.zeros(302, np.int64)
    assert values(ToldClasses.realized(odd, labels, labels)) == values(
        ToldClasses.realized(scores, labels[:300], labels[:300])
    )


def test_no_row_at_all_is_said_so(known: ClassCalibration) -> None:
    found = metrics_of(estimate_classes(told_by(known, np.full((1, 4), np.nan))))
    assert set(found) == set(FOUR)
    assert {m.reason for m in found.values()} == {"no row has a probability for each class"}


def test_one_class_alone_has_no_order() -> None:
    scores = np.tile([0.9, 0.05, 0.05], (150, 1))
    zeros = np.zeros(150, np.int64)
    found = metrics_of(estimate_classes(ToldClasses.realized(scores, zeros, zeros)))
    assert found["accuracy"].value == 1
    assert "compares several" in found["macro_roc_auc"].reason
    none = metrics_of(estimate_classes(ToldClasses.realized(scores, zeros, zeros + 3)))
    assert none["accuracy"].reason == "no row is expected to be of any class"


def test_what_only_one_class_is_said_of_agrees_with_nothing() -> None:
    """As realized performance has it: kappa is 0 and a correlation cannot be said; of one class alone neither can."""
    scores, labels = world(200, seed=15)
    said = np.zeros(200, np.int64)
    found = metrics_of(estimate_classes(ToldClasses.realized(scores, said, labels)))
    assert found["kappa"].value == pytest.approx(0)
    assert "one class alone was said" in found["mcc"].reason
    alone = metrics_of(estimate_classes(ToldClasses.realized(scores, said, said)))
    assert "compares several" in alone["kappa"].reason


def test_of_equal_probabilities_the_first_class_is_the_likeliest() -> None:
    even = np.full((120, 4), 0.25)
    first, last = (np.full(120, place) for place in (1, 2))
    assert values(ToldClasses.realized(even, first, first))["top_2"] == 1
    found = values(ToldClasses.realized(even, last, last))
    assert (found["top_2"], found["top_3"]) == (0, 1)


def test_too_few_reference_rows_say_how_many_would_do() -> None:
    assert "50 labelled reference rows" in why_not_calibrate_classes(np.zeros(50, np.int64), 3)
    assert why_not_calibrate_classes(np.zeros(500, np.int64), 3) == (
        "1 of 3 classes have 10 labelled reference rows; 2 would do"
    )
    assert why_not_calibrate_classes(np.arange(500) % 3, 3) == ""

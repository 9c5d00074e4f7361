"""Estimates without labels: what holds of them whatever the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import foldnorm

from pilothouse.data.measures.calibrate import Calibration, Way, calibrate, why_not_calibrate
from pilothouse.data.measures.distances import expected_distances
from pilothouse.data.measures.estimate import METRICS, Expected, Told, estimate_binary, metrics_of
from pilothouse.data.measures.estimate_loss import Foretold, LossModel, estimate_errors
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.measures.scoreboard import Standing, drift_since, excess, judge_metric, most_outside, worst_of


def reference(rows: int = 3000, seed: int = 0) -> tuple[Floats, np.ndarray]:
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 3, rows)
    return np.sqrt(chance), rng.random(rows) < chance


@pytest.fixture(scope="module")
def known() -> Calibration:
    return calibrate(*reference())


def told_by(known: Calibration, scores: Floats) -> Told:
    return Told.by(known, scores, scores >= 0.5)


def test_a_score_that_promises_too_much_is_taken_at_its_worth(known: Calibration) -> None:
    assert known.way is not Way.AS_IT_IS
    assert known.chances_of(np.array([0.5])) == pytest.approx(0.25, abs=0.03)


def test_scores_that_are_chances_stay_near_what_they_are() -> None:
    rng = np.random.default_rng(1)
    scores = rng.beta(1, 3, 5000)
    found = calibrate(scores, rng.random(5000) < scores)
    assert np.abs(found.chances_of(scores) - scores).max() < 0.06


@pytest.mark.parametrize("way", list(Way))
def test_chances_rise_with_the_score_and_stay_between_0_and_1(way: Way) -> None:
    found = calibrate(*reference(), way=way)
    chances = found.chances_of(np.linspace(0, 1, 500))
    assert (np.diff(chances) >= -1e-12).all()
    assert chances.min() >= 0
    assert chances.max() <= 1


def test_a_model_that_ranks_the_wrong_way_round_is_expected_to_go_on_so() -> None:
    scores, labels = reference()
    wrong = calibrate(1 - scores, labels)
    assert values(told_by(wrong, 1 - scores))["roc_auc"] < 0.3


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_scores_that_are_all_equal_say_nothing_of_the_order(value: float) -> None:
    labels = np.arange(400) % 4 == 0
    known = calibrate(np.full(400, value), labels)
    found = metrics_of(estimate_binary(told_by(known, np.full(200, value))))
    assert found["roc_auc"].value is None or found["roc_auc"].value == pytest.approx(0.5)


def test_scores_of_0_and_1_have_a_log_loss_that_is_finite(known: Calibration) -> None:
    found = estimate_binary(told_by(known, np.repeat([0.0, 1.0], 300)))
    assert all(math.isfinite(each.value) for each in found.values() if isinstance(each, Expected))


def test_rows_without_a_finite_score_are_left_out(known: Calibration) -> None:
    scores = reference(500, seed=3)[0]
    odd = np.concatenate([scores, [np.nan, np.inf, -np.inf]])
    assert values(told_by(known, odd)) == values(told_by(known, scores))


def test_no_row_at_all_is_said_so(known: Calibration) -> None:
    found = metrics_of(estimate_binary(told_by(known, np.array([np.nan]))))
    assert set(found) == set(METRICS)
    assert {m.reason for m in found.values()} == {"no row has a score"}


def test_numbers_far_outside_of_0_to_1_do_no_harm(known: Calibration) -> None:
    found = estimate_binary(told_by(known, np.array([1e300, -1e300, 0.5, 2**62])))
    assert all(isinstance(each, Expected) for each in found.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    scores, known = np.round(reference(400, seed=4)[0], 2), calibrate(*reference(600), way=Way.ISOTONIC)
    shuffled = np.random.default_rng(seed).permutation(scores)
    first, second = values(told_by(known, scores)), values(told_by(known, shuffled))
    assert {n: pytest.approx(v, abs=1e-12) for n, v in first.items()} == second


def test_versions_pooled_are_as_all_rows_of_one(known: Calibration) -> None:
    scores = reference(500, seed=5)[0]
    parts = [told_by(known, scores[:200]), told_by(known, scores[200:])]
    pooled, alone = estimate_binary(Told.pooled(parts)), estimate_binary(told_by(known, scores))
    for name in METRICS:
        one, other = pooled[name], alone[name]
        assert isinstance(one, Expected)
        assert isinstance(other, Expected)
        assert one.value == pytest.approx(other.value)
        assert one.noise == pytest.approx(other.noise)
        # Two calibrations that know nothing of each other leave less doubt than one.
        assert one.doubt <= other.doubt + 1e-12


def test_the_noise_is_what_labels_drawn_by_their_chances_show(known: Calibration) -> None:
    scores = reference(800, seed=6)[0]
    told, said, rng = told_by(known, scores), scores >= 0.5, np.random.default_rng(7)
    expected = estimate_binary(told)
    drawn = [values(Told.realized(scores, said, rng.random(len(scores)) < told.chances)) for _ in range(300)]
    for name in METRICS:
        each = expected[name]
        assert isinstance(each, Expected)
        seen = np.array([value[name] for value in drawn])
        assert seen.std() == pytest.approx(each.noise, rel=0.15)
        assert seen.mean() == pytest.approx(each.value, abs=0.25 * each.noise)


def test_scores_that_are_true_are_off_by_chance_alone() -> None:
    scores, rng = np.random.default_rng(11).beta(2, 2, 1000), np.random.default_rng(12)
    told = Told(scores=scores, said=scores > 0.5, chances=scores, blocks=np.zeros(1000, np.int64), doubt=np.zeros(1))
    found = estimate_binary(told)["ece"]
    assert isinstance(found, Expected)
    drawn = [values(Told.realized(scores, told.said, rng.random(1000) < scores))["ece"] for _ in range(300)]
    assert found.value == pytest.approx(np.mean(drawn), rel=0.05)
    assert found.noise == pytest.approx(np.std(drawn), rel=0.15)


@pytest.mark.parametrize(("said", "chance"), [(0.3, 0.3), (0.5, 0.3), (0.2, 0.3), (0.9, 0.01), (0.4, 1.0), (0.0, 0.0)])
def test_a_distance_is_a_folded_normal_number(said: float, chance: float) -> None:
    found = expected_distances(np.full(50, said), np.full(50, chance), np.zeros(50, np.int64))
    gap, spread = abs(said - chance) * 50, math.sqrt(50 * chance * (1 - chance))
    mean, square = foldnorm.stats(gap / spread, scale=spread) if spread else (gap, 0.0)
    assert 50 * found.value == pytest.approx(mean)
    assert 50 * found.noise == pytest.approx(math.sqrt(square), abs=1e-6)


def test_too_few_reference_rows_say_how_many_would_do() -> None:
    assert why_not_calibrate(np.array([True] * 50)) == "50 labelled reference rows have a score; 200 would do"
    assert "10 would do" in why_not_calibrate(np.arange(500) < 3)
    assert why_not_calibrate(np.arange(500) < 30) == ""


def test_errors_are_foretold_larger_where_they_were_larger() -> None:
    rng = np.random.default_rng(8)
    inputs = np.column_stack([rng.random(3000), rng.integers(0, 3, 3000).astype(float)])
    inputs[::50, 0] = np.nan
    model = LossModel.of(inputs, np.array([False, True]), rng.normal(0, 1 + 2 * (inputs[:, 1] == 2)))
    calm, wild = (estimate_errors(model.foretell(inputs[inputs[:, 1] == kind])) for kind in (0.0, 2.0))
    assert isinstance(calm["mae"], Expected)
    assert isinstance(wild["mae"], Expected)
    assert calm["mae"].value == pytest.approx(math.sqrt(2 / math.pi), abs=0.1)
    assert wild["mae"].value == pytest.approx(3 * math.sqrt(2 / math.pi), abs=0.25)
    both = Foretold.pooled([model.foretell(inputs[:1000]), model.foretell(inputs[1000:])])
    assert estimate_errors(both)["rmse"] == estimate_errors(model.foretell(inputs))["rmse"]
    assert estimate_errors(model.foretell(inputs[:0])) == dict.fromkeys(("mae", "rmse"), "no row has a prediction")


def test_a_model_without_errors_is_expected_to_make_none() -> None:
    inputs = np.random.default_rng(9).random((600, 2))
    model = LossModel.of(inputs, np.zeros(2, np.bool_), np.zeros(600))
    assert [m.value for m in metrics_of(estimate_errors(model.foretell(inputs))).values()] == [0, 0]


def test_what_the_reference_leaves_in_doubt_is_forgiven() -> None:
    expected = Expected(value=0.7, noise=0.01, doubt=0.01)
    assert excess(0.019, expected) == 0
    assert excess(-0.0296, expected) == pytest.approx(-1, abs=0.01)


def test_one_bucket_far_out_is_not_drift_and_three_are() -> None:
    assert drift_since([0.0] * 8 + [50.0]) is None
    assert drift_since([0.0] * 8 + [50.0, 50.0]) is None
    assert drift_since([0.0] * 8 + [50.0] * 3) == 8
    assert drift_since([0.0] * 8 + [-50.0] * 3) == 8


def test_a_small_lasting_loss_adds_up() -> None:
    assert drift_since([0.0] * 8 + [-1.5] * 5) is None
    assert drift_since([0.0] * 8 + [-1.5] * 6) == 8


def test_suspicion_ends_after_buckets_as_expected() -> None:
    drifted = [0.0] * 20 + [3.0] * 4
    assert drift_since(drifted) == 20
    assert drift_since([*drifted, *[0.0] * 7]) is None


def test_buckets_out_to_both_sides_break_the_promise_of_the_band() -> None:
    swinging = [2.2, -2.2] * 6
    assert most_outside(12) == 5
    assert drift_since(swinging) == 0


def test_a_rare_false_alarm_is_as_rare_as_it_is_said() -> None:
    rng = np.random.default_rng(10)
    alarms = sum(drift_since(rng.normal(size=26).tolist()) is not None for _ in range(2000))
    # 26 of 1,287 weeks by the derivation, and one half year in a thousand by the other rule; at the end of it alone.
    assert alarms / 2000 < 0.022


def test_nothing_is_said_of_estimates_without_labels() -> None:
    track = judge_metric([], "roc_auc")
    assert track.standing is Standing.TOO_FEW
    assert worst_of({"roc_auc": track}) == (Standing.TOO_FEW, None)


def values(told: Told) -> dict[str, float]:
    return {name: each.value for name, each in estimate_binary(told).items() if isinstance(each, Expected)}

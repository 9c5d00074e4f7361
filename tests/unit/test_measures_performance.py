"""Metrics, thresholds, score bands and vintages as pure functions: by hand, by property, and where little is known."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_band, normal
from pilothouse.data.measures.binary import calibration_bins, crossing, curve, measure_binary
from pilothouse.data.measures.bootstrap import bootstrap_band, percentile_band
from pilothouse.data.measures.classes import class_crossing, class_rows, measure_crossing
from pilothouse.data.measures.costs import best_threshold, calibrated_threshold, too_few
from pilothouse.data.measures.errors import Sized, error_bars, measure_counted, measure_rows
from pilothouse.data.measures.lending import score_bands, vintages
from pilothouse.data.measures.outcomes import Sums
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.measures.tasks import Errors
from pilothouse.data.policies import Costs
from pilothouse.data.rollups.bins import ERROR_SLOTS, SCORE_SLOTS, error_slots, score_slot_edges, score_slots
from pilothouse.data.rollups.outcomes import outcomes_of
from pilothouse.data.windows import Window

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
RNG = np.random.default_rng(3)
SCORES = 1 / (1 + np.exp(-RNG.normal(-1, 1.2, 4000)))
CAME = RNG.random(4000) < SCORES
RANKED = Ranked.of_scores(SCORES, CAME)

labelled = st.lists(
    st.tuples(st.floats(0, 1, allow_nan=False), st.booleans()), max_size=40
).map(lambda rows: (np.array([s for s, _ in rows], float), np.array([came for _, came in rows], bool)))  # fmt: skip


def measured(scores: Floats, came: Flags, threshold: float = 0.5) -> dict[str, Metric]:
    scored = ~np.isnan(scores)
    return measure_binary(
        outcomes_of(scores, came), Ranked.of_scores(scores[scored], came[scored]), threshold, times=50
    )


@settings(max_examples=60, deadline=None)
@given(labelled, st.floats(0, 1, allow_nan=False))
def test_whatever_the_rows_a_value_lies_in_its_band_and_its_range(rows: tuple[Floats, Flags], threshold: float) -> None:
    for name, metric in measured(*rows, threshold).items():
        if metric.value is None:
            assert metric.reason, name
            continue
        lowest = -1.0 if name in ("gini", "mcc") else 0.0
        highest = math.inf if name == "log_loss" else 1.0
        assert lowest - 1e-9 <= metric.value <= highest + 1e-9, name
        if metric.low is not None and metric.high is not None:
            assert lowest - 1e-9 <= metric.low <= metric.value + 1e-9, name
            assert metric.value - 1e-9 <= metric.high <= highest + 1e-9, name


@settings(max_examples=30, deadline=None)
@given(labelled)
def test_the_order_of_the_rows_does_not_matter(rows: tuple[Floats, Flags]) -> None:
    scores, came = rows
    order = np.random.default_rng(4).permutation(len(scores))
    one, other = measured(scores, came), measured(scores[order], came[order])
    for name, metric in one.items():
        assert metric.value == pytest.approx(other[name].value, abs=1e-12) or metric.value is other[name].value


@pytest.mark.parametrize(
    ("scores", "came", "silent"),
    [
        ([], [], {"roc_auc": "no labels yet", "precision": "no labelled row has a score"}),
        ([math.nan, math.nan], [True, False], {"roc_auc": "no labelled row has a score"}),
        ([0.2, 0.7], [True, True], {"roc_auc": "only one class among 2 labelled rows; ROC AUC compares two"}),
        ([0.2, 0.3], [True, False], {"precision": "no row is flagged at this threshold"}),
        ([0.6, 0.7], [False, False], {"recall": "no labelled row came out positive"}),
    ],
)
def test_what_cannot_be_said_has_a_reason(scores: list[float], came: list[bool], silent: dict[str, str]) -> None:
    found = measured(np.array(scores, float), np.array(came, bool))
    for name, reason in silent.items():
        assert (found[name].value, found[name].reason) == (None, reason)


def test_no_band_leaves_the_range_of_its_metric() -> None:
    """With three rows the normal law reached below a Brier score of 0."""
    found = measure_performance(outcomes_of(np.array([0.01, 0.02, 0.9]), np.array([False, False, False])))
    assert found["brier"].low == 0.0
    assert found["log_loss"].low == 0.0
    assert normal(Sums(n=3, total=0.3, squares=0.07))[0] < 0


def test_a_faultless_order_of_few_rows_is_not_certain() -> None:
    found = measured(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))["roc_auc"]
    assert found.value == 1
    assert found.low is not None
    assert found.low < 0.6
    assert auc_band(1.0, 0.0) == (1.0, 1.0)


def test_steps_of_the_score_hold_their_own_edges() -> None:
    edges = score_slot_edges()
    assert len(edges) == SCORE_SLOTS
    middles = (edges[:-1] + edges[1:]) / 2
    assert (score_slots(middles) == np.arange(SCORE_SLOTS - 1)).all()
    assert edges[SCORE_SLOTS // 2] == 0.5


def test_counts_by_step_are_exact_at_an_edge_and_say_how_many_rows_are_not() -> None:
    coarse = RANKED.coarse
    assert (coarse.cells(0.5) == RANKED.cells(0.5)).all()
    assert coarse.beside(0.5) == 0
    near = np.abs(coarse.cells(0.3001) - RANKED.cells(0.3001)).max()
    assert near <= coarse.beside(0.3001) < 40
    assert RANKED.beside(0.3001) == 0
    assert 0 < coarse.tied < 0.01


def test_the_curve_goes_from_few_flagged_to_all() -> None:
    points = curve(RANKED)
    flagged = [p.flagged for p in points]
    assert flagged == sorted(flagged)
    assert (points[-1].flagged, points[-1].recall) == (1.0, 1.0)
    assert points[0].flagged < 0.01
    middle = min(points, key=lambda p: abs(p.threshold - 0.5))
    tn, fp, fn, tp = RANKED.cells(middle.threshold)
    assert middle.precision == pytest.approx(tp / (tp + fp))
    assert middle.missed == pytest.approx(fn / (fn + tn))


def test_the_confusion_and_the_bins_lose_no_row() -> None:
    crossed = crossing(RANKED, 0.4, ("no", "yes"))
    assert sum(map(sum, crossed.counts)) == 4000
    bins = calibration_bins(RANKED)
    assert [b.rows for b in bins] == [400] * 10
    assert all(b.low <= b.share <= b.high for b in bins)


def test_equal_scores_are_never_parted() -> None:
    ranked = Ranked.of_scores(np.repeat([0.2, 0.8], 500), RNG.random(1000) < 0.4)
    assert [b.rows for b in calibration_bins(ranked)] == [500, 500]
    assert len(curve(ranked)) <= 3


def test_true_scores_need_the_threshold_that_the_costs_ask_for() -> None:
    costs = Costs(fp=1, fn=4, tp=-1)
    assert calibrated_threshold(costs) == pytest.approx(1 / 6)
    assert calibrated_threshold(Costs(fp=0, fn=4)) is None
    found = best_threshold(RANKED, costs, 0.5)
    assert found.threshold.value == pytest.approx(1 / 6, abs=0.06)
    assert found.present_cost > found.cost
    _, fp, fn, tp = RANKED.cells(0.5)
    assert found.present_cost == pytest.approx(fp + 4 * fn - tp)
    assert found.saving.value == pytest.approx(found.present_cost - found.cost - found.by_chance)
    assert found.saving.low is not None
    assert found.saving.low > 0


def test_too_few_rows_have_no_best_threshold() -> None:
    few = Ranked.of_scores(SCORES[:12], np.arange(12) == 0)
    assert too_few(few) == "too few labelled rows: 1 came out positive; 10 would do"
    assert too_few(RANKED) == ""


def test_score_bands_part_the_rows_with_lift_and_gains() -> None:
    found = score_bands(RANKED, 10)
    assert sum(b.rows for b in found) == 4000
    assert (found[0].low, found[-1].high, found[0].gain) == (0.0, 1.0, 1.0)
    rates = [b.rate.value or 0.0 for b in found]
    assert rates[-1] > 3 * rates[0]
    assert found[-1].lift == pytest.approx(rates[-1] / CAME.mean())
    fixed = score_bands(RANKED, (0.001, 0.3, 0.6))
    assert [b.low for b in fixed] == [0.0, 0.001, 0.3, 0.6]
    inside = (SCORES >= 0.3) & (SCORES < 0.6)
    assert (fixed[2].rows, fixed[2].positives) == (inside.sum(), CAME[inside].sum())
    assert fixed[0].rate.reason == ("" if fixed[0].rows else "no labelled row has such a score")
    assert score_bands(Ranked.of_scores(np.empty(0), np.empty(0, bool))) == ()


def test_a_vintage_only_rises_and_is_silent_about_what_is_too_young() -> None:
    start, week = datetime(2026, 3, 1, tzinfo=UTC), timedelta(weeks=1)
    window = Window(start, start + timedelta(days=10))
    rows = pl.DataFrame(
        {
            "at": [start + timedelta(days=n) for n in range(10)],
            "observed_at": [
                start + week,
                start + timedelta(days=1) + 2 * week,
                start + timedelta(days=2) + 3 * week,
                *[None] * 7,
            ],
            "positive": [True, True, False, *[None] * 7],
        },
        schema={"at": pl.Datetime("us", "UTC"), "observed_at": pl.Datetime("us", "UTC"), "positive": pl.Boolean},
    )
    (found,) = vintages(rows, [window], week, 4, window.end + 3 * week)
    assert (found.rows, found.positives) == (10, 2)
    assert found.shares == (0.1, 0.2, 0.2, None)


def test_classes_that_nobody_saw_do_not_count() -> None:
    counts = np.zeros((4, 4), np.int64)
    counts[:2, :2] = [[30, 10], [5, 15]]
    found = measure_crossing(counts)
    assert found["accuracy"].value == pytest.approx(45 / 60)
    assert found["macro_recall"].value == pytest.approx((30 / 40 + 15 / 20) / 2)
    for metric in found.values():
        assert metric.value is not None
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high
    a, b, unseen = class_rows(counts, ["a", "b", "c"])
    assert (a.support, b.predicted, unseen.recall.reason) == (40, 25, "no label is c")
    assert class_crossing(counts, ["a", "b", "c"]).names == ("a", "b", "c")
    assert measure_crossing(np.zeros((3, 3), np.int64))["kappa"].reason == "no labelled row has a prediction"
    alone = np.zeros((3, 3), np.int64)
    alone[0, 0] = 9
    assert measure_crossing(alone)["mcc"].value is None


def test_answers_outside_the_classes_are_wrong_and_shown() -> None:
    counts = np.zeros((3, 3), np.int64)
    counts[0, 0], counts[2, 2] = 8, 2
    assert measure_crossing(counts)["accuracy"].value == pytest.approx(0.8)
    assert class_crossing(counts, ["a", "b"]).names == ("a", "b", "any other")


def test_counts_of_errors_are_near_the_rows() -> None:
    said = RNG.gamma(4, 10, 5000)
    came = said - RNG.normal(0.5, 4, 5000)
    errors = said - came
    slots = error_slots(errors)
    n, total = np.bincount(slots, minlength=ERROR_SLOTS), np.bincount(slots, weights=errors, minlength=ERROR_SLOTS)
    held = np.flatnonzero(n)
    sized = Sized(counts=n[held], mean=total[held] / n[held])
    sums = [Sums(n=5000, total=float(v.sum()), squares=float((v**2).sum())) for v in (errors, np.abs(errors), came)]
    counted = measure_counted(Errors(error=sums[0], absolute=sums[1], target=sums[2], labelled=5000), sized)
    exact = measure_rows(said, came, 5000)
    for name in ("mae", "rmse", "bias", "r2"):
        assert counted[name].value == pytest.approx(exact[name].value, rel=1e-9)
    for name in ("median_ae", "error_p05", "error_p95"):
        assert counted[name].value == pytest.approx(exact[name].value, rel=0.05)
    assert counted["rmse"].low == pytest.approx(exact["rmse"].low, rel=0.01)
    assert counted["mape"].reason == "needs every row: ask for it with exact"
    assert sum(b.rows for b in error_bars(sized)) == sum(b.rows for b in error_bars(Sized.of(errors))) == 5000


@pytest.mark.parametrize(
    ("said", "came"),
    [
        ([], []),
        ([1.0], [1.0]),
        ([1.0, 2.0], [0.0, 0.0]),
        ([1e300, -1e300], [1e300, -1e300]),
        ([float(2**62)] * 3, [float(2**62), 0.0, -1.0]),
    ],
)
def test_odd_numbers_are_measured_or_have_a_reason(said: list[float], came: list[float]) -> None:
    found = measure_rows(np.array(said, float), np.array(came, float), len(said))
    for name, metric in found.items():
        assert metric.value is not None or metric.reason, name


def test_errors_as_shares_say_how_many_rows_they_leave_out() -> None:
    found = measure_rows(np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 3.0]), 3)
    assert found["mape"].value == pytest.approx(0.25)
    assert found["mape"].reason == "1 rows with a label of 0 left out"
    assert measure_rows(np.array([1.0]), np.array([0.0]), 1)["mape"].value is None


def test_a_band_needs_samples() -> None:
    assert bootstrap_band(np.array([3, 4]), lambda counts: counts.sum(axis=-1) * 1.0, 0) is None
    assert percentile_band(np.full(200, np.nan)) is None
    again = [bootstrap_band(np.array([30, 40]), lambda counts: counts.sum(axis=-1) * 1.0) for _ in range(2)]
    assert again[0] == again[1]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e6), st.floats(-1e6, -1e-3)), min_size=2, max_size=60),
    st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)
def test_the_band_of_rmse_knows_neither_the_unit_nor_the_order(
    errors: list[float], unit: float, rng: random.Random
) -> None:
    came = np.zeros(len(errors))
    one = measure_rows(np.array(errors), came, len(errors), 0)["rmse"]
    mixed = [error * unit for error in rng.sample(errors, len(errors))]
    other = measure_rows(np.array(mixed), came, len(errors), 0)["rmse"]
    assert (one.low is None) == (other.low is None)
    if one.value is None or one.low is None or one.high is None:
        return
    assert 0 <= one.low <= one.value <= one.high
    for mine, theirs in ((one.low, other.low), (one.high, other.high)):
        assert theirs == pytest.approx(mine * unit, rel=1e-6, abs=1e-9 * one.value * unit)


def test_heavy_tails_widen_the_band_of_rmse_upwards() -> None:
    rng = np.random.default_rng(6)
    light, heavy = rng.normal(size=2000), rng.standard_t(5, 2000)
    plain, wide = (measure_rows(errors, np.zeros(2000), 2000, 0)["rmse"] for errors in (light, heavy))
    half = 1.96 * math.sqrt(np.var(light**2) / 2000) / np.mean(light**2) / 2
    assert plain.high == pytest.approx((plain.value or 0) * math.exp(half), rel=0.002)
    below, above = (abs((end or 0) - (wide.value or 0)) for end in (wide.low, wide.high))
    assert above > 1.2 * below

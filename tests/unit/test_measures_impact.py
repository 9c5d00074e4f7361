"""Impact: what it does with rows in another order, features on another scale, and windows that say little or nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.impact import Effects, FeatureImpact, Shift, Verdict, measure_effects
from pilothouse.data.measures.reweighting import WeightedAuc, WeightedMean, WeightedRoot, support
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind

ROWS = 2_000
UNKNOWN = Metric(value=None, reason="no labels yet")


def world(seed: int = 1, rows: int = ROWS) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """A feature that the score rests on, with gaps, one with names, and what came true."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(0, 1, rows)
    scores = 1 / (1 + np.exp(-amount))
    amount[rng.random(rows) < 0.1] = np.nan
    names = rng.choice(["a", "b", "ünï", "🦔"], rows)
    return pl.DataFrame({"amount": amount, "name": names}), scores, rng.random(rows) < scores


def shift(reference: pl.Series, window: pl.Series, kind: Kind = Kind.NUMBER) -> Shift:
    profile = FeatureProfile.of(reference.name, kind, reference)
    counts = np.bincount(profile.bins.codes(window), minlength=profile.bins.slots)
    return Shift.of(reference.name, profile, reference, counts)


def effects(shifts: list[Shift], scores: np.ndarray, positive: np.ndarray, realized: Metric = UNKNOWN) -> Effects:
    return measure_effects("roc_auc", WeightedAuc(scores, positive), shifts, len(scores), realized)


def only(found: Effects) -> FeatureImpact:
    (feature,) = found.features
    return feature


def test_a_window_that_lies_as_the_reference_does_costs_nothing() -> None:
    frame, scores, positive = world()
    both = [shift(frame["amount"], frame["amount"]), shift(frame["name"], frame["name"], Kind.CATEGORY)]
    for found in effects(both, scores, positive).features:
        assert found.effect.value == pytest.approx(0, abs=1e-12)
        assert (found.verdict, found.unsupported, found.note) == (Verdict.UNCLEAR, 0.0, "")
        assert found.effective_share == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(60)), st.integers(0, 5))
def test_the_order_of_rows_says_nothing(order: list[int], seed: int) -> None:
    frame, scores, positive = world(seed, 600)
    moved = frame["amount"] * 0.7 + 0.3
    rows = [block * 10 + place for block in order for place in range(10)]
    one = only(effects([shift(frame["amount"], moved)], scores, positive))
    other = only(effects([shift(frame["amount"][rows], moved)], scores[rows], positive[rows]))
    assert other.effect.value == pytest.approx(one.effect.value, abs=1e-12)
    assert other.effect.low == pytest.approx(one.effect.low, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.001, 1e9), st.floats(-1e6, 1e6))
def test_the_scale_of_a_feature_says_nothing(scale: float, start: float) -> None:
    """Of values that stay apart when they are moved: powers of two do."""
    _, scores, positive = world(2, 600)
    rng = np.random.default_rng(3)
    values, window = rng.integers(0, 64, 600) / 64, rng.integers(20, 64, 900) / 64
    power, step = 2.0 ** np.round(np.log2(scale)), np.round(start)
    plain = only(effects([shift(pl.Series("f", values), pl.Series(window))], scores, positive))
    scaled = only(
        effects(
            [shift(pl.Series("f", values * power + step * power), pl.Series(window * power + step * power))],
            scores,
            positive,
        )
    )
    assert scaled.effect == plain.effect


def test_a_category_that_is_new_is_counted_as_beyond_the_reference() -> None:
    frame, scores, positive = world()
    window = pl.Series(["a"] * 700 + ["new"] * 300)
    found = only(effects([shift(frame["name"], window, Kind.CATEGORY)], scores, positive))
    assert found.unsupported == pytest.approx(0.3)
    assert found.note == "30% of the window has values that no reference row has"
    assert found.effect.value is not None


def test_a_number_beyond_the_range_is_stood_for_by_the_nearest_rows() -> None:
    known = support(np.array([0, 10, 30, 0, 5]), np.array([5, 10, 20, 60, 5]), 4)
    assert known.shares == pytest.approx([0, 0.15, 0.8, 0, 0.05])
    assert known.unsupported == pytest.approx(0.65)
    assert known.ratios @ known.counts == pytest.approx(45)


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ([], "no rows in this window"),
        ([0.5] * 199, "too few rows: 199; 200 would do"),
        ([None] * 1000, None),
        ([1e18] * 1000, "100% of the window has values that no reference row has"),
        ([float("inf")] * 1000, "100% of the window has values that no reference row has"),
    ],
)
def test_windows_that_say_little(window: list[float | None], reason: str | None) -> None:
    frame, scores, positive = world()
    found = only(effects([shift(frame["amount"], pl.Series(window, dtype=pl.Float64))], scores, positive))
    if reason is None:
        # A tenth of the reference is missing too, and stands for a window in which all is.
        assert (found.effective_share, found.unsupported) == (pytest.approx(0.1, abs=0.02), 0)
        return
    assert found.effect == Metric(value=None, kind="estimated", reason=reason)
    assert (found.verdict, found.loss) == (Verdict.UNSAID, None)


def test_a_window_all_missing_of_a_feature_that_never_was() -> None:
    _, scores, positive = world()
    reference = pl.Series("f", np.arange(float(ROWS)))
    found = only(effects([shift(reference, pl.Series([None] * 500, dtype=pl.Float64))], scores, positive))
    assert found.effect.value is None
    assert found.unsupported == 1


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        (pl.Series("f", [7.0] * ROWS), pl.Series([7.0] * 500)),
        (pl.Series("f", [2.0**53 + 2 * n for n in range(ROWS)]), pl.Series([2.0**53 + 2 * n for n in range(ROWS)])),
        (pl.Series("f", [None] * ROWS, dtype=pl.Float64), pl.Series([None] * 500, dtype=pl.Float64)),
    ],
)
def test_features_that_cannot_move_cost_nothing(reference: pl.Series, window: pl.Series) -> None:
    _, scores, positive = world()
    found = only(effects([shift(reference, window)], scores, positive))
    assert found.effect.value == pytest.approx(0, abs=1e-12)
    assert found.verdict is Verdict.UNCLEAR


def test_one_class_or_perfect_scores_are_no_fault() -> None:
    frame, scores, positive = world()
    shifts = [shift(frame["amount"], frame["amount"] + 1)]
    found = effects(shifts, scores, np.zeros(ROWS, bool))
    assert found.features == ()
    assert "one class alone" in found.reference.reason
    perfect = only(effects(shifts, positive.astype(float), positive))
    assert perfect.effect.value == pytest.approx(0, abs=1e-12)


def test_the_remainder_is_what_the_effects_leave() -> None:
    frame, scores, positive = world()
    realized = Metric(value=0.6, low=0.59, high=0.61)
    found = effects([shift(frame["amount"], frame["amount"] * 0.5)], scores, positive, realized)
    effect, rest = only(found).effect, found.remainder
    assert None not in (effect.value, rest.value, rest.low, rest.high, found.reference.value)
    assert rest.value == pytest.approx(0.6 - found.reference.value - effect.value)  # type: ignore[operator]
    assert rest.high - rest.low > 0.02  # type: ignore[operator]
    assert found.summed.value == effect.value
    bare = effects([shift(frame["amount"], frame["amount"])], scores, positive, Metric(value=0.6))
    assert bare.remainder.low is None
    assert "no band" in bare.remainder.reason
    assert effects([], scores, positive).remainder.reason == "no labels yet"


def test_what_costs_more_than_chance_comes_first_in_the_direction_that_is_worse() -> None:
    rng = np.random.default_rng(5)
    error_size, still = rng.uniform(0, 2, ROWS), rng.normal(0, 1, ROWS)
    errors = rng.normal(0, 1, ROWS) * error_size
    shifts = [
        shift(pl.Series("still", still), pl.Series(rng.normal(0, 1, 3000))),
        shift(pl.Series("noisy", error_size), pl.Series(rng.uniform(1, 2, 3000))),
        shift(pl.Series("calm", error_size), pl.Series(rng.uniform(0, 1, 3000))),
    ]
    for metric, judge in (("mae", WeightedMean(np.abs(errors))), ("rmse", WeightedRoot(errors))):
        found = measure_effects(metric, judge, shifts, ROWS, UNKNOWN).features
        assert [f.name for f in found] == ["noisy", "still", "calm"]
        assert [f.verdict for f in found] == [Verdict.COSTS, Verdict.UNCLEAR, Verdict.GAINS]
        assert found[0].loss == found[0].effect.value


def test_three_hundred_features_take_seconds_at_most() -> None:
    _, scores, positive = world(4, 5_000)
    rng = np.random.default_rng(6)
    shifts = [
        shift(pl.Series(f"f{n}", rng.normal(0, 1, 5_000)), pl.Series(rng.normal(0.2, 1, 5_000))) for n in range(300)
    ]
    found = effects(shifts, scores, positive, Metric(value=0.7, low=0.69, high=0.71))
    assert len(found.features) == 300
    assert found.remainder.low is not None

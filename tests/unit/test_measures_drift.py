"""Every further measure of drift: what is invariant, what adds up, and what odd columns do to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.history.results import FeatureDrift, State
from pilothouse.data.measures.changes import Counted, adjusted, differing, further_measures
from pilothouse.data.measures.drift import Counts, psi
from pilothouse.data.measures.drift_thresholds import DriftThresholds, allowed_alarms, judged
from pilothouse.data.measures.exact import measure_exactly, sample_of
from pilothouse.data.measures.false_alarms import calibrate_by_days, calibrate_by_rows, draws_for, measured_of
from pilothouse.data.measures.feature_drift import measure_drift
from pilothouse.data.measures.multivariate import LEAST_ROWS, reconstruct, tell_apart
from pilothouse.data.measures.two_samples import chi_square, total_variation, without_sparse
from pilothouse.data.rollups.bins import Floats, NumberBins, tally
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window

RNG = np.random.default_rng(19)
END = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = Window(END - timedelta(days=7), END)
COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=30)


def counts_of(profile: FeatureProfile, column: pl.Series) -> tuple[Counts, Floats]:
    codes, slots, alone = profile.bins.codes(column), profile.bins.slots, np.zeros(len(column), np.int64)
    weights = profile.bins.weights(column) if isinstance(profile.bins, NumberBins) else np.zeros(len(column))
    return tally(codes, slots, alone, 1)[0].astype(np.int64), tally(codes, slots, alone, 1, weights)[0]


def both_ways(kind: Kind, reference: pl.Series, current: pl.Series) -> tuple[FeatureDrift, FeatureDrift]:
    """From counts, and from the values themselves."""
    profile = FeatureProfile.of("x", kind, reference)
    exact = measure_exactly(profile, sample_of(profile, reference), sample_of(profile, current))
    return measure_drift(profile, *counts_of(profile, current)), exact


def values_of(found: FeatureDrift) -> dict[str, float | None]:
    return {name: measure.value for name, measure in found.more.items()}


@settings(max_examples=60, deadline=None)
@given(COUNTS, COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_the_bins_does_not_matter(known: list[int], seen: list[int], random: object) -> None:
    size = min(len(known), len(seen))
    table = np.array([known[:size], seen[:size]])
    if (table.sum(axis=1) == 0).any():
        return
    order = np.random.default_rng(size).permutation(size)
    for measure in (lambda a, b: chi_square(a, b)[0], total_variation):
        assert measure(*table) == pytest.approx(measure(*table[:, order]), rel=1e-9, abs=1e-12)
    assert [row.sum() for row in without_sparse(*table)] == table.sum(axis=1).tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_windows_add_up(seed: int, parts: int) -> None:
    """The measure of added counts is the measure of all the rows together."""
    rng = np.random.default_rng(seed)
    reference, current = rng.gamma(2, size=3000), rng.gamma(2.2, size=2000)
    profile = FeatureProfile.of("x", Kind.NUMBER, pl.Series(reference))
    cut = [counts_of(profile, pl.Series(part)) for part in np.array_split(rng.permutation(current), parts)]
    added = measure_drift(profile, np.sum([c for c, _ in cut], axis=0), np.sum([s for _, s in cut], axis=0))
    whole = measure_drift(profile, *counts_of(profile, pl.Series(current)))
    assert (added.psi, values_of(added)) == (whole.psi, values_of(whole))


@pytest.mark.parametrize("factor", [1e-9, 3.0, 1e12])
def test_the_unit_of_a_feature_does_not_matter(factor: float) -> None:
    reference, current = RNG.normal(5, 2, 4000), RNG.normal(5.5, 2, 3000)
    plain, scaled = (both_ways(Kind.NUMBER, pl.Series(f * reference), pl.Series(f * current))[1] for f in (1.0, factor))
    assert values_of(scaled) == pytest.approx(values_of(plain), rel=1e-9)


def test_both_ways_agree_where_every_value_has_a_bin() -> None:
    reference, current = pl.Series(RNG.poisson(4, 5000)), pl.Series(RNG.poisson(5, 4000))
    counted, exact = both_ways(Kind.INTEGER, reference, current)
    assert values_of(counted) == pytest.approx(values_of(exact), rel=1e-12)
    assert exact.more["out_of_range"].value == (current > reference.max()).mean()


def test_a_share_of_two_values_has_a_z_and_its_square_is_chi_squared() -> None:
    reference, current = pl.Series(RNG.random(4000) < 0.2), pl.Series(RNG.random(3000) < 0.25)
    found, _ = both_ways(Kind.BOOLEAN, reference, current)
    z, chi = found.more["z"], found.more["chi_square"]
    assert z.value is not None
    assert z.value > 0
    assert z.value**2 == pytest.approx(chi.value)
    assert z.p == pytest.approx(chi.p)


ODD = {
    "all missing": (pl.Series([None] * 3000, dtype=pl.Float64), State.CRITICAL),
    "one value": (pl.Series([1.5] * 3000), State.CRITICAL),
    "empty": (pl.Series([], dtype=pl.Float64), State.NO_DATA),
    "infinite": (pl.Series([np.inf, -np.inf] * 1500), State.CRITICAL),
    "huge": (pl.Series([2.0**62] * 3000), State.CRITICAL),
    "nan": (pl.Series([np.nan] * 3000), State.CRITICAL),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_columns_have_the_right_state(name: str) -> None:
    current, state = ODD[name]
    for found in both_ways(Kind.NUMBER, pl.Series(RNG.normal(size=2000)), current):
        assert found.state is state
        assert all(m.value is None or np.isfinite(m.value) for m in found.more.values())
        assert all(m.reason for m in found.more.values() if m.value is None)


def test_an_odd_reference_has_a_reason() -> None:
    for reference in ([None] * 2000, [np.inf] * 2000, [7.0] * 2000):
        for found in both_ways(Kind.NUMBER, pl.Series(reference, dtype=pl.Float64), pl.Series(RNG.normal(size=900))):
            assert found.reason


def test_names_of_categories_may_be_anything() -> None:
    names = ["", "\u202e≥🐚", "a" * 5000, "NULL", "=1+1", "é", "e\u0301"]
    reference, current = (pl.Series(RNG.choice(names, n)) for n in (4000, 3000))
    counted, exact = both_ways(Kind.CATEGORY, reference, current)
    assert values_of(counted) == pytest.approx(values_of(exact))
    assert counted.state is State.HEALTHY


def test_too_few_rows_name_the_number_that_would_do_in_every_measure() -> None:
    found, _ = both_ways(Kind.NUMBER, pl.Series(RNG.normal(size=2000)), pl.Series(RNG.normal(size=120)))
    assert {m.reason for m in found.more.values()} == {"too few rows: 120; 200 would do"}
    assert [m.value for m in found.more.values()] == [None] * len(found.more)


def test_three_hundred_features_of_one_law_are_not_called_different() -> None:
    profiles = [FeatureProfile.of(f"x{i}", Kind.NUMBER, pl.Series(RNG.normal(size=1000))) for i in range(300)]
    drifts = [measure_drift(p, *counts_of(p, pl.Series(RNG.normal(size=1000)))) for p in profiles]
    moved = [measure_drift(p, *counts_of(p, pl.Series(RNG.normal(0.5, 1, 1000)))) for p in profiles[:10]]
    assert sum((d.more["chi_square"].p or 0) < 0.05 for d in drifts) >= 5
    assert differing(adjusted(drifts)).differ <= 1
    found = differing(adjusted([*drifts[10:], *moved]))
    assert 10 <= found.differ <= 13
    assert found.sentence.startswith(f"{found.differ} of 300 features differ from the reference by more than chance")


def test_a_rise_of_missing_values_has_a_chance() -> None:
    counted = Counted(known=np.array([500, 500]), current=np.array([450, 450]), rows=1000, missing=100, known_rows=1000,
                      known_missing=0, outside=0)  # fmt: skip
    found = further_measures(counted, "", None, None)["missing_change"]
    assert found.value == pytest.approx(0.1)
    assert found.p == pytest.approx(0, abs=1e-20)


def _weeks(profile: FeatureProfile, shift: float = 0.0) -> Counts:
    return np.stack([counts_of(profile, pl.Series(RNG.normal(shift, 1, 200)))[0] for _ in range(56)])


def test_thresholds_hold_what_the_budget_allows_and_find_what_has_moved() -> None:
    profiles = {f"x{i}": FeatureProfile.of(f"x{i}", Kind.NUMBER, pl.Series(RNG.normal(size=3000))) for i in range(4)}
    allowed = allowed_alarms(2, WEEK.length)
    daily = {name: _weeks(p) for name, p in profiles.items()}
    for made in (
        calibrate_by_days(profiles, daily, [d % 7 for d in range(56)], 7, allowed),
        calibrate_by_rows(profiles, 1400, allowed),
    ):
        assert made.stretched >= 1
        later = {name: _weeks(p).reshape(8, 7, -1).sum(axis=1) for name, p in profiles.items()}
        alarms = sum(
            (measured_of(p, p.counts, later[n])["psi"] > made.features[n]["psi"]).sum() for n, p in profiles.items()
        )
        assert alarms <= 8 * allowed * 3
        thresholds = DriftThresholds(per_month=2, window=WEEK.length, features=made.features)
        moved = measure_drift(profiles["x0"], *counts_of(profiles["x0"], pl.Series(RNG.normal(0.3, 1, 1400))))
        assert moved.state is State.WATCH or (moved.psi or 0) < 0.1
        (found,) = judged([moved], thresholds, WEEK)
        assert found.state is State.WATCH
        assert found.threshold == made.features["x0"]["psi"]
        assert "calibrated to 2 false alarms a month in windows of 7 days" in found.reason
        assert judged([moved], thresholds, Window(END - timedelta(days=1), END)) == (moved,)


def test_what_is_drawn_is_measured_as_a_window_is() -> None:
    profile = FeatureProfile.of("x", Kind.NUMBER, pl.Series(RNG.gamma(2, size=3000)))
    counts, sums = counts_of(profile, pl.Series([*RNG.gamma(3, size=1500), *[None] * 40]))
    one, many = measure_drift(profile, counts, sums), measured_of(profile, profile.counts, counts[None])
    assert many["psi"][0] == pytest.approx(one.psi, rel=1e-12)
    assert (many["ks"][0], many["jensen_shannon"][0]) == (pytest.approx(one.ks), pytest.approx(one.jensen_shannon))
    assert many["missing"][0] == pytest.approx((one.missing or 0) - one.reference_missing)
    assert one.psi == psi(profile.grouped(profile.counts), profile.grouped(counts))


def test_more_features_take_more_draws_up_to_an_end() -> None:
    assert [draws_for(0.46, n) for n in (1, 8, 40, 10_000)] == [2000, 2000, 3479, 20_000]


def _pair(rows: int, shift: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two columns that hang together, and a category; in the second frame the tie is cut, each column by itself the same."""
    x, noise = RNG.normal(size=rows), RNG.normal(size=(2, rows))
    tied = pl.DataFrame({"x": x, "y": x + 0.3 * noise[0], "c": RNG.choice(["a", "b"], rows)})
    cut = RNG.permutation(tied["y"].to_numpy()) if shift else x + 0.3 * noise[1]
    return tied, pl.DataFrame({"x": x, "y": cut, "c": RNG.choice(["a", "b"], rows)})


def test_columns_that_no_longer_hang_together_are_found_though_each_is_as_before() -> None:
    same, _ = tell_apart(*_pair(800, 0))
    assert same.low is not None
    assert same.low <= 0.53
    apart, importance = tell_apart(*_pair(800, 1))
    assert apart.value is not None
    assert apart.value > 0.8
    assert {name for name, _ in importance[:2]} == {"x", "y"}
    structure, components, _ = reconstruct(*_pair(2000, 1))
    assert components >= 1
    assert structure.value is not None
    assert structure.high is not None
    assert structure.value > structure.high


def test_too_few_rows_or_odd_columns_of_frames() -> None:
    few, full = pl.DataFrame({"x": [1.0] * 40}), pl.DataFrame({"x": RNG.normal(size=LEAST_ROWS)})
    assert tell_apart(full, few)[0].reason == "too few rows: 40; 500 would do"
    assert reconstruct(few, full)[0].reason == "too few rows in the reference: 40; 500 would do"
    odd = pl.DataFrame(
        {"nothing": pl.Series([None] * 600, dtype=pl.Float64), "one": [1.0] * 600, "far": [np.inf, -1e300] * 300,
         "text": ["x", None] * 300}
    )  # fmt: skip
    assert tell_apart(odd, odd)[0].value == pytest.approx(0.5, abs=0.05)
    found, _, width = reconstruct(odd, odd)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert width == 6

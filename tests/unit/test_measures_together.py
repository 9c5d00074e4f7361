"""Bands of rows that come in buckets: never narrower than those of rows, the same in any order, absent where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planted.shared_hours import SIGNATURES, both_of, by_rows, counted
from tests.planted.shared_impact import effects_of
from tests.planted.shared_worlds import BINARY, DRAWS, REGRESSION, drifted

from pilothouse.app import together_words as words
from pilothouse.data.history.apart import bucket_windows
from pilothouse.data.history.results import Metric
from pilothouse.data.measures import cells, classes, ranked
from pilothouse.data.measures.bands import auc_with_variance
from pilothouse.data.measures.power import Expected, gap_and_allowance, terms_of, watch
from pilothouse.data.measures.reweighting import support
from pilothouse.data.measures.row_buckets import DAYS, HOURS, WEEKS
from pilothouse.data.measures.together import (
    LEAST_BUCKETS,
    Spread,
    design_effect,
    equal_buckets,
    jackknife,
    share_spread,
    widened,
    without_each,
)
from pilothouse.data.rollups.outcomes import count_outcomes
from pilothouse.data.rollups.together import spreads_of, widen
from pilothouse.data.signature import Kind, Signature, Target, Task
from pilothouse.data.windows import Window

SURE = Metric(value=0.7, low=0.68, high=0.72)


def means(values: np.ndarray) -> np.ndarray:
    """Of all buckets of one row each, then without each."""
    return without_each(values) / without_each(np.ones(len(values)))


def test_of_buckets_of_one_row_it_is_the_usual_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=40)
    found = jackknife(means(values), np.ones(40))
    assert found is not None
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(40))


def test_too_few_buckets_or_a_value_that_hangs_on_one_say_nothing() -> None:
    assert jackknife(means(np.arange(LEAST_BUCKETS - 1.0)), np.ones(LEAST_BUCKETS - 1)) is None
    assert jackknife(means(np.arange(10.0)), np.array([1000.0, *[1.0] * 9])) is None
    values = means(np.arange(10.0))
    values[4] = np.nan
    assert jackknife(values, np.ones(10)) is None
    assert equal_buckets(np.zeros(3)) == 0.0


@given(st.lists(st.integers(0, 50), min_size=12, max_size=30))
def test_the_order_of_buckets_does_not_matter(hits: list[int]) -> None:
    rows = np.array(hits, np.float64) + 40
    order = np.random.default_rng(len(hits)).permutation(len(hits))
    first, second = share_spread(np.array(hits, float), rows), share_spread(np.array(hits, float)[order], rows[order])
    assert first is not None
    assert second is not None
    assert second.error == pytest.approx(first.error, abs=1e-12)


# The first of them waits until SciPy is imported.
@settings(deadline=None)
@given(st.floats(0, 10), st.floats(6, 500))
def test_a_band_never_becomes_narrower_nor_leaves_what_a_value_can_be(error: float, buckets: float) -> None:
    found = widened(SURE, Spread(error=error, buckets=buckets), DAYS)
    assert found.low is not None
    assert found.high is not None
    assert 0.0 <= found.low <= 0.68
    assert 0.72 <= found.high <= 1.0
    assert found.by == DAYS
    assert found.wider >= 1.0


def test_without_a_spread_the_band_says_that_rows_stand_alone() -> None:
    assert widened(SURE, None, DAYS) == SURE
    assert SURE.by == "rows"
    silent = Metric(value=None, reason="no labels yet")
    assert widened(silent, Spread(error=0.1, buckets=9), DAYS) == silent


def test_a_value_without_a_band_gets_that_of_the_buckets_unless_all_agree() -> None:
    bare = Metric(value=0.5)
    found = widened(bare, Spread(error=0.01, buckets=28), DAYS)
    assert found.low == pytest.approx(0.5 - 2.0518 * 0.01, abs=1e-5)
    assert widened(bare, Spread(error=0.0, buckets=28), DAYS) == bare


def test_many_samples_at_once_are_what_one_is() -> None:
    counts = np.random.default_rng(2).integers(0, 40, (5, 2, 30))
    areas = ranked.area_under_curve(counts)
    assert areas == pytest.approx([auc_with_variance(one[1], one[0])[0] for one in counts])
    assert np.isnan(ranked.area_under_curve(np.zeros((2, 3), np.int64)))
    four = np.array([50, 10, 20, 20])
    assert {n: m.value for n, m in (cells.shares(four) | cells.mixtures(four)).items()} == pytest.approx(
        {n: float(measure(four)) for n, measure in cells.MEASURES.items()}
    )
    crossed = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])
    shown = classes.measure_crossing(crossed, 0)
    assert {n: float(measure(crossed)) for n, measure in classes.MEASURES.items()} == pytest.approx(
        {n: m.value for n, m in shown.items()}
    )


@pytest.mark.parametrize(("task", "world"), [("binary", BINARY["both"]), ("regression", REGRESSION["both"])])
def test_every_metric_of_whole_days_says_so(task: str, world: object) -> None:
    rows = DRAWS[task](world, 10, np.random.default_rng(5))  # type: ignore[arg-type]
    plain, wide = both_of(task, rows)
    by_rows_alone = {name for name, metric in wide.items() if metric.by == "rows"}
    assert by_rows_alone == ({"mape", "smape"} if task == "regression" else set())
    for name, metric in wide.items():
        assert metric.value == plain[name].value
        assert metric.low is not None
        assert metric.low <= (plain[name].low or metric.low)
    shuffled = both_of(task, rows.sample(fraction=1.0, shuffle=True, seed=1))[1]
    # Which rows a sample for the band of R2 holds hangs on their order.
    kept = [name for name in wide if name != "r2"]
    assert [shuffled[name].wider for name in kept] == pytest.approx([wide[name].wider for name in kept], rel=1e-6)


def test_a_few_days_no_rows_and_one_class_leave_bands_as_they_are() -> None:
    rows = DRAWS["binary"](BINARY["both"], 3, np.random.default_rng(5))
    plain, wide = both_of("binary", rows)
    assert wide == plain
    assert spreads_of(counted("binary", rows.clear()), plain, SIGNATURES["binary"]) == {}
    days = DRAWS["binary"](BINARY["both"], 8, np.random.default_rng(5))
    alone = days.with_columns(label=pl.lit(1, pl.Int64))
    found = both_of("binary", alone)[1]
    assert found["roc_auc"].value is None
    assert found["log_loss"].by == DAYS
    unscored = days.with_columns(score=pl.lit(None, pl.Float64))
    assert both_of("binary", unscored)[1]["positive_rate"].by == DAYS
    huge = DRAWS["regression"](REGRESSION["alone"], 8, np.random.default_rng(5)).with_columns(pl.col("label") * 1e150)
    assert by_rows("regression", huge)["mae"].value is not None
    assert both_of("regression", huge)[1]["mae"].value is not None


def test_several_classes_by_day() -> None:
    rng = np.random.default_rng(7)
    names = ("ä", "b", "c")
    signature = Signature(
        features=(), target=Target(name="y", kind=Kind.CATEGORY, classes=names), task=Task.MULTICLASS
    )  # fmt: skip
    rows = DRAWS["binary"](BINARY["both"], 8, rng)
    true = rng.integers(0, 3, rows.height)
    said = np.where(rng.random(rows.height) < 0.7, true, 0)
    chances = np.full((rows.height, 3), 0.15)
    chances[np.arange(rows.height), said] = 0.7
    from pilothouse.data.rollups.chances import judged

    named = rows.with_columns(
        prediction=pl.Series([names[n] for n in said]),
        label=pl.Series([names[n] for n in true]),
        score=pl.lit(None, pl.Float64),
        scores=pl.Series(chances.tolist(), dtype=pl.List(pl.Float64)),
    )
    counts = count_outcomes(judged(named, signature, whole=True), signature, "UTC", None)
    apart = counts.with_columns(point=pl.col("bucket").rank("dense").cast(pl.Int64))
    plain = dict.fromkeys(("accuracy", "macro_f1", "kappa", "log_loss", "top_2", "macro_roc_auc"), SURE)
    assert {name for name, m in widen(plain, apart, DAYS, signature).items() if m.by == DAYS} == set(plain)


def test_a_window_is_told_apart_by_business_days_weeks_and_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # The clocks go forward on 29 March 2026: that day has 23 hours.
    window = Window(datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 31, 6, tzinfo=UTC))
    days, hours = (bucket_windows(window, by, berlin) for by in (DAYS, HOURS))
    assert [d.length for d in days] == [timedelta(hours=h) for h in (11, 24, 23, 24, 8)]
    assert len(hours) == 90
    long = Window(window.end - timedelta(days=100), window.end)
    weeks = bucket_windows(long, WEEKS, berlin)
    assert weeks[-1].end == long.end
    assert weeks[0].start == long.start
    assert {w.length.days for w in weeks[1:-1]} <= {6, 7}
    for found in (days, hours, weeks):
        assert all(a.end == b.start for a, b in pairwise(found))


def test_what_rows_of_one_bucket_have_in_common_grows_with_their_number() -> None:
    assert design_effect(1.0, 200, 500) == 1.0
    assert design_effect(0.4, 200, 500) == 1.0
    assert design_effect(3.0, 201, 401) == pytest.approx(5.0)
    known = support(np.array([50, 50]), np.array([60, 60]), 0)
    apart, mixed = np.array([[30, 0], [0, 30]] * 2), np.array([[15, 15]] * 4)
    values = np.array([0.0, 1.0])
    assert known.alike(values, apart) == pytest.approx(1.0)
    assert known.alike(values, mixed) == 0.0
    assert known.alike(np.ones(2), apart) == 0.0


def test_an_effect_by_days_is_as_large_and_less_sure() -> None:
    world = drifted(BINARY["both"], 28, 1, 3)
    plain, wide = (effects_of(world.reference, world.window, "roc_auc", by_day=by_day) for by_day in (False, True))
    for before in plain.features:
        after = next(f for f in wide.features if f.name == before.name)
        assert after.effect.value == before.effect.value
        assert after.effect.by == DAYS
        assert after.effect.wider >= 1.0
        assert (before.effect.by, before.effect.wider) == ("rows", 1.0)
    widths = {f.name: f.effect.wider for f in wide.features}
    assert widths["weather"] > 1.3 > widths["own"]
    assert wide.remainder.wider > 1.0


def test_a_plan_allows_more_where_days_differ() -> None:
    alone = Expected(metric="roc_auc", value=0.75, error=0.004, rows=20_000)
    together = Expected(metric="roc_auc", value=0.75, error=0.006, rows=20_000, wider=1.5, together=1.5)
    plans = [watch(expected, 28, 14_000, 0.02, 0.1) for expected in (alone, together)]
    assert plans[1].threshold < plans[0].threshold
    assert plans[1].power < plans[0].power
    now = Metric(value=0.74, low=0.73, high=0.75)
    first, second = (
        gap_and_allowance(now, terms_of(p, e, 0.1)) for p, e in zip(plans, (alone, together), strict=True)
    )  # fmt: skip
    assert first is not None
    assert second is not None
    assert second[1] > first[1]


def test_words_of_a_band() -> None:
    by_hours = Metric(value=0.7, low=0.6, high=0.8, by=HOURS, wider=1.02)
    assert words.of_metric(by_hours) == "Rows of an hour counted together: no wider than with each row by itself."
    assert words.of_metric(Metric(value=0.7)) == words.of_main(Metric(value=0.7), "MAE") == ""
    assert "fewer than 6 days" in words.of_main(SURE, "MAE")
    assert "no more alike" in words.of_main(by_hours, "MAE")
    assert words.of_impact(SURE) == "as if each row stood alone"
    assert words.of_impact(by_hours).startswith("with rows of an hour counted together")

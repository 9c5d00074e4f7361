"""Weak segments, groups and segments beside the rest: the same whatever the order or the unit, and never a crash."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.cuts import Condition, cut
from pilothouse.data.measures.fairness import (
    FOUR_FIFTHS,
    FairnessRule,
    binary_counts,
    disparities,
    error_disparities,
    judge_fairness,
    rates,
)
from pilothouse.data.measures.gaps import Gap, benjamini_yekutieli, difference
from pilothouse.data.measures.row_buckets import Buckets
from pilothouse.data.measures.segment_comparison import compare_means, compare_ranking
from pilothouse.data.measures.slices import Found, SliceRule, cut_columns, find_slices, half_of, rows_of
from pilothouse.data.measures.weak_segments import since_deploy, steadiness

RULE = SliceRule()
ROWS = 6000


def world(seed: int = 1, rows: int = ROWS) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Columns, a loss that is higher where plan is gold, and the half that is searched."""
    rng = np.random.default_rng(seed)
    columns = pl.DataFrame(
        {
            "plan": rng.choice(["gold", "grün", "<b>"], rows, p=[0.1, 0.5, 0.4]),
            "height": rng.normal(size=rows),
            "big": rng.integers(2**60, 2**62, rows),
        }
    )
    loss = rng.exponential(1 + 1.0 * (columns["plan"] == "gold").to_numpy())
    return columns, loss, half_of(np.arange(rows), cut_columns(columns, RULE), columns)


def search(columns: pl.DataFrame, loss: np.ndarray, searched: np.ndarray, **given: object) -> Found:
    return find_slices(cut_columns(columns, RULE), columns, loss, searched, RULE, **given)  # type: ignore[arg-type]


def test_the_planted_segment_is_named_with_its_effect() -> None:
    found = search(*world())
    assert [str(s.conditions[0]) for s in found.slices] == ["plan = gold"]
    (only,) = found.slices
    assert only.difference.low is not None
    assert only.difference.high is not None
    assert only.difference.low < 1.0 < only.difference.high
    assert only.q < 0.001
    assert found.tested < found.searched


def test_neither_the_order_of_rows_nor_a_unit_changes_what_is_found() -> None:
    columns, loss, searched = world()
    before = search(columns, loss, searched)
    order = np.random.default_rng(2).permutation(ROWS)
    moved = search(columns[order], loss[order], searched[order])
    scaled = search(columns.with_columns(pl.col("height") * 1000), loss, searched)
    for after in (moved, scaled):
        assert [s.rows for s in after.slices] == [s.rows for s in before.slices]
        assert after.slices[0].difference.value == pytest.approx(before.slices[0].difference.value, rel=1e-12)


def test_the_halves_depend_on_the_rows_alone() -> None:
    columns, _, searched = world()
    assert 0.45 < searched.mean() < 0.55
    order = np.random.default_rng(3).permutation(ROWS)
    assert (half_of(order, cut_columns(columns, RULE), columns[order]) == searched[order]).all()


def test_columns_of_every_kind_are_searched_or_say_nothing() -> None:
    rng = np.random.default_rng(4)
    columns = pl.DataFrame(
        {
            "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
            "no text": pl.Series([None] * ROWS, dtype=pl.String),
            "one": np.ones(ROWS),
            "endless": np.where(rng.random(ROWS) < 0.3, np.inf, rng.normal(size=ROWS)),
            "below": np.where(rng.random(ROWS) < 0.3, -np.inf, np.nan),
            "ids": [f"id {n}" for n in range(ROWS)],
            "yes": rng.random(ROWS) < 0.5,
        }
    )
    found = search(columns, rng.exponential(size=ROWS), rng.random(ROWS) < 0.5)
    assert found.slices == ()
    assert found.reason == ""


def test_three_hundred_columns_are_searched() -> None:
    rng = np.random.default_rng(5)
    columns = pl.DataFrame({f"x{n}": rng.normal(size=2000) for n in range(300)})
    found = search(columns, rng.exponential(size=2000), rng.random(2000) < 0.5)
    assert found.searched > 300 * 50


def test_too_few_rows_say_how_many_would_do() -> None:
    columns, loss, searched = world(rows=400)
    assert search(columns, loss, searched).reason == "too few labelled rows: 400; 1,000 would do"
    assert search(columns[:0], loss[:0], searched[:0]).reason.startswith("too few labelled rows: 0")


def test_a_loss_that_never_varies_has_no_weak_segment() -> None:
    columns, _, searched = world()
    assert search(columns, np.full(ROWS, 0.3), searched).slices == ()


def test_one_bad_day_is_no_segment() -> None:
    columns, _, _ = world()
    rng = np.random.default_rng(6)
    days = np.arange(ROWS) * 28 // ROWS
    loss = rng.exponential(size=ROWS) + 3.0 * (days == 9)
    marked = columns.with_columns(storm=pl.Series(np.where(days == 9, "yes", "no")))
    assert search(marked, loss, rng.random(ROWS) < 0.5).slices != ()
    together = Buckets(by="days", places=days)
    assert search(marked, loss, days % 2 == 0, together=together).slices == ()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(width=32), st.integers(-(2**70), 2**70).map(float)), min_size=1, max_size=80
    )
)
def test_every_number_lies_in_one_bin_and_conditions_name_the_same_rows(values: list[float | None]) -> None:
    column = pl.Series("x", values, dtype=pl.Float64)
    made = cut(column, 0.01)
    codes = made.codes(column)
    assert ((codes >= 0) & (codes < made.bins)).all()
    for condition, members in zip(made.conditions, made.members, strict=True):
        assert (condition.holds(column) == (members[codes] > 0)).all(), str(condition)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60))
def test_every_text_lies_in_one_bin(values: list[str | None]) -> None:
    column = pl.Series("x", values, dtype=pl.String)
    made = cut(column, 0.05)
    for condition, members in zip(made.conditions, made.members, strict=True):
        assert (condition.holds(column) == (members[made.codes(column)] > 0)).all()


def test_adjusted_chances_are_those_of_scipy() -> None:
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(7).random(50) ** 3
    assert benjamini_yekutieli(list(p)) == pytest.approx(false_discovery_control(p, method="by"), rel=1e-12)
    assert benjamini_yekutieli([]) == []


def test_the_difference_is_that_of_welch() -> None:
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(8)
    loss, inside = rng.exponential(size=900), rng.random(900) < 0.3
    theirs = ttest_ind(loss[inside], loss[~inside], equal_var=False)
    gap = difference(inside, loss)
    assert gap.value is not None
    assert gap.low is not None
    assert gap.value / ((gap.value - gap.low) / 1.959963984540054) == pytest.approx(theirs.statistic, rel=1e-12)
    assert 0 < Gap.of(inside, loss).chance() < 1
    assert Gap.of(np.zeros(900, bool), loss).chance() == 1.0


def test_a_band_by_days_is_wider_where_days_differ() -> None:
    rng = np.random.default_rng(9)
    days = np.repeat(np.arange(20), 50)
    loss = rng.normal(size=20)[days] + rng.normal(size=1000) * 0.1
    inside = days % 3 == 0
    alone, by_day = difference(inside, loss), difference(inside, loss, Buckets(by="days", places=days))
    assert alone.low is not None
    assert by_day.low is not None
    assert by_day.value == pytest.approx(alone.value)
    assert by_day.low < alone.low


def test_steadiness_counts_the_parts_with_enough_rows() -> None:
    mask = np.array([True] * 30 + [False] * 30 + [True] * 5 + [False] * 30)
    assert steadiness(mask, np.where(mask, 2.0, 1.0), np.array([0] * 60 + [1] * 35)) == (1, 1)


def test_new_since_the_last_deploy_asks_for_a_change() -> None:
    calm, weak = Metric(value=0.0, low=-0.1, high=0.1), Metric(value=0.5, low=0.4, high=0.6)
    assert since_deploy(calm, weak) is True
    assert since_deploy(weak, weak) is False
    assert since_deploy(calm, calm) is False
    assert since_deploy(Metric(value=None), weak) is None


def test_conditions_are_joined() -> None:
    rows = pl.DataFrame({"a": ["x", "x", None], "b": [1.0, None, 3.0]})
    assert rows_of([Condition(column="a", value="x"), Condition(column="b", missing=True)], rows).tolist() == [
        False,
        True,
        False,
    ]
    assert rows_of([Condition(column="a", missing=True)], rows).tolist() == [False, False, True]


def two_groups(seed: int, gap: float, rows: int = 4000) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, rows)
    came = (rng.random(rows) < 0.4).astype(float)
    said = (rng.random(rows) < 0.5 + gap * (group - 0.5)).astype(float)
    return binary_counts(group, 2, said, came)


def test_a_gap_between_groups_is_told_from_chance() -> None:
    wide = disparities(two_groups(1, 0.2), ["a", "b"])["demographic_parity_difference"]
    assert wide.beyond_chance
    assert (wide.lowest, wide.highest) == ("a", "b")
    assert wide.value.low is not None
    assert wide.value.high is not None
    assert wide.value.low < 0.2 < wide.value.high
    by_chance = [disparities(two_groups(s, 0.0), ["a", "b"])["demographic_parity_difference"] for s in range(40)]
    assert sum(bool(d.beyond_chance) for d in by_chance) <= 6


def test_the_band_of_a_gap_covers_it() -> None:
    bands = [disparities(two_groups(s, 0.2), ["a", "b"])["demographic_parity_difference"].value for s in range(60)]
    assert sum(b.low <= 0.2 <= b.high for b in bands if b.low is not None and b.high is not None) >= 52


def test_a_group_without_labels_says_so() -> None:
    counts = binary_counts(np.array([0, 0, 1]), 2, np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, np.nan]))
    first, second = rates(counts, 2)
    assert first["tpr"].value == 1.0
    assert second["tpr"].reason == "no positive labels"
    found = disparities(counts, ["a", "b"])
    assert found["equalized_odds_difference"].value.reason == "group b has no positive labels"
    assert found["demographic_parity_difference"].value.value == 0.5
    assert disparities(counts, ["a"])["demographic_parity_ratio"].value.reason == "1 group to compare; 2 would do"


def test_mean_errors_of_groups() -> None:
    rng = np.random.default_rng(10)
    group = rng.integers(0, 3, 3000)
    found = error_disparities(group, ["a", "b", "c"], rng.normal(size=3000) + (group == 2))["mean_error_difference"]
    assert found.highest == "c"
    assert found.beyond_chance
    assert error_disparities(group[:0], [], np.empty(0))["mae_difference"].value.value is None


def test_a_gate_may_ask_for_fairness() -> None:
    wide, none = disparities(two_groups(1, 0.3), ["a", "b"]), disparities(two_groups(1, 0.0), ["a", "b"])
    verdict = judge_fairness(wide)
    assert verdict.fair is False
    assert "the rule asks for at least 0.800 (lowest a, highest b)" in verdict.reason
    assert judge_fairness(none, FOUR_FIFTHS).fair
    assert judge_fairness(none, FairnessRule(most={"mae_difference": 1.0})).fair is None


def test_segments_beside_the_rest_are_independent_samples() -> None:
    rng = np.random.default_rng(11)
    group, score = rng.integers(0, 3, 3000), rng.random(3000)
    positive = rng.random(3000) < np.where(group == 0, 0.5, score)
    own, rest, gap = compare_ranking(group, 3, score, positive)[0]
    from sklearn.metrics import roc_auc_score

    assert own.value == pytest.approx(roc_auc_score(positive[group == 0], score[group == 0]), abs=1e-12)
    assert rest.value == pytest.approx(roc_auc_score(positive[group != 0], score[group != 0]), abs=1e-12)
    assert gap.value == pytest.approx((own.value or 0) - (rest.value or 0))
    assert gap.high is not None
    assert gap.high < 0
    assert "100 would do" in compare_means(np.array([0, 1]), 2, np.array([1.0, 2.0]))[0][0].reason
    assert compare_ranking(group[:0], 1, score[:0], positive[:0])[0][0].value is None

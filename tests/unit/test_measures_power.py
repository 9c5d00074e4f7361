"""False alarms of a moving mean and the power to see a loss, against simulation and by their laws."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import standard_error
from pilothouse.data.measures.power import (
    DAYS_A_MONTH,
    LEAST_MARGIN,
    Expected,
    alarms_per_month,
    choose_span,
    gap_and_allowance,
    margin_for,
    terms_of,
    watch,
)
from pilothouse.data.measures.telling import loss_explained, telling_columns

EXPECTED = Expected(metric="roc_auc", value=0.75, error=0.004, rows=20_000)


def test_a_mean_over_one_day_alarms_as_often_as_the_normal_law_says() -> None:
    begins = norm.cdf(-2) * norm.cdf(2)
    assert alarms_per_month(2.0, 1) == pytest.approx(DAYS_A_MONTH * begins, rel=1e-5)


@pytest.mark.parametrize(("days", "shared"), [(7, 0.0), (28, 0.0), (28, 0.5)])
def test_alarms_of_a_moving_mean_equal_a_simulation(days: int, shared: float) -> None:
    rng = np.random.default_rng(5)
    each, length = 4_000, 400
    noise = rng.normal(size=(each, length + days - 1))
    total = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    means = (total[:, days:] - total[:, :-days]) / math.sqrt(days)
    means = math.sqrt(1 - shared) * means + math.sqrt(shared) * rng.normal(size=(each, 1))
    below = means < -2
    begun = (below[:, 1:] & ~below[:, :-1]).mean() * DAYS_A_MONTH
    assert alarms_per_month(2.0, days, shared) == pytest.approx(begun, rel=0.1)


@given(st.floats(0.001, 20), st.sampled_from([7, 28, 182]), st.floats(0, 0.95))
def test_a_margin_keeps_its_budget(budget: float, days: int, shared: float) -> None:
    margin = margin_for(budget, days, shared)
    assert margin >= LEAST_MARGIN
    assert alarms_per_month(margin, days, shared) <= budget * 1.001


def test_a_long_span_beside_an_unsure_reference_uses_its_budget_up() -> None:
    margin = margin_for(0.1, 91, 0.5)
    assert LEAST_MARGIN < margin < 2
    assert alarms_per_month(margin, 91, 0.5) == pytest.approx(0.1, rel=1e-3)


def test_more_rows_and_larger_losses_are_seen_better() -> None:
    powers = [watch(EXPECTED, 28, rows, 0.02, 0.1).power for rows in (1_000, 10_000, 100_000)]
    assert powers == sorted(powers)
    assert watch(EXPECTED, 28, 10_000, 0.04, 0.1).power > powers[1]


def test_the_shortest_span_that_sees_the_loss_is_chosen() -> None:
    chosen = choose_span(EXPECTED, 500, 0.02, 0.1)
    assert chosen is not None
    assert (chosen.days, chosen.rows, chosen.sees) == (28, 14_000, True)
    shorter = watch(EXPECTED, 14, 7_000, 0.02, 0.1)
    assert not shorter.sees
    slow = choose_span(EXPECTED, 1, 0.02, 0.1)
    assert slow is not None
    assert (slow.days, slow.sees) == (182, False)
    assert choose_span(EXPECTED, 0.001, 0.02, 0.1) is None


def test_worse_means_higher_for_an_error() -> None:
    expected = Expected(metric="mae", value=10.0, error=0.1, rows=5_000, high_is_good=False)
    chosen = watch(expected, 28, 5_000, 1.0, 0.1)
    assert chosen.threshold > 10
    terms = terms_of(chosen, expected, 0.1)
    found = gap_and_allowance(Metric(value=11.0, low=10.9, high=11.1), terms)
    assert found is not None
    assert found[0] == pytest.approx(1.0)
    assert found[0] > found[1] > 0


def test_a_value_without_a_band_has_no_error() -> None:
    assert standard_error(Metric(value=0.5)) is None
    assert standard_error(Metric(value=0.5, low=0.5, high=0.5)) is None


def test_the_column_that_tells_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    bad, noise = rng.choice(["a", "b", "c"], 6_000), rng.choice([*"defgh"], 6_000)
    losses = rng.exponential(1.0, 6_000) + 0.5 * (bad == "b")
    found = telling_columns(pl.DataFrame({"noise": noise, "bad": bad, "one": ["x"] * 6_000}), losses)
    assert [gain.column for gain in found] == ["bad"]
    between = 0.25 * (1 / 3) * (2 / 3)
    assert found[0].share == pytest.approx(between / (1 + between), abs=0.01)


@pytest.mark.parametrize("values", [[None] * 500, ["é"] * 500, [str(i) for i in range(500)]])
def test_a_column_without_groups_says_nothing(values: list[str | None]) -> None:
    column = pl.Series("x", values, pl.String)
    assert loss_explained(column, np.random.default_rng(0).random(500)) is None
    assert loss_explained(pl.Series("x", ["a", "b"] * 250), np.zeros(500)) is None

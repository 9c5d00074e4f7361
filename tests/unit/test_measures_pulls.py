"""What each day pulls a value by: as if it were left out; and bands of segments that hold for days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.planted.shared_segment_worlds import SEGMENTS, WORLDS, make
from tests.planted.shared_segments import differences

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_with_variance
from pilothouse.data.measures.gaps import sums_by
from pilothouse.data.measures.pulls import Pulls, Ranks, of_means
from pilothouse.data.measures.row_buckets import Buckets, buckets_of, days_of
from pilothouse.data.measures.segment_comparison import compare_means, compare_ranking, compare_shares
from pilothouse.data.measures.together import LEAST_BUCKETS, of_rows

DAYS = 12
RNG = np.random.default_rng(1)
PLACES = RNG.integers(0, DAYS, 3000)
SCORE = np.round(RNG.random(3000), 2)
POSITIVE = RNG.random(3000) < SCORE
INSIDE = RNG.random(3000) < 0.2


def auc(rows: np.ndarray) -> float:
    slots = (SCORE * 100).astype(int)
    came, stayed = (np.bincount(slots[rows & side], minlength=101) for side in (POSITIVE, ~POSITIVE))
    return auc_with_variance(came, stayed)[0]


def test_a_mean_is_pulled_by_what_it_loses_without_the_day() -> None:
    pulls = of_means(sums_by(PLACES, DAYS, SCORE))
    without = [SCORE[day != PLACES].mean() - SCORE.mean() for day in range(DAYS)]
    assert pulls.changes == pytest.approx(without)
    assert pulls.held == DAYS


def test_a_ranking_is_pulled_almost_as_without_the_day() -> None:
    own, rest = Ranks((SCORE * 100).astype(int), POSITIVE, PLACES).of_auc(np.flatnonzero(INSIDE))
    for pulls, side in ((own, INSIDE), (rest, ~INSIDE)):
        without = np.array([auc(side & (day != PLACES)) for day in range(DAYS)]) - auc(side)
        assert np.corrcoef(pulls.changes, without)[0, 1] > 0.999
        assert np.linalg.norm(pulls.changes) == pytest.approx(np.linalg.norm(without), rel=0.03)


def test_what_moves_both_sides_alike_cancels_out() -> None:
    moved = of_means(np.array([[9.0] * DAYS, RNG.normal(size=DAYS)]))
    assert not moved.less(moved).changes.any()


def test_a_segment_on_few_days_has_no_band_and_says_so() -> None:
    few = Pulls(changes=np.zeros(DAYS), rows=np.array([100.0, 100.0, *[0.0] * (DAYS - 2)]), held=2)
    found = few.widen(Metric(value=0.1, low=0.0, high=0.2), "days")
    assert (found.value, found.low, found.high) == (0.1, None, None)
    assert found.reason == f"no band: rows worth 2.0 days of equal size; {LEAST_BUCKETS} would do"


@pytest.mark.parametrize("days", [None, Buckets(by="days", places=PLACES)])
def test_values_stay_and_bands_never_narrow(days: Buckets | None) -> None:
    groups = np.where(INSIDE, 0, 1)
    acts = (
        lambda t: compare_ranking(groups, 2, SCORE, POSITIVE, t),
        lambda t: compare_shares(groups, 2, POSITIVE, t),
        lambda t: compare_means(groups, 2, SCORE, t),
    )
    for act in acts:
        for plain, found in zip(sum(act(None), ()), sum(act(days), ()), strict=True):
            assert found.value == pytest.approx(plain.value, rel=1e-12)
            assert found.by == ("rows" if days is None else "days")
            assert found.low <= plain.low + 1e-12
            assert found.high >= plain.high - 1e-12
            assert of_rows(found).low == pytest.approx(plain.low)


def test_the_order_of_rows_does_not_matter() -> None:
    order = RNG.permutation(len(SCORE))
    groups = np.where(INSIDE, 0, 1)
    known = compare_ranking(groups, 1, SCORE, POSITIVE, Buckets(by="days", places=PLACES))[0]
    moved = compare_ranking(
        groups[order], 1, SCORE[order], POSITIVE[order], Buckets(by="days", places=PLACES[order])
    )[0]  # fmt: skip
    for before, after in zip(known, moved, strict=True):
        assert (after.low, after.high) == (pytest.approx(before.low), pytest.approx(before.high))


def test_a_storm_over_one_city_widens_its_band_alone() -> None:
    world = make(WORLDS["a city's day"], 28, np.random.default_rng(5))
    days = Buckets(by="days", places=world.day)
    assert differences(world, SEGMENTS["a city"](world.columns), days)["log-loss"].wider > 1.3
    assert differences(world, SEGMENTS["mornings"](world.columns), days)["log-loss"].wider < 1.3


def times(days: int, an_hour: int = 1) -> np.ndarray:
    return np.repeat(np.arange(days * 24) * 3_600_000_000, an_hour)


def test_the_longest_buckets_of_which_enough_hold_rows_are_taken() -> None:
    found = [buckets_of(times(days), "UTC") for days in (80, 28, 3)]
    assert [each.by if each else None for each in found] == ["weeks", "days", "hours"]
    assert [each.number if each else None for each in found] == [12, 28, 72]
    assert buckets_of(times(1)[:3], "UTC") is None
    assert buckets_of(times(0), "UTC") is None


def test_days_are_those_of_the_zone() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    at = np.array([round((late + timedelta(hours=h)).timestamp() * 1e6) for h in (0, 1)])
    assert np.diff(days_of(at, "UTC")).tolist() == [1]
    assert np.diff(days_of(at, "America/New_York")).tolist() == [0]

"""What rows of a day have in common in their features: found where it is, by rank, and not where slots differ by chance alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pilothouse.data.measures.day_parts import MOST_FEATURES, DayParts
from pilothouse.data.measures.impact import Shift
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind

DAYS, A_DAY = 40, 200


def drawn(rng: np.random.Generator, of_day: float, days: int = DAYS) -> np.ndarray:
    """Values of variance 1, of which the share `of_day` is the same for all rows of a day."""
    shared = np.repeat(rng.normal(size=days), A_DAY)
    values: np.ndarray = np.sqrt(of_day) * shared + np.sqrt(1 - of_day) * rng.normal(size=days * A_DAY)
    return values


def shift(reference: np.ndarray, window: np.ndarray, name: str = "f", by_day: bool = True) -> Shift:
    values = pl.Series(name, reference)
    profile = FeatureProfile.of(name, Kind.NUMBER, values)
    slots, days = profile.bins.slots, len(window) // A_DAY
    at = np.repeat(np.arange(days), A_DAY) * slots + profile.bins.codes(pl.Series(window))
    buckets = np.bincount(at, minlength=days * slots).reshape(days, slots)
    return Shift.of(name, profile, values, buckets.sum(axis=0), buckets if by_day else None)


def covariance(shifts: list[Shift], influence: np.ndarray) -> float:
    parts = DayParts.of(shifts)
    return 0.0 if parts is None else parts.common(influence - influence.mean()).covariance


@pytest.mark.parametrize("scale", [1.0, 0.7, 1.5])
def test_what_days_share_in_a_feature_is_found_however_the_window_is_stretched(scale: float) -> None:
    found = []
    for seed in range(6):
        rng = np.random.default_rng([1, seed])
        reference, window = drawn(rng, 0.4), drawn(rng, 0.4)
        found.append(covariance([shift(reference, scale * window + 1)], reference + rng.normal(size=len(reference))))
    # Student's law widens by 1.065 for so few days.
    assert np.mean(found) == pytest.approx(0.4 * 1.065, rel=0.15)


def test_two_features_that_go_together_are_not_counted_twice() -> None:
    rng = np.random.default_rng(2)
    reference, window = drawn(rng, 0.5), drawn(rng, 0.5)
    once = shift(reference, window)
    assert covariance([once, once], reference) == pytest.approx(covariance([once], reference), rel=1e-6)


def test_what_only_chance_tells_is_no_common_part() -> None:
    found = []
    for seed in range(8):
        rng = np.random.default_rng([3, seed])
        reference, window = drawn(rng, 0.999), drawn(rng, 0.999)
        found.append(covariance([shift(reference, window)], rng.normal(size=len(reference))))
    # Without what chance does taken off, a row's variance of 1 would come to 1 / 200 here.
    assert np.mean(found) < 0.25 / A_DAY


def test_rows_that_have_nothing_in_common_add_nothing() -> None:
    rng = np.random.default_rng(4)
    reference = drawn(rng, 0.0)
    assert covariance([shift(reference, drawn(rng, 0.0))], reference) < 0.02
    assert DayParts.of([shift(reference, reference, by_day=False)]) is None
    assert DayParts.of([]) is None


@pytest.mark.parametrize("window", [np.zeros(800), np.full(800, np.nan), np.full(800, np.inf), np.zeros(0)])
def test_windows_of_one_value_or_of_none_say_nothing(window: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    assert covariance([shift(drawn(rng, 0.5), window)], rng.normal(size=DAYS * A_DAY)) == 0.0


def test_the_features_in_which_days_are_most_alike_are_asked_and_the_order_of_rows_says_nothing() -> None:
    rng = np.random.default_rng(6)
    references = [drawn(rng, of_day, 12) for of_day in np.linspace(0.05, 0.9, MOST_FEATURES + 3)]
    shifts = [shift(each, drawn(rng, 0.5, 12) if n % 2 else each, str(n)) for n, each in enumerate(references)]
    parts = DayParts.of(shifts)
    assert parts is not None
    alike = [feature.alike for feature in parts.features]
    assert len(alike) == MOST_FEATURES
    assert alike == sorted(alike, reverse=True)
    influence, order = references[-1] - references[-1].mean(), rng.permutation(12 * A_DAY)
    moved = [shift(each[order], references[0], "f") for each in references[:1]]
    plain = [shift(references[0], references[0], "f")]
    assert covariance(moved, influence[order]) == pytest.approx(covariance(plain, influence))

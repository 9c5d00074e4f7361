"""Exact distances against SciPy: ties, infinities, samples of any two lengths."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pilothouse.data.measures.drift import psi
from pilothouse.data.measures.exact import (
    CategorySample,
    NumberSample,
    ks_statistic,
    measure_exactly,
    wasserstein_distance,
)
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind


@pytest.mark.parametrize("seed", range(60))
def test_distances_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 400, 2)
    draw = (lambda n: rng.integers(0, 6, n).astype(float)) if seed % 2 else (lambda n: rng.normal(1e6, 1, n))
    reference, current = (np.sort(draw(n)) for n in sizes)
    assert ks_statistic(reference, current) == stats.ks_2samp(reference, current, method="asymp").statistic
    expected = stats.wasserstein_distance(reference, current)
    assert wasserstein_distance(reference, current) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_missing_values_are_left_out_and_counted() -> None:
    sample = NumberSample.of(pl.Series([3.0, None, float("nan"), 1.0, float("inf")]))
    assert (sample.values.tolist(), sample.missing) == ([1.0, 3.0, float("inf")], 2)


def test_psi_is_over_the_tenths_of_the_reference_itself() -> None:
    rng = np.random.default_rng(3)
    known, seen = rng.normal(size=5000), rng.normal(0.5, 1, 4000)
    feature = FeatureProfile.of("wind", Kind.NUMBER, pl.Series(known))
    found = measure_exactly(feature, NumberSample.of(pl.Series(known)), NumberSample.of(pl.Series(seen)))
    edges = np.sort(known)[500::500][:9]
    tenths = [np.bincount(np.searchsorted(edges, values, side="right"), minlength=10) for values in (known, seen)]
    assert found.psi == pytest.approx(psi(*tenths), rel=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(known, seen) / known.std(), rel=1e-12)


def test_an_infinity_moves_the_distance_as_far_as_the_reference_reaches() -> None:
    known = np.arange(1000.0)
    feature = FeatureProfile.of("wind", Kind.NUMBER, pl.Series(known))
    seen = NumberSample.of(pl.Series([*known, float("inf")]))
    found = measure_exactly(feature, NumberSample.of(pl.Series(known)), seen)
    expected = stats.wasserstein_distance(known, [*known, 999.0]) / known.std()
    assert found.wasserstein == pytest.approx(expected, rel=1e-9)


def test_new_categories_are_told_apart_however_many_there_are() -> None:
    known = pl.Series(["AA", "BB"] * 300)
    feature = FeatureProfile.of("carrier", Kind.CATEGORY, known)
    seen = pl.Series(["AA"] * 300 + ["BB"] * 270 + [f"new {i}" for i in range(30)] + [None] * 200)
    found = measure_exactly(feature, CategorySample.of(known), CategorySample.of(seen))
    assert (found.new_share, found.missing) == (30 / 600, 0.25)
    assert found.psi == pytest.approx(psi(np.array([300, 300, 0]), np.array([300, 270, 30])))

"""Measures against independent implementations, on data with a planted truth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.history.results import FeatureDrift, State
from pilothouse.data.measures.bands import auc_band, auc_with_variance, normal, wilson
from pilothouse.data.measures.distribution import draw_bins
from pilothouse.data.measures.drift import psi
from pilothouse.data.measures.feature_drift import measure_drift
from pilothouse.data.measures.latency import percentile_ms
from pilothouse.data.measures.outcomes import Sums
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.rollups.bins import LATENCY_SLOTS, NumberBins, latency_slots, tally
from pilothouse.data.rollups.outcomes import outcomes_of
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind

RNG = np.random.default_rng(11)


def drift_of(reference: pl.Series, current: pl.Series, kind: Kind = Kind.NUMBER) -> FeatureDrift:
    profile = FeatureProfile.of("x", kind, reference)
    codes, alone = profile.bins.codes(current), np.zeros(len(current), np.int64)
    weights = profile.bins.weights(current) if isinstance(profile.bins, NumberBins) else None
    counts = tally(codes, profile.bins.slots, alone, 1)[0].astype(np.int64)
    return measure_drift(profile, counts, tally(codes, profile.bins.slots, alone, 1, weights)[0])


def decile_psi(reference: npt.NDArray[np.float64], current: npt.NDArray[np.float64]) -> float:
    """PSI by its definition, on the rows themselves."""
    edges = np.quantile(reference, np.arange(1, 10) / 10, method="lower")
    shares = [np.bincount(np.searchsorted(edges, x, side="right"), minlength=10) / len(x) for x in (reference, current)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


SHIFTED = {
    "shifted": (RNG.normal(size=8000), RNG.normal(0.4, 1, 5000)),
    "wider": (RNG.normal(size=8000), RNG.normal(0, 1.6, 5000)),
    "heavy tails": (RNG.standard_t(2, size=8000), RNG.standard_t(2, size=5000) + 0.3),
    "the same": (RNG.gamma(2, size=8000), RNG.gamma(2, size=5000)),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_drift_of_numbers_equals_scipy_on_the_rows(name: str) -> None:
    reference, current = SHIFTED[name]
    found = drift_of(pl.Series(reference), pl.Series(current))
    truth = stats.ks_2samp(reference, current)
    assert found.psi == pytest.approx(decile_psi(reference, current), abs=1e-12)
    assert found.ks == pytest.approx(truth.statistic, abs=1 / 160)
    distance = stats.wasserstein_distance(reference, current) / reference.std()
    assert found.wasserstein == pytest.approx(distance, abs=0.01)


def test_whole_numbers_are_exact() -> None:
    reference, current = RNG.poisson(4, 6000), RNG.poisson(4.3, 3000)
    found = drift_of(pl.Series(reference), pl.Series(current), Kind.INTEGER)
    truth = stats.ks_2samp(reference, current, method="asymp")
    assert found.ks == pytest.approx(truth.statistic, abs=1e-12)
    assert found.ks_p == pytest.approx(truth.pvalue, rel=0.05)
    assert found.wasserstein == pytest.approx(
        stats.wasserstein_distance(reference, current) / reference.std(), abs=1e-9
    )


def test_categories_equal_scipy_and_new_ones_are_counted() -> None:
    reference = pl.Series(["a"] * 700 + ["b"] * 300)
    current = pl.Series(["a"] * 500 + ["b"] * 400 + ["z"] * 100 + [None] * 50)
    found = drift_of(reference, current, Kind.CATEGORY)
    p, q = np.array([0.7, 0.3, 0]), np.array([0.5, 0.4, 0.1])
    assert found.jensen_shannon == pytest.approx(jensenshannon(p, q))
    by_hand = (
        (0.5 - 0.7) * math.log(0.5 / 0.7) + (0.4 - 0.3) * math.log(0.4 / 0.3) + (0.1 - 1e-4) * math.log(0.1 / 1e-4)
    )
    assert found.psi == pytest.approx(by_hand)
    assert (found.new_share, found.missing) == (pytest.approx(0.1), pytest.approx(50 / 1050))
    assert (found.ks, found.wasserstein, found.state) == (None, None, State.CRITICAL)
    assert found.reason == f"PSI {by_hand:.2f}; 0.2 and more is critical"


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        ([0.5] * 12, "too few rows: 12; 200 would do"),
        ([], "no rows in this window"),
    ],
)
def test_a_window_too_small_to_speak_says_so(current: list[float], reason: str) -> None:
    found = drift_of(pl.Series(RNG.normal(size=2000)), pl.Series(current, dtype=pl.Float64))
    assert (found.psi, found.state, found.reason) == (None, State.NO_DATA, reason)


def test_values_that_go_missing_are_drift_although_psi_is_silent() -> None:
    values = RNG.normal(size=4000)
    current = pl.Series(values).scatter(list(range(0, 4000, 2)), None)
    found = drift_of(pl.Series(values), current)
    assert found.psi is not None
    assert found.psi < 0.02
    assert (found.state, found.reason) == (
        State.CRITICAL,
        "50% missing, 0% in the reference; a rise of 30% is critical",
    )


def test_psi_of_nothing_is_refused() -> None:
    with pytest.raises(EmptyWindow, match="the window has no rows"):
        psi(np.array([1, 1]), np.array([0, 0]))


@pytest.mark.parametrize(("rows", "share", "within"), [(40_000, 0.3, 1e-4), (6_000, 0.2, 1e-3), (400_000, 0.001, 5e-3)])
def test_performance_equals_scikit_learn(rows: int, share: float, within: float) -> None:
    """Scores lie around the share of positives, as they do where positives are rare."""
    centre = math.log(share / (1 - share))
    scores = 1 / (1 + np.exp(-RNG.normal(centre, 1.2, rows)))
    positive = RNG.random(rows) < scores
    metrics = measure_performance(outcomes_of(scores, positive))
    assert metrics["roc_auc"].value == pytest.approx(roc_auc_score(positive, scores), abs=within)
    assert metrics["log_loss"].value == pytest.approx(log_loss(positive, scores), abs=1e-12)
    assert metrics["brier"].value == pytest.approx(brier_score_loss(positive, scores), abs=1e-12)
    assert metrics["positive_rate"].value == positive.mean()
    assert metrics["mean_score"].value == pytest.approx(scores.mean())


def test_certain_scores_cost_what_scikit_learn_says() -> None:
    scores, positive = np.array([0.0, 1.0, 0.4, 0.0]), np.array([True, True, False, False])
    found = measure_performance(outcomes_of(scores, positive))
    assert found["log_loss"].value == pytest.approx(log_loss(positive, scores))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([], "no labels yet"), ([True, True], "only one class among 2 labelled rows; ROC AUC compares two")],
)
def test_what_cannot_be_said_has_a_reason(labels: list[bool], reason: str) -> None:
    metric = measure_performance(outcomes_of(np.full(len(labels), 0.5), np.array(labels, bool)))["roc_auc"]
    assert (metric.value, metric.reason) == (None, reason)


def test_the_delong_variance_is_that_of_its_definition() -> None:
    positives, negatives = RNG.integers(0, 6, 12), RNG.integers(0, 9, 12)
    x, y = np.repeat(np.arange(12), positives), np.repeat(np.arange(12), negatives)
    beats = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    truth = beats.mean(1).var(ddof=1) / len(x) + beats.mean(0).var(ddof=1) / len(y)
    auc, variance = auc_with_variance(positives, negatives)
    assert (auc, variance) == (pytest.approx(beats.mean()), pytest.approx(truth))


def test_bands_hold_the_truth_as_often_as_they_promise() -> None:
    """1,000 samples of a known AUC: the band holds it in 95 % of them, give or take 2 points."""
    truth = float(stats.norm.cdf(1 / math.sqrt(2)))
    held = 0
    for _ in range(1000):
        logits = np.concatenate([RNG.normal(1, 1, 150), RNG.normal(0, 1, 250)])
        outcomes = outcomes_of(1 / (1 + np.exp(-logits)), np.arange(400) < 150)
        low, high = auc_band(*auc_with_variance(outcomes.positives, outcomes.negatives))
        held += low <= truth <= high
    assert 930 <= held <= 970


def test_shares_and_means_have_the_usual_bands() -> None:
    truth = stats.binomtest(23, 97).proportion_ci(method="wilson")
    assert wilson(23, 97) == (pytest.approx(truth.low), pytest.approx(truth.high))
    values = RNG.exponential(size=500)
    low, high = normal(Sums(n=500, total=values.sum(), squares=(values**2).sum()))
    half = 1.959963984540054 * values.std(ddof=1) / math.sqrt(500)
    assert (low, high) == (pytest.approx(values.mean() - half), pytest.approx(values.mean() + half))


def test_latency_percentiles_are_within_a_bin() -> None:
    micros = RNG.lognormal(8, 0.7, 20_000)
    counts = np.bincount(latency_slots(micros), minlength=LATENCY_SLOTS)
    for share in (0.5, 0.95, 0.99):
        assert percentile_ms(counts, share, 100) == pytest.approx(np.quantile(micros, share) / 1000, rel=0.024)
    assert percentile_ms(np.zeros(LATENCY_SLOTS, np.int64), 0.5, 100) is None


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.INTEGER, Kind.CATEGORY])
def test_a_distribution_has_few_bars_and_loses_no_row(kind: Kind) -> None:
    numbers = RNG.gamma(2, 10, 4000).round(0 if kind is Kind.INTEGER else 6)
    column = pl.Series(numbers) if kind is not Kind.CATEGORY else pl.Series(numbers.astype(int)).cast(pl.String)
    profile = FeatureProfile.of("x", kind, column)
    bars = draw_bins(profile, profile.counts)
    assert 10 <= len(bars) <= 33
    assert sum(bar.reference for bar in bars) == pytest.approx(1)
    assert [bar.reference for bar in bars] == [bar.current for bar in bars]

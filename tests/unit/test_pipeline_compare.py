"""The paired comparison against scikit-learn and against resampling."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pilothouse.data.errors import BadData, EmptyWindow
from pilothouse.data.measures.compare import compare_scores


def planted(rows: int, seed: int, noise: float = 1.0) -> tuple[NDArray[np.bool_], ...]:
    """Labels, a weak score and a stronger score that shares most of the weak one's noise."""
    rng = np.random.default_rng(seed)
    labels = rng.random(rows) < 0.2
    shared = rng.normal(size=rows)
    weak = 1 / (1 + np.exp(-(0.5 * labels + noise * shared)))
    strong = 1 / (1 + np.exp(-(0.9 * labels + noise * shared + 0.2 * rng.normal(size=rows))))
    return labels, np.round(weak, 3), strong


def test_values_equal_scikit_learn_ties_included() -> None:
    labels, weak, strong = planted(5_000, seed=1)
    found = compare_scores(labels, weak, strong)
    for scores, of in ((weak, found.champion), (strong, found.challenger)):
        assert of.roc_auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert of.log_loss.value == pytest.approx(log_loss(labels, scores), abs=1e-12)
        assert of.brier.value == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)
    assert found.gain.value == pytest.approx(roc_auc_score(labels, strong) - roc_auc_score(labels, weak), abs=1e-12)
    assert (found.rows, found.positives) == (5_000, int(labels.sum()))


def test_bands_have_the_width_that_fresh_samples_show() -> None:
    drawn = [compare_scores(*planted(2_000, seed=s)) for s in range(300)]
    gains = np.array([d.gain.value for d in drawn])
    widths = np.array([d.gain.high - d.gain.low for d in drawn]) / (2 * 1.96)
    assert widths.mean() == pytest.approx(gains.std(), rel=0.12)
    truth = gains.mean()
    covered = np.mean([d.gain.low <= truth <= d.gain.high for d in drawn])
    assert 0.91 <= covered <= 0.985


def test_pairing_makes_the_band_of_the_gain_narrower_than_the_versions_own() -> None:
    found = compare_scores(*planted(2_000, seed=3))
    own = found.champion.roc_auc.high - found.champion.roc_auc.low
    assert found.gain.high - found.gain.low < 0.7 * own


def test_a_version_against_itself_gains_exactly_nothing() -> None:
    labels, weak, _ = planted(500, seed=4)
    found = compare_scores(labels, weak, weak)
    assert (found.gain.value, found.gain.low, found.gain.high) == (0.0, 0.0, 0.0)
    assert found.log_loss_change.value == 0.0


def test_certain_and_wrong_scores_stay_finite() -> None:
    labels = np.array([True, False, True, False])
    found = compare_scores(labels, np.array([0.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert np.isfinite(found.champion.log_loss.value)
    assert found.challenger.roc_auc.value == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "error", "says"),
    [
        ([], [], EmptyWindow, "The comparison has no rows"),
        ([True, True], [0.1, 0.2], BadData, "All 2 labelled rows are of one class"),
        ([True, False], [0.1, np.nan], BadData, "gave no score to 1 of 2 rows"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    labels: list[bool], scores: list[float], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        compare_scores(np.array(labels, dtype=bool), np.array(scores), np.array(scores))

"""Worlds of several classes for performance without labels. Frozen like `estimate_worlds`, and made of as little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.planted.estimate_worlds import CHANGE, REFERENCE_ROWS, TRAINING_ROWS, WEEKS, WINDOW_ROWS, WINDOWS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PULLS = np.array(
    [[1.0, -0.7, 0.5, 0.3, 0.0], [-0.6, 0.8, 0.2, 0.0, 0.3], [0.1, 0.3, -0.9, 0.5, 0.0], [-0.4, -0.3, 0.2, -0.6, 0.4]]
)
_FADED = _PULLS * np.array([0.4, 1.0, 1.0, 1.0, 1.0])
_LEVELS = np.array([0.6, 0.2, -0.1, -0.8])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRows:
    """scores : probability that the model gives each of four classes, shape (rows, 4). labels : the class that came true."""

    scores: Floats
    labels: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassWorld:
    reference: ClassRows
    windows: tuple[ClassRows, ...]


def covariate(seed: int) -> ClassWorld:
    """The rows move, by up to one standard deviation in each feature; what the scores mean stays as it is.

    The model knows the true odds and promises too much: 1.5 times the log-odds, and 0.3 more for the first class.
    """
    rng = np.random.default_rng([seed, 11])
    windows = tuple(_told(rng, WINDOW_ROWS, rng.uniform(-1, 1, 5), _PULLS) for _ in range(WINDOWS))
    return ClassWorld(reference=_told(rng, REFERENCE_ROWS, np.zeros(5), _PULLS), windows=windows)


def covariate_fitted(seed: int) -> ClassWorld:
    """The rows move in the same way; the model was learned, and knows no curves: a score means something else elsewhere."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([seed, 12])
    x, y = _curved(rng, TRAINING_ROWS, np.zeros(5))
    model = LogisticRegression(max_iter=500).fit(x, y)

    def scored(rows: int, moved: Floats) -> ClassRows:
        features, labels = _curved(rng, rows, moved)
        return ClassRows(scores=model.predict_proba(features), labels=labels)

    windows = tuple(scored(WINDOW_ROWS, rng.uniform(-1, 1, 5)) for _ in range(WINDOWS))
    return ClassWorld(reference=scored(REFERENCE_ROWS, np.zeros(5)), windows=windows)


def weeks(seed: int, *, changes: bool) -> ClassWorld:
    """Half a year by week, the rows a little different each week; with `changes`, one cause fades after thirteen weeks."""
    rng = np.random.default_rng([seed, 13])
    windows = tuple(
        _told(rng, WINDOW_ROWS, rng.normal(0, 0.15, 5), _FADED if changes and week >= CHANGE else _PULLS)
        for week in range(WEEKS)
    )
    return ClassWorld(reference=_told(rng, REFERENCE_ROWS, np.zeros(5), _PULLS), windows=windows)


def _told(rng: np.random.Generator, rows: int, moved: Floats, pulls: Floats) -> ClassRows:
    x = rng.normal(size=(rows, 5)) + moved
    labels = _drawn(rng, _chances(_LEVELS + x @ pulls.T))
    promised = 1.5 * (_LEVELS + x @ _PULLS.T)
    promised[:, 0] += 0.3
    return ClassRows(scores=_chances(promised), labels=labels)


def _curved(rng: np.random.Generator, rows: int, moved: Floats) -> tuple[Floats, Ints]:
    x = rng.normal(size=(rows, 5)) + moved
    log_odds = _LEVELS + x @ _PULLS.T
    log_odds[:, 0] += 0.5 * x[:, 0] * x[:, 1]
    log_odds[:, 2] += 0.4 * np.sin(2 * x[:, 2])
    return x, _drawn(rng, _chances(log_odds))


def _drawn(rng: np.random.Generator, chances: Floats) -> Ints:
    found: Ints = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1).clip(max=chances.shape[1] - 1)
    return found


def _chances(log_odds: Floats) -> Floats:
    odds = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
    chances: Floats = odds / odds.sum(axis=1, keepdims=True)
    return chances

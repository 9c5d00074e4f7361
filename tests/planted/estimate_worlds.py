"""Worlds for performance without labels. Frozen: what is measured on them was written after, and does not change them.

NumPy and scikit-learn alone, so that another environment, with another library to compare with, makes the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_WEIGHTS = np.array([1.0, -0.7, 0.5, 0.3, 0.0])
_FADED = np.array([0.5, -0.7, 0.5, 0.3, 0.0])
_BASE = -1.1
REFERENCE_ROWS, WINDOW_ROWS, TRAINING_ROWS = 6_000, 2_000, 20_000
WINDOWS, WEEKS, CHANGE = 6, 26, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows of a binary model. scores : probability it gives. labels : what came true."""

    scores: Floats
    labels: Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    reference: Scored
    windows: tuple[Scored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Rows of a regression. features : shape (rows, 4). said : predictions. true : labels."""

    features: Floats
    said: Floats
    true: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberWorld:
    reference: Measured
    windows: tuple[Measured, ...]


def covariate(seed: int) -> World:
    """The rows move, by up to one standard deviation in each feature; what a score means stays as it is.

    The model ranks by the true log-odds and promises too much: 1.5 times them, and 0.3 more.
    """
    rng = np.random.default_rng([seed, 1])
    windows = tuple(_told(rng, WINDOW_ROWS, rng.uniform(-1, 1, 5), _WEIGHTS) for _ in range(WINDOWS))
    return World(reference=_told(rng, REFERENCE_ROWS, np.zeros(5), _WEIGHTS), windows=windows)


def covariate_fitted(seed: int) -> World:
    """The rows move in the same way; the model was learned, so that a score means something else where it is wrong."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng([seed, 2])
    x, y = _curved(rng, TRAINING_ROWS, np.zeros(5))
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(x, y)

    def scored(rows: int, moved: Floats) -> Scored:
        features, labels = _curved(rng, rows, moved)
        return Scored(scores=model.predict_proba(features)[:, 1], labels=labels)

    windows = tuple(scored(WINDOW_ROWS, rng.uniform(-1, 1, 5)) for _ in range(WINDOWS))
    return World(reference=scored(REFERENCE_ROWS, np.zeros(5)), windows=windows)


def weeks(seed: int, *, changes: bool) -> World:
    """Half a year by week, the rows a little different each week; with `changes`, one cause fades after thirteen weeks."""
    rng = np.random.default_rng([seed, 3])
    windows = tuple(
        _told(rng, WINDOW_ROWS, rng.normal(0, 0.15, 5), _FADED if changes and week >= CHANGE else _WEIGHTS)
        for week in range(WEEKS)
    )
    return World(reference=_told(rng, REFERENCE_ROWS, np.zeros(5), _WEIGHTS), windows=windows)


def numbers(seed: int) -> NumberWorld:
    """A regression whose errors are larger in some places; the rows move to them, or away."""
    rng = np.random.default_rng([seed, 4])
    windows = tuple(_priced(rng, WINDOW_ROWS, rng.uniform(-1, 1, 4)) for _ in range(WINDOWS))
    return NumberWorld(reference=_priced(rng, REFERENCE_ROWS, np.zeros(4)), windows=windows)


def _told(rng: np.random.Generator, rows: int, moved: Floats, weights: Floats) -> Scored:
    x = rng.normal(size=(rows, 5)) + moved
    labels = rng.random(rows) < _chance(_BASE + x @ weights)
    return Scored(scores=_chance(1.5 * (_BASE + x @ _WEIGHTS) + 0.3), labels=labels)


def _curved(rng: np.random.Generator, rows: int, moved: Floats) -> tuple[Floats, Flags]:
    x = rng.normal(size=(rows, 5)) + moved
    log_odds = _BASE + x @ _WEIGHTS + 0.5 * x[:, 0] * x[:, 1] + 0.4 * np.sin(2 * x[:, 2])
    return x, rng.random(rows) < _chance(log_odds)


def _priced(rng: np.random.Generator, rows: int, moved: Floats) -> Measured:
    x = rng.normal(size=(rows, 4)) + moved
    worth = 3 * x[:, 0] + x[:, 1] * x[:, 2]
    spread = 0.5 + np.abs(x[:, 3]) + 0.5 * (x[:, 0] > 0)
    return Measured(features=x, said=worth + 0.2 * x[:, 1], true=worth + spread * rng.normal(size=rows))


def _chance(log_odds: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-log_odds))
    return chance

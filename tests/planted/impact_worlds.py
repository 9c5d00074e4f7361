"""Frozen: worlds in which it is known what the drift of each feature costs. Written before any estimate was looked at.

Nothing here is to be tuned to a result. A law draws rows; a window's law is the reference's with some columns drawn
otherwise, so the true cost of one column alone is what a large sample shows in which that column alone is otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Columns = dict[str, Floats]
Draw = Callable[[np.random.Generator, int], Floats]

REFERENCE, WINDOW, TRAINING, LARGE = 20_000, 20_000, 20_000, 400_000
BINARY_FEATURES = ("loud", "quiet", "second", "third", "still")
REGRESSION_FEATURES = ("loud", "quiet", "second", "still")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one law: the features, what the model says of them, and what came true."""

    columns: Columns
    said: Floats
    true: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A model with its reference and a window. alone : a large sample for each feature in which it alone drifted."""

    reference: Rows
    window: Rows
    large_reference: Rows
    alone: Mapping[str, Rows]
    large_window: Rows


def loud_and_quiet(seed: int) -> World:
    """Binary. `loud` moves by two standard deviations and nothing hangs on it; `quiet` is squeezed, and much does.

    `second` and `third` move a little; `still` does not. The model is a logistic regression on all five.
    """
    rng = np.random.default_rng([5, 1, seed])
    weights = np.array([0.0, rng.uniform(1.5, 2.0), 0.6, -0.4, 0.3])
    squeeze = rng.uniform(0.72, 0.82)
    before: dict[str, Draw] = dict.fromkeys(BINARY_FEATURES, _normal)
    after: dict[str, Draw] = {
        "loud": lambda r, n: r.normal(2.0, 1.0, n),
        "quiet": lambda r, n: squeeze * r.normal(0.0, 1.0, n),
        "second": lambda r, n: r.normal(0.1, 1.0, n),
        "third": lambda r, n: r.normal(0.0, 1.05, n),
        "still": _normal,
    }
    return _binary(rng, before, after, weights, weights)


def concept(seed: int) -> World:
    """Binary. No feature drifts; what `quiet` means for the outcome fades by half in the window."""
    rng = np.random.default_rng([5, 2, seed])
    weights = np.array([0.0, rng.uniform(1.5, 2.0), 0.6, -0.4, 0.3])
    faded = weights * np.array([1.0, 0.5, 1.0, 1.0, 1.0])
    laws: dict[str, Draw] = dict.fromkeys(BINARY_FEATURES, _normal)
    return _binary(rng, laws, laws, weights, faded)


def nothing(seed: int) -> World:
    """Binary. The window is drawn as the reference is: whatever is said to cost something is a false alarm."""
    rng = np.random.default_rng([5, 3, seed])
    weights = np.array([0.0, rng.uniform(1.5, 2.0), 0.6, -0.4, 0.3])
    laws: dict[str, Draw] = dict.fromkeys(BINARY_FEATURES, _normal)
    return _binary(rng, laws, laws, weights, weights)


def costly_region(seed: int) -> World:
    """Regression. The noise of the target grows with `quiet`, and the window has more of its high values.

    `loud` moves by two standard deviations and nothing hangs on it. The target's standard deviation is near 2.
    """
    rng = np.random.default_rng([5, 4, seed])
    spread = rng.uniform(0.7, 1.1)
    step = rng.uniform(0.3, 0.45)
    before: dict[str, Draw] = dict.fromkeys(REGRESSION_FEATURES, _normal)
    after: dict[str, Draw] = before | {
        "loud": lambda r, n: r.normal(2.0, 1.0, n),
        "quiet": lambda r, n: r.normal(step, 1.0, n),
        "second": lambda r, n: r.normal(0.1, 1.0, n),
    }

    def target(columns: Columns, r: np.random.Generator) -> Floats:
        noise = np.exp(0.5 * columns["quiet"]) * spread
        truth: Floats = columns["quiet"] + columns["second"] + r.normal(0.0, 1.0, len(noise)) * noise
        return truth

    return _regression(rng, before, after, target)


def _normal(rng: np.random.Generator, rows: int) -> Floats:
    return rng.normal(0.0, 1.0, rows)


def _drawn(rng: np.random.Generator, laws: Mapping[str, Draw], rows: int) -> Columns:
    return {name: law(rng, rows) for name, law in laws.items()}


def _matrix(columns: Columns) -> Floats:
    return np.column_stack(list(columns.values()))


def _binary(
    rng: np.random.Generator, before: Mapping[str, Draw], after: Mapping[str, Draw], old: Floats, new: Floats
) -> World:
    from sklearn.linear_model import LogisticRegression

    def truth(columns: Columns, weights: Floats) -> Floats:
        chance = 1 / (1 + np.exp(-(_matrix(columns) @ weights - 1.0)))
        return (rng.random(len(chance)) < chance).astype(np.float64)

    training = _drawn(rng, before, TRAINING)
    model: Any = LogisticRegression().fit(_matrix(training), truth(training, old))

    def rows(laws: Mapping[str, Draw], count: int, weights: Floats) -> Rows:
        columns = _drawn(rng, laws, count)
        said = model.predict_proba(_matrix(columns))[:, 1]
        return Rows(columns=columns, said=said, true=truth(columns, weights))

    return World(
        reference=rows(before, REFERENCE, old),
        window=rows(after, WINDOW, new),
        large_reference=rows(before, LARGE, old),
        alone={name: rows({**before, name: after[name]}, LARGE, old) for name in before},
        large_window=rows(after, LARGE, new),
    )


def _regression(
    rng: np.random.Generator,
    before: Mapping[str, Draw],
    after: Mapping[str, Draw],
    target: Callable[[Columns, np.random.Generator], Floats],
) -> World:
    from sklearn.linear_model import LinearRegression

    training = _drawn(rng, before, TRAINING)
    model: Any = LinearRegression().fit(_matrix(training), target(training, rng))

    def rows(laws: Mapping[str, Draw], count: int) -> Rows:
        columns = _drawn(rng, laws, count)
        return Rows(columns=columns, said=model.predict(_matrix(columns)), true=target(columns, rng))

    return World(
        reference=rows(before, REFERENCE),
        window=rows(after, WINDOW),
        large_reference=rows(before, LARGE),
        alone={name: rows({**before, name: after[name]}, LARGE) for name in before},
        large_window=rows(after, LARGE),
    )

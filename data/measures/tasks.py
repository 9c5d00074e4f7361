"""Realized performance of multiclass and regression models from counts and sums: what adds up over buckets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import mean_metric, wilson
from pilothouse.data.measures.outcomes import LARGEST, Floats, Ints, Sums

_NO_LABELS = "no labels yet"
_NO_PREDICTION = "no labelled row has a prediction"
_NO_NUMBERS = f"no labelled row has numbers as prediction and label; one beyond {LARGEST:g} counts as none"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """Labelled rows of a multiclass model.

    counts : int64, shape (classes + 1, classes + 1): by true class (rows) and predicted class (columns); the last of
    each stands for values outside the target's classes. labelled : rows with a label, with a prediction or without.
    """

    counts: Ints
    labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Labelled rows of a regression model; an error is prediction - label.

    error, absolute : of the errors and of their sizes. target : of the labels of the same rows.
    labelled : rows with a label, with a prediction or without.
    """

    error: Sums
    absolute: Sums
    target: Sums
    labelled: int


def measure_classes(outcomes: Confusion) -> dict[str, Metric]:
    """accuracy (Wilson band), and the unweighted means over classes: macro_f1, macro_precision, macro_recall.

    A class counts as soon as it is seen among labels or predictions; one never predicted has a precision of 0, as in
    scikit-learn. What wants the probability of each class is in chances.py.
    """
    counts = outcomes.counts
    n, hits = int(counts.sum()), int(np.trace(counts[:-1, :-1]))
    if n == 0:
        reason = _NO_PREDICTION if outcomes.labelled else _NO_LABELS
        return {name: Metric(value=None, reason=reason) for name in ("accuracy", *_MACRO)}
    low, high = wilson(hits, n)
    macro = {name: Metric(value=float(measure(counts).mean())) for name, measure in _MACRO.items()}
    return {"accuracy": Metric(value=hits / n, low=low, high=high), **macro}


def measure_errors(outcomes: Errors) -> dict[str, Metric]:
    """mae, rmse and bias (mean of prediction - label) in the target's unit, and r2 (1 - squared error / variance)."""
    n = outcomes.error.n
    if n == 0:
        reason = _NO_NUMBERS if outcomes.labelled else _NO_LABELS
        return {name: Metric(value=None, reason=reason) for name in ("mae", "rmse", "r2", "bias")}
    return {
        "mae": mean_metric(outcomes.absolute),
        "rmse": Metric(value=float(np.sqrt(outcomes.error.squares / n))),
        "r2": _r2(outcomes),
        "bias": mean_metric(outcomes.error),
    }


def _r2(outcomes: Errors) -> Metric:
    target = outcomes.target
    # Divided first: the square of a sum may pass the range of a double where that of no label does.
    spread = target.squares - target.total * (target.total / target.n)
    # Sums of squares leave a trace of rounding where all labels are equal.
    if spread <= 1e-12 * target.squares:
        return Metric(value=None, reason="all labels are equal; R2 compares with their spread")
    return Metric(value=1 - outcomes.error.squares / spread)


def _seen(counts: Ints) -> Ints:
    return np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))


def _shares(hits: Ints, of: Ints) -> Floats:
    return np.divide(hits, of, out=np.zeros(len(hits)), where=of > 0)


def _precision(counts: Ints) -> Floats:
    return _shares(_hits(counts), counts.sum(axis=0))[_seen(counts)]


def _recall(counts: Ints) -> Floats:
    return _shares(_hits(counts), counts.sum(axis=1))[_seen(counts)]


def _f1(counts: Ints) -> Floats:
    return _shares(2 * _hits(counts), counts.sum(axis=0) + counts.sum(axis=1))[_seen(counts)]


def _hits(counts: Ints) -> Ints:
    """Right answers by class; a value outside the classes is never one."""
    hits = np.diag(counts).copy()
    hits[-1] = 0
    return hits


_MACRO: dict[str, Callable[[Ints], Floats]] = {
    "macro_f1": _f1,
    "macro_precision": _precision,
    "macro_recall": _recall,
}

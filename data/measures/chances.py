"""Realized performance of multiclass models from the probability of each class: counts and sums that add up over buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, auc_with_variance, mean_metric, wilson
from pilothouse.data.measures.outcomes import Floats, Ints, Sums

TOP = (2, 3, 5)
"""How many of the likeliest classes are looked through for the true one."""
MOST_RANKS = TOP[-1]
CONFIDENCE_BINS = 15
MOST_CLASSES = 20
"""Classes up to which each is judged against the rest in counts: they cost as many histograms."""
_NO_LABELS = "no labels yet"
_NO_SCORES = "no labelled row has a probability for each class"
_TOO_MANY = f"with more than {MOST_CLASSES} classes it is counted from the rows themselves: ask for it exactly"
_NOT_BY_SEGMENT = "each class against the rest is not counted by segment"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chances:
    """Labelled rows of a multiclass model that have a probability for each class.

    log_loss, brier : sums over these rows. ranks : int64, shape (MOST_RANKS + 1,): rows by how many classes stood before
    the true one; the last for all further behind.
    right, sure : shape (CONFIDENCE_BINS,), by the probability of the class that was said: rows, and the sum of it; right,
    those that came true. said : rows by the same bins.
    positives, negatives : by class int64, shape (slots,), by rising slot of its own probability: rows of that class and of
    all others; None where they are not counted.
    labelled : rows with a label, with probabilities or without.
    """

    classes: int
    log_loss: Sums
    brier: Sums
    ranks: Ints
    said: Ints
    right: Ints
    sure: Floats
    positives: Sequence[Ints] | None
    negatives: Sequence[Ints] | None
    labelled: int


def tops(classes: int) -> tuple[int, ...]:
    """The k of the top-k shares that say something with so many classes: fewer than all of them.

    >>> tops(3), tops(10)
    ((2,), (2, 3, 5))
    """
    return tuple(k for k in TOP if k < classes)


def measure_chances(chances: Chances) -> dict[str, Metric]:
    """log_loss (nats), brier (0 to 2), top_k for each of `tops`, macro_roc_auc and weighted_roc_auc, ece; with bands.

    A label that is none of the classes was given a probability of 0. Sources: `log_loss`, `one_against_rest`, `ece`.
    """
    names = ("log_loss", "brier", *(f"top_{k}" for k in tops(chances.classes)), *_AUCS, "ece")
    if chances.log_loss.n == 0:
        reason = _NO_SCORES if chances.labelled else _NO_LABELS
        return {name: Metric(value=None, reason=reason) for name in names}
    return {
        "log_loss": mean_metric(chances.log_loss, lowest=0.0),
        "brier": mean_metric(chances.brier, lowest=0.0, highest=2.0),
        **{f"top_{k}": _within(chances, k) for k in tops(chances.classes)},
        **one_against_rest(chances),
        "ece": ece(chances),
    }


def one_against_rest(chances: Chances) -> dict[str, Metric]:
    """macro_roc_auc and weighted_roc_auc: the mean of each class's ROC AUC against all others, plain and by its rows.

    As in scikit-learn (`multi_class="ovr"`), but a class without a labelled row, or with nothing else, is left out of both;
    with fewer than two classes they cannot be said. The band adds up those of the classes (DeLong) as if all were off in
    the same direction, so it is never too narrow.
    Source: Provost and Domingos (2000) for the weights.
    """
    if chances.positives is None or chances.negatives is None:
        reason = _TOO_MANY if chances.classes > MOST_CLASSES else _NOT_BY_SEGMENT
        return {name: Metric(value=None, reason=reason) for name in _AUCS}
    of, against = (np.array([counts.sum() for counts in side]) for side in (chances.positives, chances.negatives))
    seen = np.flatnonzero((of > 0) & (against > 0))
    if len(seen) < 2:
        reason = f"only one class among {chances.log_loss.n:,} labelled rows; ROC AUC compares two"
        return {name: Metric(value=None, reason=reason) for name in _AUCS}
    found = [auc_with_variance(chances.positives[place], chances.negatives[place]) for place in seen.tolist()]
    aucs, spreads = np.array([auc for auc, _ in found]), np.sqrt([variance for _, variance in found])
    weights = {"macro_roc_auc": np.ones(len(seen)), "weighted_roc_auc": of[seen].astype(np.float64)}
    return {name: _averaged(aucs, spreads, weights[name]) for name in _AUCS}


def ece(chances: Chances) -> Metric:
    """Expected calibration error: mean gap between how sure the model was of what it said and how often that came true.

    Over 15 bins of equal width, weighted by their rows; 0 to 1. Source: Guo et al. (2017), equation 3.
    """
    rows = int(chances.said.sum())
    if rows == 0:
        return Metric(value=None, reason="no labelled row has a prediction")
    return Metric(value=float(np.abs(chances.sure - chances.right).sum() / rows))


_AUCS = ("macro_roc_auc", "weighted_roc_auc")


def _within(chances: Chances, k: int) -> Metric:
    hits, n = int(chances.ranks[:k].sum()), int(chances.ranks.sum())
    low, high = wilson(hits, n)
    return Metric(value=hits / n, low=low, high=high)


def _averaged(aucs: Floats, spreads: Floats, weights: Floats) -> Metric:
    value = float(np.average(aucs, weights=weights))
    half = Z * float(np.average(spreads, weights=weights))
    return Metric(value=value, low=max(0.0, value - half), high=min(1.0, value + half))

"""What a model's scores are worth: the chance that a row with a given score comes true, learned from the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pilothouse.data.measures.outcomes import Floats, Ints, brier_scores

Flags = NDArray[np.bool_]
Curve = Callable[[Floats], Floats]
"""From scores to chances."""

LEAST_REFERENCE, LEAST_OF_A_CLASS = 200, 10
"""Labelled reference rows below which no score is taken at its worth, and rows of the rarer class."""
_SPLITS, _HELD_OUT, _SEED = 10, 0.1, 42
_EDGE = 1e-9


class Way(StrEnum):
    """How a score becomes a chance."""

    AS_IT_IS = "as it is"
    BETA = "beta"
    ISOTONIC = "isotonic"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """From a score to a chance.

    starts : float64, shape (blocks,): the least reference score of each block of rows to which isotonic regression gives
    one chance. doubt : float64, shape (blocks,): the variance of that chance, from so few rows. rows : reference rows.
    """

    way: Way
    curve: Curve
    starts: Floats
    doubt: Floats
    rows: int

    def chances_of(self, scores: Floats) -> Floats:
        """The chance of each score, 0 to 1. scores : float64, shape (rows,), none missing."""
        return np.clip(self.curve(scores), 0.0, 1.0)

    def blocks_of(self, scores: Floats) -> Ints:
        """The block that each score lies in: int64, shape (rows,)."""
        return np.maximum(np.searchsorted(self.starts, scores, side="right") - 1, 0)


def why_not_calibrate(labels: Flags) -> str:
    """Why nothing can be learned from these labelled reference rows; empty when it can."""
    rows, positives = len(labels), int(labels.sum())
    if rows < LEAST_REFERENCE:
        return f"{rows:,} labelled reference rows have a score; {LEAST_REFERENCE} would do"
    rarer = min(positives, rows - positives)
    if rarer < LEAST_OF_A_CLASS:
        return f"{rarer} of {rows:,} reference rows are of the rarer class; {LEAST_OF_A_CLASS} would do"
    return ""


def calibrate(scores: Floats, labels: Flags, way: Way | None = None) -> Calibration:
    """The curve that is nearest to what came true, on reference rows held out from fitting it.

    scores : float64, shape (rows,), none missing. labels : bool, same shape; see `why_not_calibrate` for how many.
    way : None for the best of three by the Brier score over ten splits with a tenth of the rows held out: the scores as
    they are, beta calibration (Kull, Silva Filho and Flach 2017), isotonic regression (Zadrozny and Elkan 2002).
    Isotonic regression bends to the reference's own chances, which makes the model look better than it is: with 6,000
    rows by 0.005 of ROC AUC. A smooth curve does not, so it is the one where both fit alike.
    """
    chosen = _best_way(scores, labels) if way is None else way
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.diff(_isotonic(scores, labels)(scores[order]), prepend=-1.0))
    rows = np.diff(first, append=len(scores))
    # Half a hit and half a miss more: a block of one row is not certain.
    share = (np.add.reduceat(labels[order].astype(np.int64), first) + 0.5) / (rows + 1)
    return Calibration(
        way=chosen,
        curve=_CURVES[chosen](scores, labels),
        starts=scores[order][first],
        doubt=share * (1 - share) / rows,
        rows=len(scores),
    )


def _best_way(scores: Floats, labels: Flags) -> Way:
    from sklearn.model_selection import StratifiedShuffleSplit

    lost = dict.fromkeys(Way, 0.0)
    split = StratifiedShuffleSplit(n_splits=_SPLITS, test_size=_HELD_OUT, random_state=_SEED)
    for kept, held_out in split.split(scores, labels):
        for way in Way:
            told = _CURVES[way](scores[kept], labels[kept])(scores[held_out])
            lost[way] += float(brier_scores(told, labels[held_out]).sum())
    return min(Way, key=lost.__getitem__)


def _as_it_is(_scores: Floats, _labels: Flags) -> Curve:
    return lambda scores: scores


def _isotonic(scores: Floats, labels: Flags) -> Curve:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, labels.astype(np.float64))
    return lambda asked: np.interp(asked, fitted.X_thresholds_, fitted.y_thresholds_)


def _beta(scores: Floats, labels: Flags) -> Curve:
    """Logistic regression on log(score) and -log(1 - score); on the stronger of them where they pull apart.

    So the curve is monotone. It falls where the model ranks the wrong way round, which isotonic regression cannot say.
    """
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    parts = _log_parts(scores)
    kept = np.array([True, True])
    fitted = LogisticRegression(C=1e3, solver="newton-cholesky").fit(parts, labels)
    if np.ptp(np.sign(fitted.coef_[0])) == 2:
        strength = np.abs(fitted.coef_[0])
        kept = np.array([strength[0] >= strength[1], strength[0] < strength[1]])
        fitted = LogisticRegression(C=1e3, solver="newton-cholesky").fit(parts[:, kept], labels)
    slopes, level = fitted.coef_[0], fitted.intercept_[0]
    return lambda asked: expit(_log_parts(asked)[:, kept] @ slopes + level)


def _log_parts(scores: Floats) -> Floats:
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.column_stack([np.log(inside), -np.log1p(-inside)])


_CURVES: dict[Way, Callable[[Floats, Flags], Curve]] = {
    Way.AS_IT_IS: _as_it_is,
    Way.BETA: _beta,
    Way.ISOTONIC: _isotonic,
}

"""Performance of a model of several classes before any label has come: from the probability that it gives to each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.data.measures.calibrate_classes import ClassCalibration, spread
from pilothouse.data.measures.chances import CONFIDENCE_BINS, tops
from pilothouse.data.measures.distances import expected_distances
from pilothouse.data.measures.estimate import Expected
from pilothouse.data.measures.outcomes import Floats, Ints, log_losses
from pilothouse.data.measures.together import RANGES, UNIT

METRICS = (
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision",
    "weighted_recall", "weighted_f1", "kappa", "mcc", "macro_roc_auc", "weighted_roc_auc", "log_loss", "brier", "ece",
)  # fmt: skip
"""What is estimated however many classes there are. See `metric_names`."""
_SEEN = 0.5
"""Rows of a class that must be to be expected before it counts as one that comes."""
_ONE_CLASS = "only one class is to be expected; this measure compares several"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighed:
    """What one version's rows are worth.

    chances : float64, shape (rows, classes), each row summing to 1. totals : float64, shape (rows,): what the curves'
    chances summed to before; infinite where they say nothing. blocks : int64, shape (rows, classes), of these curves.
    """

    known: ClassCalibration
    chances: Floats
    totals: Floats
    blocks: Ints

    @classmethod
    def by(cls, known: ClassCalibration, scores: Floats) -> Weighed:
        """Rows as `known` sees them. Where every curve says 0, a row's probabilities are taken as they are."""
        raw = known.raw_chances_of(scores)
        totals = raw.sum(axis=1)
        silent = totals <= 0
        raw[silent] = np.clip(scores[silent], 0.0, 1.0) + np.finfo(np.float64).tiny
        chances = raw / raw.sum(axis=1, keepdims=True)
        return cls(
            known=known, chances=chances, totals=np.where(silent, math.inf, totals), blocks=known.blocks_of(scores)
        )

    def variance(self, slopes: Floats) -> float:
        """Of a measure, from so few reference rows. slopes : shape of `chances`: its change with each of them."""
        centred = slopes - (self.chances * slopes).sum(axis=1, keepdims=True)
        return self.known.variance(centred / self.totals[:, None], self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToldClasses:
    """Rows without labels.

    scores : float64, shape (rows, classes): as the model gave them. said : int64, shape (rows,): place of the class that
    it said; one after the last for any other. chances : float64, shape of `scores`: what they are worth.
    parts : of the same rows in the same order, by version; none where the labels are known.
    """

    scores: Floats
    said: Ints
    chances: Floats
    parts: tuple[Weighed, ...] = ()

    @classmethod
    def by(cls, known: ClassCalibration, scores: Floats, said: Ints) -> ToldClasses:
        """Rows as `known` sees them; those with a probability that is no finite number are left out."""
        whole = np.isfinite(scores).all(axis=1)
        given = scores[whole]
        part = Weighed.by(known, given)
        return cls(scores=given, said=said[whole], chances=part.chances, parts=(part,))

    @classmethod
    def pooled(cls, told: Sequence[ToldClasses]) -> ToldClasses:
        """Rows of several versions, each with its own calibration, as one window has them."""
        return cls(
            scores=np.concatenate([each.scores for each in told]),
            said=np.concatenate([each.said for each in told]),
            chances=np.concatenate([each.chances for each in told]),
            parts=tuple(part for each in told for part in each.parts),
        )

    @classmethod
    def realized(cls, scores: Floats, said: Ints, labels: Ints) -> ToldClasses:
        """Rows whose label has come: each chance is 0 or 1, so the expected metric is the realized one.

        labels : places of the classes; a label that is none of them has a chance of 0 in every class.
        """
        whole = np.isfinite(scores).all(axis=1)
        return cls(scores=scores[whole], said=said[whole], chances=_marked(labels[whole], scores.shape[1]))

    def expected(
        self, value: float, slopes: Floats, *, low: float = 0.0, high: float | None = 1.0, noise: float | None = None
    ) -> Expected:
        """A metric of `value`, by the delta method. slopes : float64, shape of `chances`: its change with each of them.

        noise : where the slopes do not tell it.
        """
        doubt, start = 0.0, 0
        for part in self.parts:
            end = start + len(part.totals)
            doubt, start = doubt + part.variance(slopes[start:end]), end
        if noise is None:
            noise = math.sqrt(spread(self.chances, slopes)) if self.parts else 0.0
        return Expected(value=float(value), noise=noise, doubt=math.sqrt(doubt), low=low, high=high)


def metric_names(classes: int) -> tuple[str, ...]:
    """What is estimated of a model of so many classes.

    >>> metric_names(4)[len(METRICS) :]
    ('top_2', 'top_3')
    """
    return (*METRICS, *(f"top_{k}" for k in tops(classes)))


def estimate_classes(told: ToldClasses) -> dict[str, Expected | str]:
    """Every metric of a model of several classes as it is to be expected, or the reason why it cannot be said.

    Source: confidence-based performance estimation as NannyML has it, class by class: a row counts in each class by its
    chance. A class counts as soon as a row says it or half a row of it is to be expected; as in realized performance, one
    that no row says has a precision of 0. The bands are our own, as in `estimate.estimate_binary`: the delta method over
    which of its classes each row may turn out to be, and over what the chances may be, given the reference.
    """
    if not len(told.said):
        return dict.fromkeys(metric_names(told.scores.shape[1]), "no row has a probability for each class")
    return _confusion(told) | _against_rest(told) | _proper(told) | {"ece": _calibration_error(told)} | _likeliest(told)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Margins:
    """By class, float64, shape (classes,). hits : rows to be expected right. said, came : rows said, and to be expected."""

    hits: Floats
    said: Floats
    came: Floats


_Found = tuple[float, Floats, Floats]
"""A metric, and by class its change with a hit more and with a row more that comes."""


def _confusion(told: ToldClasses) -> dict[str, Expected | str]:
    classes, rows = told.scores.shape[1], np.arange(len(told.said))
    marks = _marked(told.said, classes)
    margins = _Margins(hits=(marks * told.chances).sum(axis=0), said=marks.sum(axis=0), came=told.chances.sum(axis=0))
    if margins.came.sum() < _SEEN:
        return dict.fromkeys(_MIXED, "no row is expected to be of any class")
    found: dict[str, Expected | str] = {}
    for name, measure in _MIXED.items():
        measured = measure(margins, len(rows))
        if isinstance(measured, str):
            found[name] = measured
            continue
        value, of_hits, of_came = measured
        found[name] = told.expected(value, marks * of_hits + of_came, low=RANGES.get(name, UNIT)[0])
    return found


def _accuracy(m: _Margins, rows: int) -> _Found:
    return float(m.hits.sum() / rows), np.full(len(m.hits), 1 / rows), np.zeros(len(m.hits))


def _balanced(m: _Margins, _rows: int) -> _Found:
    """Mean recall of the classes that come."""
    return _mean(_recall(m), m.came >= _SEEN)


def _precision(m: _Margins) -> tuple[Floats, Floats, Floats]:
    return _over(m.hits, m.said), _over(1.0, m.said), np.zeros(len(m.hits))


def _recall(m: _Margins) -> tuple[Floats, Floats, Floats]:
    recall = _over(m.hits, m.came)
    return recall, _over(1.0, m.came), -_over(recall, m.came)


def _f1(m: _Margins) -> tuple[Floats, Floats, Floats]:
    f1 = _over(2 * m.hits, m.said + m.came)
    return f1, _over(2.0, m.said + m.came), -_over(f1, m.said + m.came)


_Each = Callable[[_Margins], tuple[Floats, Floats, Floats]]
"""By class: the metric, its change with a hit more in that class, and with a row more of it."""


def _macro(each: _Each) -> Callable[[_Margins, int], _Found]:
    return lambda m, _rows: _mean(each(m), (m.said > 0) | (m.came >= _SEEN))


def _weighted(each: _Each) -> Callable[[_Margins, int], _Found]:
    def mean(m: _Margins, _rows: int) -> _Found:
        values, of_hits, of_came = each(m)
        value, rows = float((values * m.came).sum() / m.came.sum()), m.came.sum()
        return value, of_hits * m.came / rows, (of_came * m.came + values - value) / rows

    return mean


def _kappa(m: _Margins, rows: int) -> _Found | str:
    """Agreement beyond what chance alone would give (Cohen 1960)."""
    by_chance, of_came = _by_chance(m, rows)
    beyond = rows - by_chance
    if beyond < _SEEN:
        return _ONE_CLASS
    value = float((m.hits.sum() - by_chance) / beyond)
    return value, np.full(len(m.hits), 1 / beyond), of_came * (value - 1) / beyond


def _mcc(m: _Margins, rows: int) -> _Found | str:
    """Correlation of what is said with what comes true (Gorodkin 2004)."""
    by_chance, of_came = _by_chance(m, rows)
    said, came = _with_others(m.said, rows), _with_others(m.came, rows)
    sides = [float(rows - (each**2).sum() / rows) for each in (said, came)]
    if sides[0] < _SEEN:
        return "one class alone was said; this measure compares several"
    if sides[1] < _SEEN:
        return _ONE_CLASS
    spread = math.sqrt(sides[0] * sides[1])
    value = float((m.hits.sum() - by_chance) / spread)
    narrowed = (m.came - came[-1]) / (rows * sides[1])
    return value, np.full(len(m.hits), 1 / spread), value * narrowed - of_came / spread


def _by_chance(m: _Margins, rows: int) -> tuple[float, Floats]:
    """Rows that would be right if what is said told nothing of what comes; and its change with a row more of a class."""
    said, came = _with_others(m.said, rows), _with_others(m.came, rows)
    return float((said * came).sum() / rows), (m.said - said[-1]) / rows


def _with_others(counts: Floats, rows: int) -> Floats:
    """Rows by class, and at the end those of none: as in realized performance, these are a class of their own."""
    return np.append(counts, rows - counts.sum())


_MIXED: dict[str, Callable[[_Margins, int], _Found | str]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "macro_precision": _macro(_precision),
    "macro_recall": _macro(_recall),
    "macro_f1": _macro(_f1),
    "weighted_precision": _weighted(_precision),
    "weighted_recall": _weighted(_recall),
    "weighted_f1": _weighted(_f1),
    "kappa": _kappa,
    "mcc": _mcc,
}


def _against_rest(told: ToldClasses) -> dict[str, Expected | str]:
    """ROC AUC of each class against all others, averaged plainly and by the rows of each class."""
    came, n = told.chances.sum(axis=0), len(told.said)
    seen = np.flatnonzero((came >= _SEEN) & (n - came >= _SEEN))
    if len(seen) < 2:
        return dict.fromkeys(("macro_roc_auc", "weighted_roc_auc"), _ONE_CLASS)
    found = [_roc_auc(told.scores[:, place], told.chances[:, place]) for place in seen]
    aucs, weights = np.array([auc for auc, _ in found]), came[seen] / came[seen].sum()
    macro, weighted = np.zeros_like(told.chances), np.zeros_like(told.chances)
    mean = float((aucs * weights).sum())
    for (auc, slopes), place, weight in zip(found, seen, weights, strict=True):
        macro[:, place] = slopes / len(seen)
        weighted[:, place] = slopes * weight + (auc - mean) / came[seen].sum()
    return {"macro_roc_auc": told.expected(aucs.mean(), macro), "weighted_roc_auc": told.expected(mean, weighted)}


def _roc_auc(scores: Floats, chances: Floats) -> tuple[float, Floats]:
    """The chance that a row of the class scores above one of another, ties counting half; and its change with each chance."""
    _, group = np.unique(scores, return_inverse=True)
    positives = np.bincount(group, weights=chances)
    negatives = np.bincount(group, weights=1 - chances)
    p, n = positives.sum(), negatives.sum()
    beaten = negatives.cumsum() - negatives / 2
    beating = p - positives.cumsum() + positives / 2
    auc = (positives * beaten).sum() / (p * n)
    slopes: Floats = (beaten - beating) / (p * n) - auc / p + auc / n
    return float(auc), slopes[group]


def _proper(told: ToldClasses) -> dict[str, Expected | str]:
    """Means over rows of what each class would cost. A label that is no class was given a probability of 0."""
    # A score outside of 0 to 1 is no probability: it costs what the nearest one does.
    scores, n = np.clip(told.scores, 0.0, 1.0), len(told.said)
    always = np.ones(scores.shape, np.bool_)
    costs = log_losses(scores, always) - log_losses(np.zeros(1), np.ones(1, np.bool_))
    missed = float(log_losses(np.zeros(1), np.ones(1, np.bool_))[0])
    squares = (scores**2).sum(axis=1) + 1
    return {
        "log_loss": told.expected(missed + (told.chances * costs).sum() / n, costs / n, high=None),
        "brier": told.expected((squares - 2 * (told.chances * scores).sum(axis=1)).mean(), -2 * scores / n, high=2.0),
    }


def _calibration_error(told: ToldClasses) -> Expected | str:
    """Mean distance of how sure the model is of what it says from how often that comes true, over the realized one's bins."""
    rows = np.flatnonzero(told.said < told.scores.shape[1])
    if not len(rows):
        return "no row has a prediction"
    cells = rows, told.said[rows]
    # A score outside of 0 to 1 is no probability: it says what the nearest one does.
    sure, right = np.clip(told.scores[cells], 0.0, 1.0), told.chances[cells]
    bins = np.minimum((sure * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    found = expected_distances(sure, right, bins)
    slopes = np.zeros(told.scores.shape)
    slopes[cells] = -found.slopes
    return told.expected(found.value, slopes, noise=found.noise)


def _likeliest(told: ToldClasses) -> dict[str, Expected | str]:
    """The chance that the class that comes is among the likeliest; of equals the one that the target names first."""
    order = (-told.scores).argsort(axis=1, kind="stable")
    found: dict[str, Expected | str] = {}
    for k in tops(told.scores.shape[1]):
        marks = np.zeros(told.scores.shape)
        np.put_along_axis(marks, order[:, :k], 1.0, axis=1)
        found[f"top_{k}"] = told.expected((marks * told.chances).sum() / len(order), marks / len(order))
    return found


def _mean(found: tuple[Floats, Floats, Floats], seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Found:
    values, of_hits, of_came = (np.where(seen, each, 0.0) / seen.sum() for each in found)
    return float(values.sum()), of_hits, of_came


def _over(part: Floats | float, whole: Floats) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return shares


def _marked(places: Ints, classes: int) -> Floats:
    """1 at each row's place, 0 elsewhere; a place beyond the classes marks nothing."""
    marks: Floats = (places[:, None] == np.arange(classes)).astype(np.float64)
    return marks

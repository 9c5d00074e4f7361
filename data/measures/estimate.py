"""Performance of a binary model before any label has come: from its scores, and from what they were worth before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.calibrate import Calibration, Flags
from pilothouse.data.measures.distances import expected_distances
from pilothouse.data.measures.outcomes import Floats, Ints, log_losses
from pilothouse.data.measures.ranked import calibration_groups
from pilothouse.data.windows import Window

ESTIMATED = "estimated"
LEAST_ROWS = 100
"""Scored rows below which no performance is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A metric as it is to be expected.

    noise : standard deviation that the chance of single labels gives it. doubt : that which the reference's size gives it.
    low, high : the least and the most that the metric can be; high is None for no end.
    """

    value: float
    noise: float
    doubt: float
    low: float = 0.0
    high: float | None = 1.0

    @property
    def metric(self) -> Metric:
        """With its 95 % band: where the realized value of these rows is to be looked for."""
        half = Z * math.hypot(self.noise, self.doubt)
        high = self.value + half if self.high is None else min(self.high, self.value + half)
        return Metric(value=self.value, low=max(self.low, self.value - half), high=high, kind=ESTIMATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Performance over a window, estimated without its labels.

    rows : answered rows that the estimate rests on. reference_rows : labelled rows by which it knows what the answers
    are worth. calibrated : whether scores were corrected first; None where there are no scores to correct. trusted :
    whether past estimates held once the labels had come; None when that cannot be said yet. reason : why nothing is
    estimated, or why it is not to be relied on.
    """

    model: str
    window: Window
    rows: int
    reference_rows: int
    calibrated: bool | None
    metrics: dict[str, Metric]
    trusted: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """Rows without labels.

    scores : float64, shape (rows,): as the model gave them. said : bool: whether it predicted the positive class.
    chances : float64: what the scores are worth. blocks : int64: of the calibration, by row. doubt : float64, shape
    (blocks,): the variance of each block's chance.
    """

    scores: Floats
    said: Flags
    chances: Floats
    blocks: Ints
    doubt: Floats

    @classmethod
    def by(cls, calibration: Calibration, scores: Floats, said: Flags) -> Told:
        """Rows as `calibration` sees them; those without a finite score are left out."""
        known = np.isfinite(scores)
        given = scores[known]
        return cls(
            scores=given,
            said=said[known],
            chances=calibration.chances_of(given),
            blocks=calibration.blocks_of(given),
            doubt=calibration.doubt,
        )

    @classmethod
    def pooled(cls, parts: Sequence[Told]) -> Told:
        """Rows of several versions, each with its own calibration, as one window has them."""
        shifts = np.cumsum([0, *(len(part.doubt) for part in parts)])
        return cls(
            scores=np.concatenate([p.scores for p in parts]),
            said=np.concatenate([p.said for p in parts]),
            chances=np.concatenate([p.chances for p in parts]),
            blocks=np.concatenate([p.blocks + shift for p, shift in zip(parts, shifts, strict=False)]),
            doubt=np.concatenate([p.doubt for p in parts]),
        )

    @classmethod
    def realized(cls, scores: Floats, said: Flags, labels: Flags) -> Told:
        """Rows whose label has come: each chance is 0 or 1, so the expected metric is the realized one."""
        nothing = np.zeros(len(scores), np.int64)
        return cls(scores=scores, said=said, chances=labels.astype(np.float64), blocks=nothing, doubt=np.zeros(1))

    def expected(
        self, value: float, slopes: Floats, *, low: float = 0.0, high: float | None = 1.0, noise: float | None = None
    ) -> Expected:
        """A metric of `value`, by the delta method. slopes : float64, shape (rows,): its change with each row's chance.

        noise : where the slopes do not tell it.
        """
        if noise is None:
            noise = math.sqrt((self.chances * (1 - self.chances) * slopes**2).sum())
        by_block = np.bincount(self.blocks, weights=slopes, minlength=len(self.doubt))
        doubt = math.sqrt((by_block**2 * self.doubt).sum())
        return Expected(value=float(value), noise=noise, doubt=doubt, low=low, high=high)


def estimate_binary(told: Told) -> dict[str, Expected | str]:
    """Every metric of a binary model as it is to be expected, or the reason why it cannot be said.

    Source: confidence-based performance estimation as NannyML has it: a row with chance p counts as p of a positive and
    1 - p of a negative. The bands are our own: the delta method over what a label may be, given its chance, and over
    what the chance may be, given the reference (variance of a share, block by block of the isotonic curve). They hold as
    long as a score is worth what it was in the reference, wherever the rows have moved.
    """
    n, positives = len(told.scores), float(told.chances.sum())
    if n == 0:
        return dict.fromkeys(METRICS, "no row has a score")
    of_both = _ordered(told) if 0 < positives < n else dict.fromkeys(("roc_auc", "gini", "pr_auc"), _ONE_CLASS)
    return of_both | _proper(told) | {"ece": _calibration_error(told)} | _confusion(told)


def metrics_of(found: dict[str, Expected | str]) -> dict[str, Metric]:
    """What was found as metrics."""
    return {
        name: each.metric if isinstance(each, Expected) else Metric(value=None, kind=ESTIMATED, reason=each)
        for name, each in found.items()
    }


METRICS = (
    "roc_auc", "gini", "pr_auc", "log_loss", "brier", "positive_rate", "ece", "accuracy", "balanced_accuracy", "precision",
    "recall", "specificity", "f1", "mcc",
)  # fmt: skip
_ONE_CLASS = "only one class is to be expected; this measure compares two"
_NO_SIDE = "needs both classes to be expected, and rows on both sides of the threshold"


def _ordered(told: Told) -> dict[str, Expected | str]:
    auc = _roc_auc(told)
    gini = Expected(value=2 * auc.value - 1, noise=2 * auc.noise, doubt=2 * auc.doubt, low=-1.0)
    return {"roc_auc": auc, "gini": gini, "pr_auc": _pr_auc(told)}


def _roc_auc(told: Told) -> Expected:
    """The chance that a positive scores above a negative, ties counting half, in expected counts."""
    _, group = np.unique(told.scores, return_inverse=True)
    positives = np.bincount(group, weights=told.chances)
    negatives = np.bincount(group, weights=1 - told.chances)
    p, n = positives.sum(), negatives.sum()
    beaten = negatives.cumsum() - negatives / 2
    beating = p - positives.cumsum() + positives / 2
    auc = (positives * beaten).sum() / (p * n)
    slopes = (beaten - beating) / (p * n) - auc / p + auc / n
    return told.expected(auc, slopes[group])


def _pr_auc(told: Told) -> Expected:
    """Average precision: the precision at each score, weighted by the positives that are found there."""
    _, group = np.unique(-told.scores, return_inverse=True)
    found, rows = np.bincount(group, weights=told.chances), np.bincount(group)
    so_far = rows.cumsum()
    precision, p = found.cumsum() / so_far, found.sum()
    value = (found * precision).sum() / p
    later = (found / so_far)[::-1].cumsum()[::-1]
    return told.expected(value, ((precision + later - value) / p)[group])


def _proper(told: Told) -> dict[str, Expected | str]:
    """Means over rows: each is what a positive would cost, and what a negative would, weighted by their chances."""
    # A score outside of 0 to 1 is no probability: it costs what the nearest one does.
    scores = np.clip(told.scores, 0.0, 1.0)
    yes, n = np.ones(len(scores), np.bool_), len(scores)
    costs = {
        "log_loss": (log_losses(scores, yes), log_losses(scores, ~yes), None),
        "brier": ((1 - scores) ** 2, scores**2, None),
        "positive_rate": (yes.astype(np.float64), np.zeros(n), 1.0),
    }
    return {
        name: told.expected((told.chances * of_yes + (1 - told.chances) * of_no).mean(), (of_yes - of_no) / n, high=top)
        for name, (of_yes, of_no, top) in costs.items()
    }


def _calibration_error(told: Told) -> Expected:
    """Mean distance of what was said from what comes true, over the bins of equal rows of the realized one."""
    # A score outside of 0 to 1 is no probability: it says what the nearest one does.
    scores = np.clip(told.scores, 0.0, 1.0)
    _, group, rows = np.unique(scores, return_inverse=True, return_counts=True)
    found = expected_distances(scores, told.chances, calibration_groups(rows)[group])
    return told.expected(found.value, -found.slopes, noise=found.noise)


_Share = tuple[float, Floats]
"""A share of rows, and its change with each row's chance: float64, shape (rows,)."""


def _confusion(told: Told) -> dict[str, Expected | str]:
    said, n = told.said.astype(np.float64), len(told.said)
    flagged, positives, negatives = float(said.sum()), float(told.chances.sum()), float((1 - told.chances).sum())
    hits, passed = float((said * told.chances).sum()), float(((1 - said) * (1 - told.chances)).sum())
    recall = _share((hits, said), (positives, 1.0), "no row is expected to be of the positive class")
    specificity = _share((passed, said - 1), (negatives, -1.0), "no row is expected to be of the negative class")
    found: dict[str, _Share | str] = {
        "accuracy": _share((hits + passed, 2 * said - 1), (n, 0.0), ""),
        "balanced_accuracy": _middle(recall, specificity),
        "precision": _share((hits, said), (flagged, 0.0), "no row was predicted as the positive class"),
        "recall": recall,
        "specificity": specificity,
        "f1": _share(
            (2 * hits, 2 * said),
            (flagged + positives, 1.0),
            "the positive class is neither predicted nor to be expected",
        ),
    }
    shares = {name: each if isinstance(each, str) else told.expected(*each) for name, each in found.items()}
    return shares | {"mcc": _mcc(told)}


def _share(part: _Share, whole: tuple[float, float], reason: str) -> _Share | str:
    """`part` of `whole`, each with its change with a row's chance; `reason` where that is a share of nothing."""
    if not whole[0]:
        return reason
    value = part[0] / whole[0]
    return value, (part[1] - value * whole[1]) / whole[0]


def _middle(one: _Share | str, other: _Share | str) -> _Share | str:
    if isinstance(one, str) or isinstance(other, str):
        return _ONE_CLASS
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


def _mcc(told: Told) -> Expected | str:
    """Correlation of what was said with what comes true (Matthews 1975)."""
    said, n = told.said.astype(np.float64), len(told.said)
    flagged, positives, hits = float(said.sum()), float(told.chances.sum()), float((said * told.chances).sum())
    sides = positives * (n - positives)
    root = math.sqrt(max(0.0, flagged * (n - flagged) * sides))
    if not root:
        return _NO_SIDE
    value = (hits * n - flagged * positives) / root
    return told.expected(value, (said * n - flagged) / root - value * (n - 2 * positives) / (2 * sides), low=-1.0)

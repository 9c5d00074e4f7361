"""Two versions judged on the same rows: each one's metrics with 95 % bands, and the paired differences between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilothouse.data.errors import BadData, EmptyWindow
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.outcomes import Floats, brier_scores, log_losses

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A value and its 95 % band."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What one version showed. roc_auc and brier : 0 to 1. log_loss : nats."""

    roc_auc: Measured
    log_loss: Measured
    brier: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Champion and challenger on the same labelled rows.

    gain : ROC AUC of the challenger minus the champion's. log_loss_change : likewise, so above 0 is worse.
    Both bands are paired: what moves both versions alike cancels out.
    """

    rows: int
    positives: int
    champion: Scores
    challenger: Scores
    gain: Measured
    log_loss_change: Measured


def compare_scores(labels: Flags, champion: Floats, challenger: Floats) -> Comparison:
    """Judge two versions by the scores they gave to the same rows.

    labels : bool, shape (rows,), True for the positive class. champion, challenger : float64, shape (rows,),
    probability of the positive class, none missing.
    Raises EmptyWindow without rows, BadData when only one class is there or a score is missing.
    """
    _check(labels, champion, challenger)
    auc = _PairedAuc.of(labels, champion, challenger)
    old, new = log_losses(champion, labels), log_losses(challenger, labels)
    return Comparison(
        rows=len(labels),
        positives=int(labels.sum()),
        champion=_scores(labels, champion, auc.champion, old),
        challenger=_scores(labels, challenger, auc.challenger, new),
        gain=auc.gain,
        log_loss_change=_mean(new - old),
    )


def _check(labels: Flags, champion: Floats, challenger: Floats) -> None:
    if len(labels) == 0:
        raise EmptyWindow("The comparison")
    if labels.all() or not labels.any():
        raise BadData(f"All {len(labels):,} labelled rows are of one class; two versions can be compared on both only.")
    for name, scores in (("champion", champion), ("challenger", challenger)):
        if not np.isfinite(scores).all():
            missing = int((~np.isfinite(scores)).sum())
            raise BadData(f"The {name} gave no score to {missing:,} of {len(labels):,} rows, so it cannot be judged.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _PairedAuc:
    champion: Measured
    challenger: Measured
    gain: Measured

    @classmethod
    def of(cls, labels: Flags, champion: Floats, challenger: Floats) -> _PairedAuc:
        """ROC AUCs of two scores on the same rows, and their difference.

        Source: DeLong, DeLong and Clarke-Pearson (1988), eq. 5 and 6; placements by midranks as Sun and Xu (2014).
        """
        old_beaten, old_beating = _placements(labels, champion)
        new_beaten, new_beating = _placements(labels, challenger)
        return cls(
            champion=_auc(old_beaten, old_beating),
            challenger=_auc(new_beaten, new_beating),
            gain=_band(
                float(new_beaten.mean() - old_beaten.mean()),
                _variance_of_mean(new_beaten - old_beaten) + _variance_of_mean(new_beating - old_beating),
            ),
        )


def _placements(labels: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """Per positive the share of negatives it beats, per negative that of positives that beat it; ties count half."""
    from scipy.stats import rankdata

    positives, negatives = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    beaten = (ranks[labels] - rankdata(positives)) / len(negatives)
    beating = 1 - (ranks[~labels] - rankdata(negatives)) / len(positives)
    return beaten, beating


def _auc(beaten: Floats, beating: Floats) -> Measured:
    band = _band(float(beaten.mean()), _variance_of_mean(beaten) + _variance_of_mean(beating))
    return Measured(value=band.value, low=max(0.0, band.low), high=min(1.0, band.high))


def _scores(labels: Flags, scores: Floats, auc: Measured, losses: Floats) -> Scores:
    return Scores(roc_auc=auc, log_loss=_mean(losses), brier=_mean(brier_scores(scores, labels)))


def _mean(values: Floats) -> Measured:
    return _band(float(values.mean()), _variance_of_mean(values))


def _variance_of_mean(values: Floats) -> float:
    """Infinite for a single value: it says nothing of how far others lie."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.inf


def _band(value: float, variance: float) -> Measured:
    half = Z * math.sqrt(variance)
    return Measured(value=value, low=value - half, high=value + half)

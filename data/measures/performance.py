"""Realized performance of a binary model from its outcomes: each value with its band, or the reason for its absence."""

from __future__ import annotations

import math

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_band, auc_with_variance, mean_metric, share_metric
from pilothouse.data.measures.outcomes import Outcomes, Sums

METRICS = ("roc_auc", "log_loss", "brier", "positive_rate", "mean_score")


def measure_performance(outcomes: Outcomes) -> dict[str, Metric]:
    """Every metric of METRICS. log_loss in nats; the rest between 0 and 1.

    `positive_rate` speaks of all labelled rows, the others of labelled rows with a score.
    """
    return {
        "roc_auc": roc_auc(outcomes),
        "log_loss": _mean(outcomes.log_loss, outcomes, highest=math.inf),
        "brier": _mean(outcomes.brier, outcomes),
        "positive_rate": positive_rate(outcomes),
        "mean_score": _mean(outcomes.score, outcomes),
    }


def roc_auc(outcomes: Outcomes) -> Metric:
    """ROC AUC with its DeLong band; None where only one class has been seen."""
    m, n = int(outcomes.positives.sum()), int(outcomes.negatives.sum())
    if m + n == 0:
        return Metric(value=None, reason=_nothing(outcomes))
    if m == 0 or n == 0:
        return Metric(value=None, reason=f"only one class among {m + n:,} labelled rows; ROC AUC compares two")
    auc, variance = auc_with_variance(outcomes.positives, outcomes.negatives)
    low, high = auc_band(auc, variance, rarer=min(m, n))
    return Metric(value=auc, low=low, high=high)


def positive_rate(outcomes: Outcomes) -> Metric:
    """Share of labelled rows that came out as the positive class, with its Wilson band."""
    return share_metric(outcomes.positive, outcomes.labelled, _nothing(outcomes))


def _mean(sums: Sums, outcomes: Outcomes, highest: float = 1.0) -> Metric:
    return mean_metric(sums, _nothing(outcomes), lowest=0.0, highest=highest)


def _nothing(outcomes: Outcomes) -> str:
    return "no labelled row has a score" if outcomes.labelled else "no labels yet"

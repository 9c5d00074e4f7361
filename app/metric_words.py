"""What metrics are called and how their values are written: one word for one idea, on pages and in tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilothouse.app import formats
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.report import OwnValue
from pilothouse.data.signature import Task

MAIN = {
    Task.BINARY: ("roc_auc", "log_loss", "ece", "precision", "recall"),
    Task.MULTICLASS: ("accuracy", "balanced_accuracy", "macro_f1", "kappa", "log_loss"),
    Task.REGRESSION: ("mae", "rmse", "r2", "median_ae", "bias"),
}
"""The metrics that a page shows first, by task; the first of them in its sentence."""
BESIDE = {"roc_auc": ("log_loss",), "accuracy": ("log_loss", "macro_f1"), "mae": ("rmse", "bias")}
"""What stands beside the first one in the story of a model."""


@dataclass(frozen=True, slots=True)
class Word:
    """A metric's name; which direction is good (empty where neither is); what it says. share : written in percent."""

    title: str
    better: str
    says: str
    share: bool = False


WORDS = {
    "roc_auc": Word("ROC AUC", "higher", "chance that a positive row scores above a negative one"),
    "pr_auc": Word("PR AUC", "higher", "mean precision over all levels of recall (average precision)"),
    "log_loss": Word("Log-loss", "lower", "mean surprise at what came true, in nats"),
    "brier": Word("Brier score", "lower", "mean squared distance of the probability from what came true"),
    "ece": Word("Calibration error", "lower", "mean distance of what was said from what came true", True),
    "accuracy": Word("Accuracy", "higher", "share of right answers", True),
    "balanced_accuracy": Word("Balanced accuracy", "higher", "mean share of right answers over the classes", True),
    "precision": Word("Precision", "higher", "share of flagged rows that came true", True),
    "recall": Word("Recall", "higher", "share of rows that came true which were flagged", True),
    "specificity": Word("Specificity", "higher", "share of rows that did not come true which were let pass", True),
    "f1": Word("F1", "higher", "harmonic mean of precision and recall"),
    "mcc": Word("MCC", "higher", "correlation of what was said with what came true"),
    "flagged": Word("Flagged", "", "share of rows at or above the threshold", True),
    "gini": Word("Gini", "higher", "2 x ROC AUC - 1"),
    "ks": Word("KS of the model", "higher", "largest gap between the two classes' shares below a score"),
    "positive_rate": Word("Came true", "", "share of labelled rows that came out positive", True),
    "mean_score": Word("Mean score", "", "mean probability that was said", True),
    "kappa": Word("Cohen's kappa", "higher", "agreement beyond what chance alone would give"),
    "macro_precision": Word("Macro precision", "higher", "mean precision over the classes", True),
    "macro_recall": Word("Macro recall", "higher", "mean recall over the classes", True),
    "macro_f1": Word("Macro F1", "higher", "mean F1 over the classes"),
    "weighted_precision": Word("Weighted precision", "higher", "precision, each class by its labelled rows", True),
    "weighted_recall": Word("Weighted recall", "higher", "recall, each class by its labelled rows", True),
    "weighted_f1": Word("Weighted F1", "higher", "F1, each class by its labelled rows"),
    "top_2": Word("Top 2", "higher", "share of rows whose class is among the two likeliest", True),
    "top_3": Word("Top 3", "higher", "share of rows whose class is among the three likeliest", True),
    "top_5": Word("Top 5", "higher", "share of rows whose class is among the five likeliest", True),
    "macro_roc_auc": Word("Macro ROC AUC", "higher", "mean ROC AUC of each class against all others"),
    "weighted_roc_auc": Word("Weighted ROC AUC", "higher", "the same, each class by its labelled rows"),
    "mae": Word("Mean absolute error", "lower", "mean size of the error, in the target's unit"),
    "rmse": Word("RMSE", "lower", "root of the mean squared error, in the target's unit"),
    "median_ae": Word("Median absolute error", "lower", "half of the errors are smaller than this"),
    "bias": Word("Bias", "", "mean of prediction - label: above 0 it says too much"),
    "r2": Word("R²", "higher", "share of the labels' spread that is explained"),
    "mape": Word("MAPE", "lower", "mean error as a share of the label", True),
    "smape": Word("sMAPE", "lower", "mean error as a share of label and prediction", True),
    "error_p05": Word("Error, 5th percentile", "", "prediction - label"),
    "error_p25": Word("Error, 25th percentile", "", "prediction - label"),
    "error_p50": Word("Error, median", "", "prediction - label"),
    "error_p75": Word("Error, 75th percentile", "", "prediction - label"),
    "error_p95": Word("Error, 95th percentile", "", "prediction - label"),
}
"""By the name that notebooks, JSON and the trend use."""


def title(name: str) -> str:
    """
    >>> title("roc_auc"), title("profit_rate")
    ('ROC AUC', 'profit rate')
    """
    return WORDS[name].title if name in WORDS else name.replace("_", " ")


def in_sentence(name: str) -> str:
    """
    >>> in_sentence("mae"), in_sentence("roc_auc")
    ('mean absolute error', 'ROC AUC')
    """
    named = title(name)
    return named if named[:2].isupper() else f"{named[0].lower()}{named[1:]}"


def says(name: str) -> str:
    return WORDS[name].says if name in WORDS else ""


def value(name: str, of: float | None, like: float | None = None) -> str:
    """
    like : the value whose decimals it takes, to stand beside it.

    >>> value("recall", 0.136), value("mae", 12345.678), value("mae", 1e300)
    ('13.6%', '12,346', '1e+300')
    """
    return formats.share(of) if is_share(name) else formats.figure(of, like)


def change(name: str, of: float | None, like: float | None = None) -> str:
    """A difference of two values. like : as in `value`.

    >>> change("accuracy", -0.0567), change("mae", 37.08), change("roc_auc", 0.0479)
    ('−5.7 pp', '+37.1', '+0.048')
    """
    return formats.points(of) if is_share(name) else formats.change(of, like)


def change_band(name: str, metric: Metric, like: float | None = None) -> str:
    """The 95 % band of a difference; a dash where there is none. like : as in `value`.

    >>> change_band("accuracy", Metric(value=0.01, low=-0.012, high=0.031))
    '−1.2 to +3.1 pp'
    """
    if metric.low is None or metric.high is None:
        return formats.NOTHING
    low, high = change(name, metric.low, like), change(name, metric.high, like)
    return f"{low.removesuffix(' pp')} to {high}"


def is_share(name: str) -> bool:
    return name in WORDS and WORDS[name].share


def main_of(metrics: Mapping[str, object]) -> str:
    """The metric that a model is judged by first, from all that were measured of it."""
    return next((names[0] for names in MAIN.values() if names[0] in metrics), MAIN[Task.BINARY][0])


def band(name: str, metric: Metric) -> str:
    """The 95 % band, or why there is no value."""
    if metric.value is None or metric.low is None or metric.high is None:
        return metric.reason
    return f"{value(name, metric.low, metric.value)} to {value(name, metric.high, metric.value)}"


def own_title(of: OwnValue) -> str:
    """A metric of the team's own, with its unit."""
    return f"{of.metric.name} ({of.metric.unit})" if of.metric.unit else of.metric.name


def money(amount: float | None, currency: str) -> str:
    """
    >>> money(1723.4, "EUR"), money(-0.25, "EUR")
    ('1,723 EUR', '−0.25 EUR')
    """
    if amount is None:
        return formats.NOTHING
    written = f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:,.2f}"
    return f"{written.replace('-', formats.MINUS)} {currency}"

"""What follows from four counts: rows flagged and not, that came out positive and not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import share_metric
from pilothouse.data.measures.bootstrap import percentile_band, resampled
from pilothouse.data.measures.outcomes import Floats, Ints

_SAMPLES = 2000
_NONE_FLAGGED = "no row is flagged at this threshold"
_NO_POSITIVES = "no labelled row came out positive"
_NO_NEGATIVES = "no labelled row came out negative"
_ONE_CLASS = "only one class among the labelled rows; it compares two"
_NO_SIDE = "needs both classes among the labels, and rows on both sides of the threshold"


def shares(cells: Ints) -> dict[str, Metric]:
    """Metrics that are shares of rows, each with its Wilson band; None where there is nothing to divide by.

    cells : tn, fp, fn, tp; int64, shape (4,).
    """
    tn, fp, fn, tp = (int(n) for n in cells)
    return {
        "accuracy": share_metric(tp + tn, tp + tn + fp + fn, "no labels yet"),
        "precision": share_metric(tp, tp + fp, _NONE_FLAGGED),
        "recall": share_metric(tp, tp + fn, _NO_POSITIVES),
        "specificity": share_metric(tn, tn + fp, _NO_NEGATIVES),
        "flagged": share_metric(tp + fp, tp + tn + fp + fn, "no labels yet"),
    }


def mixtures(cells: Ints) -> dict[str, Metric]:
    """Metrics that mix several shares, with bootstrap bands: f1, balanced_accuracy and mcc, which lies in -1 to 1.

    Source of mcc: Matthews (1975). A value that divides by nothing is None, where scikit-learn says 0.
    """
    drawn = resampled(cells, _SAMPLES)
    return {name: _mixed(cells, drawn, measure, reason) for name, (measure, reason) in _MIXED.items()}


def f1(cells: Ints) -> Floats:
    """cells : (..., 4) as tn, fp, fn, tp. Returns float64, shape (...); NaN where nothing is flagged or positive."""
    _, fp, fn, tp = _apart(cells)
    return over(2 * tp, 2 * tp + fp + fn)


def balanced_accuracy(cells: Ints) -> Floats:
    """Mean of recall and specificity; cells as in `f1`."""
    tn, fp, fn, tp = _apart(cells)
    return (over(tp, tp + fn) + over(tn, tn + fp)) / 2


def mcc(cells: Ints) -> Floats:
    """Correlation of what was said with what came true, -1 to 1; cells as in `f1`."""
    tn, fp, fn, tp = _apart(cells)
    return over(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def accuracy(cells: Ints) -> Floats:
    """Share of right answers; cells as in `f1`."""
    tn, fp, fn, tp = _apart(cells)
    return over(tp + tn, tp + tn + fp + fn)


def precision(cells: Ints) -> Floats:
    """Share of flagged rows that came out positive; cells as in `f1`."""
    _, fp, _, tp = _apart(cells)
    return over(tp, tp + fp)


def recall(cells: Ints) -> Floats:
    """Share of positive rows that were flagged; cells as in `f1`."""
    _, _, fn, tp = _apart(cells)
    return over(tp, tp + fn)


def specificity(cells: Ints) -> Floats:
    """Share of negative rows that were not flagged; cells as in `f1`."""
    tn, fp, _, _ = _apart(cells)
    return over(tn, tn + fp)


def flagged(cells: Ints) -> Floats:
    """Share of rows that were flagged; cells as in `f1`."""
    tn, fp, fn, tp = _apart(cells)
    return over(tp + fp, tp + tn + fp + fn)


def cost(cells: Ints, each: Floats) -> Floats:
    """Sum of what the rows cost; each : of one tn, fp, fn, tp: float64, shape (4,). cells : (..., 4)."""
    summed: Floats = cells.astype(np.float64) @ each
    return summed


def _apart(cells: Ints) -> tuple[Floats, ...]:
    # As floats: the product of four counts of a million rows passes the range of int64.
    return tuple(cells[..., place].astype(np.float64) for place in range(4))


def over(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Floats:
    """Quotients; NaN where there is nothing to divide by."""
    shares: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return shares


def _mixed(cells: Ints, drawn: Ints, measure: Callable[[Ints], Floats], reason: str) -> Metric:
    value = float(measure(cells))
    if not np.isfinite(value):
        return Metric(value=None, reason=reason)
    low, high = percentile_band(measure(drawn)) or (None, None)
    return Metric(value=value, low=low, high=high)


_MIXED: dict[str, tuple[Callable[[Ints], Floats], str]] = {
    "f1": (f1, "no row is flagged, and none came out positive"),
    "balanced_accuracy": (balanced_accuracy, _ONE_CLASS),
    "mcc": (mcc, _NO_SIDE),
}

MEASURES: dict[str, Callable[[Ints], Floats]] = {
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
    "flagged": flagged,
    **{name: measure for name, (measure, _) in _MIXED.items()},
}
"""Every metric of four counts as a function of many of them at once."""

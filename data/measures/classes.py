"""Every metric of a multiclass model that follows from its confusion, and one line a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import share_metric, wilson
from pilothouse.data.measures.bootstrap import bootstrap_band
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.report import ClassRow, Crossing

_SAMPLES = 2000
_CELLS_AT_ONCE = 4_000_000
OUTSIDE = "any other"
"""What values outside the target's classes are called."""


def measure_crossing(counts: Ints, times: int = _SAMPLES) -> dict[str, Metric]:
    """Metrics of a confusion: true class by row, predicted class by column; int64, shape (classes + 1, classes + 1).

    The last row and column are of values outside the target's classes. A class counts as soon as it is seen among labels
    or predictions. Macro: mean over classes; weighted: by their labelled rows; micro is the accuracy itself.
    times : samples for the bands; fewer with many classes, and with a thousand of them there is no band.
    Sources: Cohen (1960) for kappa; Gorodkin (2004) for the MCC of several classes.
    """
    n, hits = int(counts.sum()), int(np.trace(counts[:-1, :-1]))
    if n == 0:
        return {name: Metric(value=None, reason="no labelled row has a prediction") for name in ("accuracy", *_MIXED)}
    low, high = wilson(hits, n)
    times = min(times, _CELLS_AT_ONCE // counts.size)
    mixed = {name: _mixed(counts, measure, times) for name, measure in _MIXED.items()}
    return {"accuracy": Metric(value=hits / n, low=low, high=high), **mixed}


def class_rows(counts: Ints, names: Sequence[str]) -> tuple[ClassRow, ...]:
    """A line for each class of the target, in its order. Precision and recall have Wilson bands, F1 a bootstrap one."""
    said, came, hits = counts.sum(axis=0), counts.sum(axis=1), _hits(counts)
    return tuple(
        ClassRow(
            name=name,
            support=int(came[place]),
            predicted=int(said[place]),
            precision=share_metric(int(hits[place]), int(said[place]), f"{name} was never predicted"),
            recall=share_metric(int(hits[place]), int(came[place]), f"no label is {name}"),
            f1=_f1_of(int(hits[place]), int(said[place]), int(came[place]), name),
        )
        for place, name in enumerate(names)
    )


def class_crossing(counts: Ints, names: Sequence[str]) -> Crossing:
    """The confusion by name; values outside the classes are shown where there are any."""
    held = counts if counts[-1].any() or counts[:, -1].any() else counts[:-1, :-1]
    shown = (*names, OUTSIDE)[: len(held)]
    return Crossing(names=shown, counts=tuple(tuple(int(n) for n in row) for row in held))


def _mixed(counts: Ints, measure: Callable[[Ints], Floats], times: int) -> Metric:
    value = float(measure(counts))
    if not np.isfinite(value):
        return Metric(value=None, reason="only one class among the labelled rows; it compares several")
    low, high = bootstrap_band(counts, measure, times) or (None, None)
    return Metric(
        value=value, low=None if low is None else min(low, value), high=None if high is None else max(high, value)
    )


def _f1_of(hits: int, said: int, came: int, name: str) -> Metric:
    if said + came == 0:
        return Metric(value=None, reason=f"{name} stands in no label and no prediction")
    band = bootstrap_band(np.array([hits, said - hits, came - hits]), _f1_of_cells)
    low, high = band or (None, None)
    return Metric(value=2 * hits / (said + came), low=low, high=high)


def _f1_of_cells(cells: Ints) -> Floats:
    return _over(2 * cells[..., 0], 2 * cells[..., 0] + cells[..., 1] + cells[..., 2])


def _hits(counts: Ints) -> Ints:
    """Right answers by class: (..., classes + 1); a value outside the classes is never one."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).copy()
    hits[..., -1] = 0
    return hits


def _margins(counts: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Hits, rows said and rows that came, by class, and all rows; NaN for classes that are in neither."""
    said, came = counts.sum(axis=-2).astype(np.float64), counts.sum(axis=-1).astype(np.float64)
    return _hits(counts).astype(np.float64), said, came, came.sum(axis=-1)


def _over(part: Floats | Ints, whole: Floats | Ints, nothing: float = np.nan) -> Floats:
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    shares: Floats = np.divide(part, whole, out=np.full(part.shape, nothing), where=whole > 0)
    return shares


def _each(name: str, counts: Ints) -> tuple[Floats, Floats]:
    """Precision, recall or F1 by class, and whether each class is seen at all (1 or 0)."""
    hits, said, came, _ = _margins(counts)
    part, whole = {"precision": (hits, said), "recall": (hits, came), "f1": (2 * hits, said + came)}[name]
    return _over(part, whole, 0.0), (said + came > 0).astype(np.float64)


def _macro(name: str) -> Callable[[Ints], Floats]:
    def mean(counts: Ints) -> Floats:
        values, seen = _each(name, counts)
        return _over((values * seen).sum(axis=-1), seen.sum(axis=-1))

    return mean


def _weighted(name: str) -> Callable[[Ints], Floats]:
    def mean(counts: Ints) -> Floats:
        values, _ = _each(name, counts)
        came = _margins(counts)[2]
        return _over((values * came).sum(axis=-1), came.sum(axis=-1))

    return mean


def _balanced(counts: Ints) -> Floats:
    """Mean recall of the classes that stand among the labels."""
    hits, _, came, _ = _margins(counts)
    there = (came > 0).astype(np.float64)
    return _over(_over(hits, came, 0.0).sum(axis=-1), there.sum(axis=-1))


def _accuracy(counts: Ints) -> Floats:
    hits, _, _, n = _margins(counts)
    return _over(hits.sum(axis=-1), n)


def _kappa(counts: Ints) -> Floats:
    hits, said, came, n = _margins(counts)
    expected = (said * came).sum(axis=-1)
    return _over(hits.sum(axis=-1) * n - expected, n * n - expected)


def _mcc(counts: Ints) -> Floats:
    hits, said, came, n = _margins(counts)
    common = hits.sum(axis=-1) * n - (said * came).sum(axis=-1)
    spread = (n * n - (said * said).sum(axis=-1)) * (n * n - (came * came).sum(axis=-1))
    return _over(common, np.sqrt(spread))


_MIXED: dict[str, Callable[[Ints], Floats]] = {
    "balanced_accuracy": _balanced,
    "macro_precision": _macro("precision"),
    "macro_recall": _macro("recall"),
    "macro_f1": _macro("f1"),
    "weighted_precision": _weighted("precision"),
    "weighted_recall": _weighted("recall"),
    "weighted_f1": _weighted("f1"),
    "kappa": _kappa,
    "mcc": _mcc,
}

MEASURES: dict[str, Callable[[Ints], Floats]] = {"accuracy": _accuracy, **_MIXED}
"""Every metric of a confusion as a function of many of them at once: (..., classes + 1, classes + 1) -> (...)."""

"""Every metric of a binary model from its ranked rows: each value with its band, or the reason for its absence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures import bootstrap, cells, ranked
from pilothouse.data.measures.bands import Band, Z, wilson
from pilothouse.data.measures.outcomes import Floats, Ints, Outcomes
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.measures.report import CalibrationBin, Crossing, Point

POINTS = 200
"""Thresholds of a curve at most: evenly over the rows that each flags."""


def measure_binary(
    outcomes: Outcomes, rows: Ranked, threshold: float, *, times: int = bootstrap.TIMES
) -> dict[str, Metric]:
    """All metrics of a binary model. outcomes : the exact sums of the same rows. threshold : a row is flagged from it on.

    times : samples for the bands of PR AUC, KS and calibration error; 0 leaves these bands out.
    """
    ordered = replace(outcomes, positives=rows.positives, negatives=rows.negatives)
    found = measure_performance(ordered)
    auc, silent = found["roc_auc"], found["roc_auc"].reason
    counted, drawn = rows.cells(threshold), _Drawn(rows=rows.coarse, times=times)
    return {
        "roc_auc": auc,
        "pr_auc": _precision(rows, silent, drawn),
        "log_loss": found["log_loss"],
        "brier": found["brier"],
        "ece": _calibration(rows, found["log_loss"].reason, drawn),
        **_of_cells(counted, rows),
        "gini": _gini(auc),
        "ks": _ks(rows, silent, drawn),
        "positive_rate": found["positive_rate"],
        "mean_score": found["mean_score"],
    }


def _of_cells(counted: Ints, rows: Ranked) -> dict[str, Metric]:
    found = cells.shares(counted) | cells.mixtures(counted)
    if rows.rows == 0:
        return {name: replace(metric, reason="no labelled row has a score") for name, metric in found.items()}
    return found


def _gini(auc: Metric) -> Metric:
    """2 AUC - 1, with the band of the AUC."""
    if auc.value is None or auc.low is None or auc.high is None:
        return auc
    return Metric(value=2 * auc.value - 1, low=2 * auc.low - 1, high=2 * auc.high - 1)


_Measure = Callable[[Ints], Floats]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """Samples of the rows, drawn when a band first needs them, and once for all of them: that is most of the work."""

    rows: Ranked
    times: int

    @cached_property
    def samples(self) -> Ints:
        return bootstrap.resampled(self.rows.counts, self.times)

    def band(self, measure: _Measure) -> Band | None:
        return bootstrap.percentile_band(measure(self.samples)) if self.times else None


def _precision(rows: Ranked, silent: str, drawn: _Drawn) -> Metric:
    if not rows.both:
        return Metric(value=None, reason=silent)
    value = float(ranked.average_precision(rows.counts))
    return _around(value, drawn.band(ranked.average_precision))


def _ks(rows: Ranked, silent: str, drawn: _Drawn) -> Metric:
    """KS of the model. The largest of many gaps is partly so by chance.

    So the lower end allows for that twice: for chance itself, and for what a gap that is the largest in a sample exceeds
    the gap of all rows at the same place, on average. Source: Efron (1983), the optimism of an apparent error.
    """
    if not rows.both:
        return Metric(value=None, reason=silent)
    value = float(ranked.ks_of_model(rows.counts))
    if not drawn.times:
        return Metric(value=value)
    sampled = ranked.gaps_at_each(drawn.samples)
    sampled = sampled[np.isfinite(sampled).all(axis=-1)]
    if len(sampled) < 2:
        return Metric(value=value)
    largest = sampled.max(axis=-1)
    excess = float((largest - ranked.gaps_at_each(drawn.rows.counts)[sampled.argmax(axis=-1)]).mean())
    half = Z * float(largest.std(ddof=1))
    return _around(value, (max(0.0, value - max(0.0, excess) - half), min(1.0, value + half)))


def _around(value: float, band: tuple[float, float] | None) -> Metric:
    """The value with its band, which holds it."""
    return (
        Metric(value=value) if band is None else Metric(value=value, low=min(band[0], value), high=max(band[1], value))
    )


def _calibration(rows: Ranked, silent: str, drawn: _Drawn) -> Metric:
    """The calibration error. Where scores that are true would often be found as far off, the band reaches to 0."""
    if rows.rows == 0:
        return Metric(value=None, reason=silent)
    value = float(_error_of(rows)(rows.counts))
    low, high = bootstrap.lifted(value, drawn.band(_error_of(drawn.rows))) or (None, None)
    return Metric(value=value, low=0.0 if low and value <= _by_chance(drawn.rows, drawn.times) else low, high=high)


def _by_chance(rows: Ranked, times: int) -> float:
    """The calibration error that scores which are true stay below in 97.5 % of samples."""
    n = rows.counts.sum(axis=0)
    return float(np.percentile(_error_of(rows)(bootstrap.as_said(n, rows.total / n, times)), 97.5))


def _error_of(rows: Ranked) -> _Measure:
    n = rows.counts.sum(axis=0)
    bins, said = ranked.calibration_groups(n), rows.total / n
    return lambda counts: ranked.calibration_error(counts, said, bins)


def calibration_bins(rows: Ranked) -> tuple[CalibrationBin, ...]:
    """What was said against what came true, in ten bins of about equal rows, lowest score first."""
    n = rows.counts.sum(axis=0)
    bins = ranked.calibration_groups(n)
    return tuple(_bin(rows, n, bins == place) for place in np.unique(bins))


def _bin(rows: Ranked, n: Ints, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> CalibrationBin:
    held, hits = int(n[inside].sum()), int(rows.positives[inside].sum())
    low, high = wilson(hits, held)
    return CalibrationBin(
        rows=held, mean_score=float(rows.total[inside].sum()) / held, share=hits / held, low=low, high=high
    )


def crossing(rows: Ranked, threshold: float, names: tuple[str, str]) -> Crossing:
    """The confusion at `threshold`. names : of the negative and of the positive class."""
    tn, fp, fn, tp = (int(n) for n in rows.cells(threshold))
    return Crossing(names=names, counts=((tn, fp), (fn, tp)))


def curve(rows: Ranked, each: Floats | None = None, also: float | None = None) -> tuple[Point, ...]:
    """What each of at most POINTS thresholds would have done, the highest first, ending where every row is flagged.

    each : what one tn, fp, fn and tp costs: float64, shape (4,). also : a threshold that is to be among them.
    """
    if rows.rows == 0:
        return ()
    at_each = rows.cells_at_each().T
    flagged = (at_each[:, 1] + at_each[:, 3]) / rows.rows
    wanted = np.searchsorted(-flagged, -np.linspace(1, 0, POINTS), side="left")
    present = [] if also is None else [rows.place(also)]
    places = np.unique(np.append(np.minimum(wanted, len(rows.least)), present).astype(np.int64))[::-1]
    return tuple(_point(rows, int(place), at_each[place], each) for place in places)


def threshold_at(rows: Ranked, place: int) -> float:
    """The threshold with which group `place` is the first that is flagged; past the last one no row is."""
    return float(rows.least[place]) if place < len(rows.least) else 1.0 + 1e-9


def _point(rows: Ranked, place: int, counted: Ints, each: Floats | None) -> Point:
    tn, fp, fn, tp = (int(n) for n in counted)
    return Point(
        threshold=min(1.0, threshold_at(rows, place)),
        flagged=(tp + fp) / rows.rows,
        precision=_over(tp, tp + fp),
        recall=_over(tp, tp + fn),
        fall_out=_over(fp, fp + tn),
        f1=_over(2 * tp, 2 * tp + fp + fn),
        missed=_over(fn, fn + tn),
        cost=None if each is None else float(cells.cost(counted, each)) / rows.rows,
    )


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None

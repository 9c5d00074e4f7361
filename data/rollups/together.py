"""Bands that hold where the rows of a day, or of an hour, share something: from roll-up rows told apart by bucket.

`apart` : roll-up rows of the part OUTCOME as `History.count` gives them, whose `point` is the number of the bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures import cells, classes, ranked
from pilothouse.data.measures.chances import MOST_RANKS, tops
from pilothouse.data.measures.errors import QUANTILES
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.together import Spread, jackknife, share_spread, widened_each, without_each
from pilothouse.data.rollups.bins import ERROR_SLOTS, NO_SCORE
from pilothouse.data.rollups.schema import (
    AGAINST_REST,
    BRIER,
    CONFUSION,
    ERROR,
    LOG_LOSS,
    RANK,
    TARGET,
    TRUE_SCORE,
    Part,
)
from pilothouse.data.signature import Signature, Task

Spreads = dict[str, Spread | None]


def widen(
    metrics: Mapping[str, Metric], apart: pl.DataFrame, by: str, signature: Signature, threshold: float = 0.5
) -> dict[str, Metric]:
    """Each metric with a band that holds for whole buckets of rows; those of which that is not known stay as they are.

    metrics : of all rows of `apart`. by : what its buckets are, "days" or "hours". threshold : of a binary model.
    """
    return widened_each(metrics, spreads_of(apart, metrics, signature, threshold), by)


def spreads_of(apart: pl.DataFrame, wanted: Collection[str], signature: Signature, threshold: float = 0.5) -> Spreads:
    """How far metrics lie off by chance, their rows taken bucket by bucket: those `wanted` of which it is known."""
    outcomes = apart.filter(pl.col("part") == Part.OUTCOME)
    return {} if outcomes.is_empty() else _SPREADS[signature.task](_Held(outcomes), wanted, signature, threshold)


class _Held:
    """Roll-up rows by bucket, as arrays whose first axis is the bucket."""

    def __init__(self, outcomes: pl.DataFrame) -> None:
        points, places = np.unique(outcomes["point"].to_numpy(), return_inverse=True)
        self.buckets, self._nothing = len(points), outcomes.clear().with_columns(place=pl.lit(0, pl.Int64))
        parts = outcomes.with_columns(place=pl.Series(places)).partition_by("feature", as_dict=True)
        self._parts = {str(name): rows for (name,), rows in parts.items()}

    def of(self, feature: str) -> pl.DataFrame:
        return self._parts.get(feature, self._nothing)

    def against_rest(self) -> list[pl.DataFrame]:
        """Rows of each class against the others."""
        return [rows for name, rows in self._parts.items() if name.startswith(AGAINST_REST)]

    def sums(self, rows: pl.DataFrame) -> Floats:
        """n, s and s2 by bucket: float64, shape (3, buckets)."""
        places = rows["place"].to_numpy()
        return np.stack([self._added(places, rows[name], self.buckets) for name in ("n", "s", "s2")])

    def histogram(self, rows: pl.DataFrame) -> tuple[Ints, Ints]:
        """Rows by bucket, label (0, then 1) and slot; and which slots these are: those that any row lies in."""
        slots, place = _numbered(rows["bin"].to_numpy())
        shape = (self.buckets, 2, max(1, len(slots)))
        at = (rows["place"].to_numpy() * 2 + rows["label"].to_numpy()) * shape[2] + place
        return self._added(at, rows["n"], int(np.prod(shape))).reshape(shape).astype(np.int64), slots

    def _added(self, at: npt.NDArray[np.integer], amounts: pl.Series, size: int) -> Floats:
        summed: Floats = np.bincount(at, weights=amounts.cast(pl.Float64).to_numpy(), minlength=size).astype(float)
        return summed


def _binary(held: _Held, wanted: Collection[str], signature: Signature, threshold: float) -> Spreads:
    labelled = held.of(TRUE_SCORE)
    rows, scored = held.sums(labelled), labelled.filter(pl.col("bin") != NO_SCORE)
    found: Spreads = {
        "positive_rate": share_spread(held.sums(labelled.filter(pl.col("label") == 1))[0], rows[0]),
        "mean_score": _mean(held.sums(scored)),
        "log_loss": _mean(held.sums(held.of(LOG_LOSS))),
        "brier": _mean(held.sums(held.of(BRIER))),
    }
    if scored.is_empty():
        return found
    counts, slots = held.histogram(scored)
    measures = dict(_OF_ORDER)
    if "ece" in wanted:
        measures["ece"] = _calibration(counts, slots, scored)
    in_cells = _cells(counts, ranked.slot_from(threshold) <= slots)
    return found | _spread_each(counts, measures, wanted) | _spread_each(in_cells, cells.MEASURES, wanted)


def _spread_each(counts: Ints, measures: Mapping[str, Callable[[Ints], Floats]], wanted: Collection[str]) -> Spreads:
    """The spread of each wanted metric of counts by bucket: int64, shape (buckets, ...)."""
    chosen = {name: measure for name, measure in measures.items() if name in wanted}
    if not chosen:
        return {}
    left, rows = without_each(counts), counts.sum(axis=tuple(range(1, counts.ndim)))
    return {name: jackknife(measure(left), rows) for name, measure in chosen.items()}


def _calibration(counts: Ints, slots: Ints, scored: pl.DataFrame) -> Callable[[Ints], Floats]:
    """The calibration error by the bins of all rows. counts : (buckets, 2, slots), of the steps `slots`."""
    _, places = _numbered(scored["bin"].to_numpy())
    rows = counts.sum(axis=(0, 1))
    said = np.bincount(places, weights=scored["s"].to_numpy(), minlength=len(slots)) / np.maximum(1, rows)
    bins = ranked.calibration_groups(rows)
    return lambda left: ranked.calibration_error(left, said, bins)


def _cells(counts: Ints, flagged: npt.NDArray[np.bool_]) -> Ints:
    """tn, fp, fn, tp by bucket: (buckets, 2, slots) -> (buckets, 4)."""
    above = counts[:, :, flagged].sum(axis=2)
    below = counts.sum(axis=2) - above
    return np.stack([below[:, 0], above[:, 0], below[:, 1], above[:, 1]], axis=1)


def _numbers(held: _Held, wanted: Collection[str], signature: Signature, threshold: float) -> Spreads:
    errors, target = held.of(ERROR), held.sums(held.of(TARGET))
    absolute = errors.with_columns(pl.col("s").abs())
    n, total, squares = held.sums(errors)
    whole, left = without_each(n), without_each(squares)
    root = np.sqrt(np.maximum(0.0, cells.over(left, whole)))
    labels, label_squares = without_each(target[1]), without_each(target[2])
    spread = label_squares - labels * cells.over(labels, whole)
    return {
        "bias": _mean(np.stack([n, total])),
        "mae": _mean(held.sums(absolute)),
        "rmse": jackknife(root, n),
        "r2": jackknife(1 - cells.over(left, spread), n),
        **(_of_sizes(held, errors) if "median_ae" in wanted else {}),
    }


def _of_sizes(held: _Held, errors: pl.DataFrame) -> Spreads:
    """Quantiles of the error. One by steps hardly moves, so what is measured is the share of rows on one side of it."""
    if errors.is_empty():
        return {}
    counts, slots = held.histogram(errors.with_columns(pl.lit(0, pl.Int32).alias("label")))
    by_slot, size = counts[:, 0].astype(np.float64), np.abs(slots - ERROR_SLOTS // 2)
    shares = {name: _side(by_slot, slots, share) for name, share in QUANTILES.items()}
    return shares | {"median_ae": _side(by_slot, size, 0.5)}


def _side(counts: Floats, key: Ints, share: float) -> Spread | None:
    order = np.argsort(key, kind="stable")
    upto = counts.sum(axis=0)[order].cumsum()
    middle = key[order][int(np.searchsorted(upto, share * upto[-1]))]
    return share_spread(counts[:, key <= middle].sum(axis=1), counts.sum(axis=1))


def _classes(held: _Held, wanted: Collection[str], signature: Signature, threshold: float) -> Spreads:
    size = len(signature.target.classes)
    found: Spreads = {"log_loss": _mean(held.sums(held.of(LOG_LOSS))), "brier": _mean(held.sums(held.of(BRIER)))}
    crossed = held.of(CONFUSION)
    if crossed.height:
        found |= _spread_each(_crossings(held, crossed, size + 1), classes.MEASURES, wanted)
    ranks = held.of(RANK)
    for k in tops(size) if ranks.height else ():
        near = held.sums(ranks.filter(pl.col("bin") < min(k, MOST_RANKS)))
        found[f"top_{k}"] = share_spread(near[0], held.sums(ranks)[0])
    return found | _against_rest(held)


def _crossings(held: _Held, crossed: pl.DataFrame, size: int) -> Ints:
    counts = np.zeros((held.buckets, size, size), np.int64)
    at = tuple(crossed[name].to_numpy() for name in ("place", "label", "bin"))
    np.add.at(counts, at, crossed["n"].to_numpy())
    return counts


def _against_rest(held: _Held) -> Spreads:
    """The means over classes of ROC AUC against the rest, over the classes that have rows on both sides."""
    counts = [held.histogram(rows)[0] for rows in held.against_rest()]
    both = [each for each in counts if each.sum(axis=(0, 2)).all()]
    if len(both) < 2:
        return {}
    areas = np.stack([ranked.area_under_curve(without_each(each)) for each in both])
    of = np.stack([without_each(each[:, 1].sum(axis=1)) for each in both])
    rows = both[0].sum(axis=(1, 2))
    weighted = cells.over((areas * of).sum(axis=0), of.sum(axis=0))
    return {"macro_roc_auc": jackknife(areas.mean(axis=0), rows), "weighted_roc_auc": jackknife(weighted, rows)}


def _numbered(slots: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """The slots that occur, rising, and of each given one the place among them: as `np.unique`, without sorting."""
    held = np.flatnonzero(np.bincount(slots))
    places = np.zeros(int(held[-1]) + 1 if len(held) else 1, np.int64)
    places[held] = np.arange(len(held))
    return held, places[slots]


def _mean(sums: Floats) -> Spread | None:
    """Of a mean. sums : n and the sum by bucket, float64, shape (2 or more, buckets)."""
    whole, left = without_each(sums[0]), without_each(sums[1])
    return jackknife(cells.over(left, whole), sums[0])


_OF_ORDER: Mapping[str, Callable[[Ints], Floats]] = {
    "roc_auc": ranked.area_under_curve,
    "gini": lambda counts: 2 * ranked.area_under_curve(counts) - 1,
    "pr_auc": ranked.average_precision,
    "ks": ranked.ks_of_model,
}
"""Metrics that follow from the order of the scores, of counts (..., 2, slots)."""
_SPREADS: dict[Task, Callable[[_Held, Collection[str], Signature, float], Spreads]] = {
    Task.BINARY: _binary,
    Task.MULTICLASS: _classes,
    Task.REGRESSION: _numbers,
}

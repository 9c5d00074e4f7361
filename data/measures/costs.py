"""Which threshold costs least, how surely, and what it saves against the one in force."""

from __future__ import annotations

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.binary import threshold_at
from pilothouse.data.measures.bootstrap import TIMES, percentile_band, resampled
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.ranked import Ranked, cells_at_each
from pilothouse.data.measures.report import Saving
from pilothouse.data.policies import Costs

LEAST_OF_EACH = 10
"""Labelled rows of either class below which no threshold is called the best."""


def each_of(costs: Costs) -> Floats:
    """What one tn, fp, fn and tp costs: float64, shape (4,)."""
    return np.array([costs.tn, costs.fp, costs.fn, costs.tp])


def calibrated_threshold(costs: Costs) -> float | None:
    """From which probability on flagging a row costs less than letting it pass; None where it never or always does.

    Source: Elkan (2001), "The foundations of cost-sensitive learning", eq. 2.

    >>> calibrated_threshold(Costs(fp=1.0, fn=4.0))
    0.2
    """
    false_alarm, miss = costs.fp - costs.tn, costs.fn - costs.tp
    return false_alarm / (false_alarm + miss) if false_alarm > 0 and miss > 0 else None


def too_few(rows: Ranked) -> str:
    """Why no best threshold can be named of these rows; empty when one can."""
    negatives, positives = (int(n) for n in rows.counts.sum(axis=1))
    fewer, name = min((positives, "positive"), (negatives, "negative"))
    if fewer >= LEAST_OF_EACH:
        return ""
    return f"too few labelled rows: {fewer} came out {name}; {LEAST_OF_EACH} would do"


def best_threshold(rows: Ranked, costs: Costs, present: float, times: int = TIMES) -> Saving:
    """The threshold of least cost, with the band of where it lies, and what it saves against `present`.

    rows : at least LEAST_OF_EACH of both classes. The best of many thresholds looks better on the rows that it was chosen
    on than on others: the mean excess, over `times` samples in each of which the best is chosen anew, is taken off.
    Source: Efron (1983), the optimism of an apparent error, by bootstrap.
    """
    each, at_each = each_of(costs), rows.cells_at_each()
    costing = at_each.T @ each
    place, now = int(costing.argmin()), float(rows.cells(present) @ each)
    chosen, excess, of_samples = _sampled(rows.coarse, each, threshold_at(rows, place), present, times)
    saving, by_chance = now - float(costing[place]), max(0.0, float(excess.mean()))
    low, high = percentile_band(chosen) or (None, None)
    least, most = percentile_band(of_samples) or (None, None)
    return Saving(
        costs=costs,
        rows=rows.rows,
        threshold=Metric(value=min(1.0, threshold_at(rows, place)), low=low, high=high),
        calibrated=calibrated_threshold(costs),
        present=present,
        cost=float(costing[place]),
        present_cost=now,
        saving=Metric(
            value=saving - by_chance,
            low=None if least is None else least - by_chance,
            high=None if most is None else most - by_chance,
        ),
        by_chance=by_chance,
    )


def _sampled(rows: Ranked, each: Floats, best: float, present: float, times: int) -> tuple[Floats, Floats, Floats]:
    """Of each sample: its own best threshold, by how much that looks better on it than on all rows, what `best` saves.

    Each float64, shape (times,).
    """
    drawn = resampled(rows.counts, times)
    sampled, whole = _costing(drawn, each), _costing(rows.counts, each)
    own, now, chosen = sampled.argmin(axis=-1), rows.place(present), rows.place(best)
    at, each_sample = np.minimum(own, len(rows.least) - 1), np.arange(times)
    seen = sampled[:, now] - sampled[each_sample, own]
    kept = whole[now] - whole[own]
    return rows.least[at], seen - kept, sampled[:, now] - sampled[:, chosen]


def _costing(counts: Ints, each: Floats) -> Floats:
    """Cost at each threshold: (..., groups + 1)."""
    summed: Floats = np.einsum("...ck,c->...k", cells_at_each(counts).astype(np.float64), each)
    return summed

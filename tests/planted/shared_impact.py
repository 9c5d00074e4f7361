"""Whether impact's bands hold the true effects where the rows of a day share something, of labels and of features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.impact import ALONE, Effects, Shift, Together, measure_effects
from pilothouse.data.measures.outcomes import Ints, log_losses
from pilothouse.data.measures.reweighting import Judge, WeightedAuc, WeightedMean
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from tests.planted.shared_hours import both_of
from tests.planted.shared_worlds import AN_HOUR, BINARY, FEATURES, HOURS, Shared, drifted
from tests.planted.verdict import Verdict

SEEDS = {"small": 2, "full": 60}
LARGE_DAYS = {"small": 60, "full": 2_000}
METRICS = ("roc_auc", "log_loss")
DAYS = 28


def run(size: str) -> list[Verdict]:
    return [
        verdict
        for world in ("a day's rows", "both", "alone")
        for metric in METRICS
        for verdict in _judged(world, BINARY[world], metric, size)
    ]


def judge_of(rows: pl.DataFrame, metric: str) -> Judge:
    scores, came = rows["score"].to_numpy(), rows["label"].to_numpy() == 1
    return WeightedAuc(scores, came) if metric == "roc_auc" else WeightedMean(log_losses(scores, came))


def value_of(rows: pl.DataFrame, metric: str) -> float:
    judged = judge_of(rows, metric).judge(np.ones(rows.height))
    assert judged is not None
    return judged.value


def effects_of(reference: pl.DataFrame, window: pl.DataFrame, metric: str, *, by_day: bool) -> Effects:
    """The measure from bare rows, as `ops.measuring.impact` asks it: no time is known of the reference's rows."""
    plain, wide = both_of("binary", window)
    shifts = [_shift(name, reference[name], window, by_day=by_day) for name in FEATURES]
    together = Together.by_labels(wide[metric], HOURS * AN_HOUR, HOURS * AN_HOUR) if by_day else ALONE
    realized = (wide if by_day else plain)[metric]
    return measure_effects(metric, judge_of(reference, metric), shifts, reference.height, realized, together)


def _shift(name: str, values: pl.Series, window: pl.DataFrame, *, by_day: bool) -> Shift:
    profile = FeatureProfile.of(name, Kind.NUMBER, values)
    codes, slots = profile.bins.codes(window[name]), profile.bins.slots
    at = window["day"].to_numpy() * slots + codes
    buckets: Ints = np.bincount(at, minlength=DAYS * slots).reshape(DAYS, slots)
    return Shift.of(name, profile, values, buckets.sum(axis=0), buckets if by_day else None)


@lru_cache(maxsize=8)
def _truth(shared: Shared, metric: str, days: int) -> Mapping[str, float]:
    world = drifted(shared, 1, days, 0)
    before = value_of(world.before, metric)
    return {name: value_of(rows, metric) - before for name, rows in world.alone.items()}


def _judged(world: str, shared: Shared, metric: str, size: str) -> list[Verdict]:
    truth = _truth(shared, metric, LARGE_DAYS[size])
    held: dict[str, list[tuple[bool, bool, float]]] = {name: [] for name in FEATURES}
    for seed in range(SEEDS[size]):
        rows = drifted(shared, DAYS, 1, seed)
        plain, wide = (effects_of(rows.reference, rows.window, metric, by_day=by_day) for by_day in (False, True))
        for name in FEATURES:
            before, after = _effect(plain, name), _effect(wide, name)
            held[name].append((_holds(before, truth[name]), _holds(after, truth[name]), after.wider))
    return [
        _verdict(f"impact on {metric}, {world}: band of {name}", held[name], truth[name], size) for name in FEATURES
    ]


def _verdict(name: str, found: list[tuple[bool, bool, float]], truth: float, size: str) -> Verdict:
    before, after, wider = (float(np.mean(each)) for each in zip(*found, strict=True))
    return Verdict(
        name=name, seeds=len(found), value=after, unit="of worlds", goal=0.92 if size == "full" else None,
        detail=f"{before:.3f} by rows; {wider:.2f} times as wide on average; the true effect is {truth:+.4f}",
    )  # fmt: skip


def _effect(found: Effects, name: str) -> Metric:
    return next(f.effect for f in found.features if f.name == name)


def _holds(metric: Metric, truth: float) -> bool:
    return metric.low is not None and metric.high is not None and metric.low <= truth <= metric.high

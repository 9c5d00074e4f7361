"""Whether impact finds the feature whose drift costs, says how much, and leaves to the remainder what is no drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures import impact
from pilothouse.data.measures.impact import Effects, FeatureImpact, Shift, measure_effects
from pilothouse.data.measures.outcomes import Ints
from pilothouse.data.measures.reweighting import Judge, WeightedAuc, WeightedMean, WeightedRoot
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from tests.planted.impact_worlds import Floats, Rows, World, concept, costly_region, loud_and_quiet, nothing
from tests.planted.verdict import Verdict

SEEDS = {"small": 2, "full": 24}
_JUDGES: Mapping[str, Callable[[Rows], Judge]] = {
    "roc_auc": lambda rows: WeightedAuc(rows.said, rows.true > 0),
    "mae": lambda rows: WeightedMean(np.abs(rows.said - rows.true)),
    "rmse": lambda rows: WeightedRoot(rows.said - rows.true),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found in a world, and what is so by large samples: `costs` by feature, `change` of the whole window.

    noise : standard deviation of such a difference of two large samples.
    """

    found: Effects
    costs: Mapping[str, float]
    change: float
    noise: float

    def of(self, name: str) -> FeatureImpact:
        return next(f for f in self.found.features if f.name == name)

    def error(self, name: str) -> float:
        return abs(_value(self.of(name).effect) - self.costs[name])


def classification(size: str) -> list[Verdict]:
    """Binary worlds: one feature costs, none does, or the outcome's own law has changed."""
    return [*loud_useless(size), *pure_concept(size), *quiet_world(size)]


def loud_useless(size: str) -> list[Verdict]:
    """A loud feature on which nothing hangs, beside a quiet one on which much does: ROC AUC."""
    worlds = [judge_world(loud_and_quiet(seed), "roc_auc") for seed in range(SEEDS[size])]
    first = [w.found.features[0].name == "quiet" for w in worlds]
    loudest = [max(w.found.features, key=lambda f: f.psi or 0.0).name == "loud" for w in worlds]
    cost = np.mean([w.costs["quiet"] for w in worlds])
    said = partial(Verdict, seeds=len(worlds))
    return [
        said(name="loud and quiet: impact ranks the true cause first", value=_mean(first), unit="share", goal=0.95,
             detail=f"PSI ranks the useless one first in {_mean(loudest):.0%}"),
        said(name="loud and quiet: estimate within 0.01 of the real change", unit="share", goal=0.95,
             value=_mean([w.error("quiet") <= 0.01 for w in worlds]), detail=f"real change {cost:+.4f} ROC AUC on average"),
        said(name="loud and quiet: largest error of the estimate", unit="ROC AUC",
             value=max(w.error("quiet") for w in worlds)),
        said(name="loud and quiet: largest effect given to the useless one", unit="ROC AUC",
             value=max(abs(_value(w.of("loud").effect)) for w in worlds)),
        said(name="loud and quiet: the useless one is not said to cost anything", unit="share", goal=0.9,
             value=_mean([w.of("loud").verdict is not impact.Verdict.COSTS for w in worlds])),
        *_bands("loud and quiet", worlds),
    ]  # fmt: skip


def pure_concept(size: str) -> list[Verdict]:
    """No feature drifts, the outcome's law does: the remainder holds it."""
    worlds = [judge_world(concept(seed), "roc_auc") for seed in range(SEEDS[size])]
    said = partial(Verdict, seeds=len(worlds))
    off = [abs(_value(w.found.remainder) - w.change) for w in worlds]
    return [
        said(name="concept: remainder within 0.01 of the real change", unit="share", goal=0.95,
             value=_mean([error <= 0.01 for error in off]),
             detail=f"real change {np.mean([w.change for w in worlds]):+.4f} ROC AUC on average"),
        said(name="concept: remainder's band holds the real change", unit="share", goal=0.9 if size == "full" else None,
             value=_mean([_holds(w.found.remainder, w.change, w.noise) for w in worlds])),
        said(name="concept: largest effect given to a feature", unit="ROC AUC", goal=0.01, at_most=True,
             value=max(abs(_value(f.effect)) for w in worlds for f in w.found.features)),
    ]  # fmt: skip


def quiet_world(size: str) -> list[Verdict]:
    """Nothing is wrong: how often a feature is said to cost or to gain something all the same."""
    worlds = [judge_world(nothing(seed), "roc_auc") for seed in range(SEEDS[size])]
    said = [f.verdict in (impact.Verdict.COSTS, impact.Verdict.GAINS) for w in worlds for f in w.found.features]
    over = [not _holds(w.found.remainder, 0.0) for w in worlds]
    goal = 0.1 if size == "full" else None
    alarm = partial(Verdict, seeds=len(worlds), unit="share", at_most=True, goal=goal)
    return [
        alarm(name="nothing: features said to cost or gain something", value=_mean(said), detail=f"of {len(said)}"),
        alarm(name="nothing: remainder's band is without 0", value=_mean(over)),
    ]


def regression(size: str) -> list[Verdict]:
    """Rows move to where the target is noisy: MAE and RMSE of a regression."""
    return [verdict for metric in ("mae", "rmse") for verdict in _regression(size, metric)]


def _regression(size: str, metric: str) -> list[Verdict]:
    worlds = [judge_world(costly_region(seed), metric) for seed in range(SEEDS[size])]
    first = [w.found.features[0].name == "quiet" for w in worlds]
    near = [w.error("quiet") <= 0.02 for w in worlds]
    said = partial(Verdict, seeds=len(worlds), unit="share", goal=0.95)
    cost = np.mean([w.costs["quiet"] for w in worlds])
    return [
        said(name=f"costly region: impact ranks the true cause first, {metric}", value=_mean(first)),
        said(name=f"costly region: {metric} within 0.02 of the real change", value=_mean(near),
             detail=f"real change {cost:+.3f} on average; the target's deviation is near 2"),
        *_bands(f"costly region, {metric}", worlds),
    ]  # fmt: skip


def judge_world(world: World, metric: str) -> Judged:
    """Measure the effects on the reference and the window, and by large samples what they are."""
    truth = {name: _of(rows, metric) for name, rows in world.alone.items()}
    before = _of(world.large_reference, metric)
    return Judged(
        found=effects_of(world.reference, world.window, metric),
        costs={name: value - before for name, value in truth.items()},
        change=_of(world.large_window, metric) - before,
        noise=float(np.sqrt(2)) * _deviation(world.large_reference, metric),
    )


def effects_of(reference: Rows, window: Rows, metric: str) -> Effects:
    """The measure itself, from bare rows."""
    shifts = [shift_of(name, values, window.columns[name]) for name, values in reference.columns.items()]
    judged = _JUDGES[metric](window).judge(np.ones(len(window.said)))
    assert judged is not None
    half = 1.96 * _deviation(window, metric)
    realized = Metric(value=judged.value, low=judged.value - half, high=judged.value + half)
    return measure_effects(metric, _JUDGES[metric](reference), shifts, len(reference.said), realized)


def shift_of(name: str, reference: Floats, window: Floats) -> Shift:
    """A numeric feature as the profile bins it."""
    values = pl.Series(name, reference)
    profile = FeatureProfile.of(name, Kind.NUMBER, values)
    counts: Ints = np.bincount(profile.bins.codes(pl.Series(window)), minlength=profile.bins.slots)
    return Shift.of(name, profile, values, counts)


def _deviation(rows: Rows, metric: str) -> float:
    judged = _JUDGES[metric](rows).judge(np.ones(len(rows.said)))
    assert judged is not None
    return float(np.sqrt(judged.influence @ judged.influence)) / len(rows.said)


def _of(rows: Rows, metric: str) -> float:
    judged = _JUDGES[metric](rows).judge(np.ones(len(rows.said)))
    assert judged is not None
    return judged.value


def _bands(name: str, worlds: list[Judged]) -> list[Verdict]:
    """How often the band of an effect holds the true one; few seeds cannot say."""
    held = [_holds(w.of(feature).effect, cost, w.noise) for w in worlds for feature, cost in w.costs.items()]
    width = np.mean([_width(w.of("quiet").effect) for w in worlds])
    full = len(worlds) >= SEEDS["full"]
    return [
        Verdict(name=f"{name}: band holds the real effect", seeds=len(worlds), value=_mean(held), unit="share",
                goal=0.9 if full else None, detail=f"of {len(held)} effects; mean width of the quiet one's {width:.4f}"),
    ]  # fmt: skip


def _value(metric: Metric) -> float:
    assert metric.value is not None
    return metric.value


def _holds(metric: Metric, value: float, noise: float = 0.0) -> bool:
    """Whether the band holds a value that is itself known but for `noise`."""
    return abs(_value(metric) - value) <= float(np.hypot(_width(metric) / 2, 1.96 * noise))


def _width(metric: Metric) -> float:
    assert metric.low is not None
    assert metric.high is not None
    return metric.high - metric.low


def _mean(values: list[bool]) -> float:
    return float(np.mean(values))

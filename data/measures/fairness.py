"""How alike a model treats groups of rows: rates by group, and how far apart they are, by fairlearn's definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import wilson
from pilothouse.data.measures.gaps import mean
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.windows import Window

Counts = tuple[Ints, Ints]
"""Hits and rows by group."""

DRAWS = 2000
GROUP_ROWS = 100
"""Rows from which a group is compared."""
_SEED = 7
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group. rows : answered ones. metrics : by name, each with its band."""

    name: str
    rows: int
    labelled: int
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disparity:
    """How far groups are apart. lowest, highest : the groups that make it.

    by_chance : what 95 of 100 samples of these sizes would stay within were all groups treated alike: a difference is
    below it, a ratio above it. A gap that is no greater says nothing, however many groups make it look large.
    """

    value: Metric
    by_chance: float | None = None
    ratio: bool = False
    lowest: str = ""
    highest: str = ""

    @property
    def beyond_chance(self) -> bool | None:
        """Whether it is more than chance alone would make; None where it cannot be said."""
        if self.value.value is None or self.by_chance is None:
            return None
        return self.value.value < self.by_chance if self.ratio else self.value.value > self.by_chance


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessPoint:
    """One bucket of a trend. rates : by group, the selection rate (the mean error of a regression model)."""

    window: Window
    rows: int
    labelled: int
    rates: dict[str, Metric]
    disparities: dict[str, Disparity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Groups of one column over a window, the commonest first.

    left_out : groups with fewer than min_rows rows, and how many they have. disparities : by name. reason : why groups
    cannot be compared.
    """

    model: str
    column: str
    version: int | None
    window: Window
    rows: int
    labelled: int
    min_rows: int
    groups: tuple[Group, ...]
    left_out: tuple[tuple[str, int], ...]
    disparities: dict[str, Disparity]
    every: timedelta
    trend: tuple[FairnessPoint, ...] = ()
    reason: str = ""

    @property
    def four_fifths(self) -> FairnessVerdict | None:
        """Whether the four-fifths rule is kept; None where groups are not compared by how many of them are selected."""
        return judge_fairness(self.disparities) if _SELECTION_RATIO in self.disparities else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessRule:
    """What is asked of a model's fairness: each a bound on a disparity by name. The 0.8: EEOC (1978), four fifths."""

    most: Mapping[str, float] | None = None
    least: Mapping[str, float] | None = None


_SELECTION_RATIO = "demographic_parity_ratio"
FOUR_FIFTHS = FairnessRule(least={_SELECTION_RATIO: 0.8})


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessVerdict:
    """fair : None where it cannot be said. reason : one sentence, numbers included."""

    fair: bool | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Definition:
    rates: tuple[str, ...]
    ratio: bool


DISPARITIES = {
    "demographic_parity_difference": _Definition(rates=("selection_rate",), ratio=False),
    "demographic_parity_ratio": _Definition(rates=("selection_rate",), ratio=True),
    "equalized_odds_difference": _Definition(rates=("tpr", "fpr"), ratio=False),
    "equalized_odds_ratio": _Definition(rates=("tpr", "fpr"), ratio=True),
    "accuracy_difference": _Definition(rates=("accuracy",), ratio=False),
}
"""By name, the rates of which the worst gap counts: greatest less least rate, or least over greatest."""


def binary_counts(groups: Ints, n: int, said: Floats, came: Floats) -> dict[str, Counts]:
    """selection_rate, tpr, fpr, accuracy and precision as hits and rows by group.

    groups : int64, shape (rows,), 0 to n - 1. said, came : float64, same shape: 1 for the positive class, 0 for the
    other, NaN where the model gave no answer or no label has come. The selection rate needs no label and is of all
    answered rows; the other four are of labelled ones.
    """

    def count(rows: Bools) -> Ints:
        return np.bincount(groups[rows], minlength=n).astype(np.int64)

    both = ~np.isnan(said) & ~np.isnan(came)
    selected, positive = said == 1, came == 1
    return {
        "selection_rate": (count(selected), count(~np.isnan(said))),
        "tpr": (count(both & selected & positive), count(both & positive)),
        "fpr": (count(both & selected & ~positive), count(both & ~positive)),
        "accuracy": (count(both & (selected == positive)), count(both)),
        "precision": (count(both & selected & positive), count(both & selected)),
    }


def class_counts(groups: Ints, n: int, right: Floats) -> dict[str, Counts]:
    """accuracy as hits and rows by group. right : 1, 0, or NaN without a label."""
    known = ~np.isnan(right)
    hits = np.bincount(groups[known & (right == 1)], minlength=n).astype(np.int64)
    return {"accuracy": (hits, np.bincount(groups[known], minlength=n).astype(np.int64))}


def rates(counts: Mapping[str, Counts], n: int) -> list[dict[str, Metric]]:
    """Each rate of each group with its Wilson band."""
    return [{name: _rate(int(hits[g]), int(of[g]), name) for name, (hits, of) in counts.items()} for g in range(n)]


_OF = {"tpr": "positive labels", "fpr": "negative labels", "precision": "labelled rows that were selected"}


def _rate(hits: int, of: int, name: str) -> Metric:
    if of == 0:
        return Metric(value=None, reason=f"no {_OF.get(name, 'labelled rows')}")
    low, high = wilson(hits, of)
    return Metric(value=hits / of, low=low, high=high)


def disparities(counts: Mapping[str, Counts], names: Sequence[str], draws: int = DRAWS) -> dict[str, Disparity]:
    """Every disparity that the counts allow, with a bootstrap band.

    names : of the groups. Rows are drawn anew within each group and label, which is to draw its hits from a binomial
    law: no row is needed. Source: Bird et al. (2020), Fairlearn; Hardt, Price and Srebro (2016) for equalized odds,
    the worst of its two rates as in fairlearn's default; Efron (1979), percentile bands.
    """
    wanted = {name: d for name, d in DISPARITIES.items() if all(rate in counts for rate in d.rates)}
    return {name: _disparity(definition, counts, names, draws) for name, definition in wanted.items()}


def _disparity(definition: _Definition, counts: Mapping[str, Counts], names: Sequence[str], draws: int) -> Disparity:
    if len(names) < 2:
        return Disparity(value=Metric(value=None, reason=f"{len(names)} group to compare; 2 would do"))
    for rate in definition.rates:
        if not counts[rate][1].all():
            without = names[int(np.argmin(counts[rate][1]))]
            return Disparity(
                value=Metric(value=None, reason=f"group {without} has no {_OF.get(rate, 'labelled rows')}")
            )
    rng = np.random.default_rng(_SEED)
    held = [(hits, of) for hits, of in (counts[rate] for rate in definition.rates)]
    pooled = [np.full(len(of), hits.sum() / of.sum()) for hits, of in held]
    values = [_apart((hits / of)[None], definition.ratio) for hits, of in held]
    worst = int(np.argmin(values) if definition.ratio else np.argmax(values))
    drawn = _worst([rng.binomial(of, hits / of, (draws, len(of))) / of for hits, of in held], definition.ratio)
    alike = _worst(
        [rng.binomial(of, p, (draws, len(of))) / of for p, (_, of) in zip(pooled, held, strict=True)], definition.ratio
    )
    low, high = np.quantile(drawn, _TAILS)
    shares = held[worst][0] / held[worst][1]
    value = float(values[worst][0])
    return Disparity(
        value=Metric(value=value, low=min(float(low), value), high=max(float(high), value)),
        by_chance=float(np.quantile(alike, 0.05 if definition.ratio else 0.95)),
        ratio=definition.ratio, lowest=names[int(shares.argmin())], highest=names[int(shares.argmax())],
    )  # fmt: skip


def _worst(by_rate: Sequence[Floats], ratio: bool) -> Floats:
    apart = [_apart(shares, ratio) for shares in by_rate]
    found: Floats = np.minimum.reduce(apart) if ratio else np.maximum.reduce(apart)
    return found


def _apart(shares: Floats, ratio: bool) -> Floats:
    """Per draw, shape (draws, groups): greatest less least, or least over greatest (1 where all are 0)."""
    low, high = shares.min(axis=1), shares.max(axis=1)
    if not ratio:
        return np.asarray(high - low)
    ratios: Floats = np.divide(low, high, out=np.ones(len(low)), where=high > 0)
    return ratios


def error_rates(groups: Ints, n: int, error: Floats) -> list[dict[str, Metric]]:
    """mean_error and mae of each group, in the target's unit. error : prediction - label, NaN without a label."""
    return [{"mean_error": mean(values), "mae": mean(np.abs(values))} for values in _by_group(groups, n, error)]


def error_disparities(groups: Ints, names: Sequence[str], error: Floats, draws: int = DRAWS) -> dict[str, Disparity]:
    """mean_error_difference and mae_difference: greatest less least mean of a group.

    The band by draws from the normal law of each mean; by_chance as if all groups had the mean of all rows.
    """
    values = _by_group(groups, len(names), error)
    told: dict[str, Callable[[Floats], Floats]] = {"mean_error_difference": np.asarray, "mae_difference": np.abs}
    return {name: _mean_gap([measure(v) for v in values], names, draws) for name, measure in told.items()}


def _mean_gap(values: Sequence[Floats], names: Sequence[str], draws: int) -> Disparity:
    few = min((len(v) for v in values), default=0)
    if len(names) < 2 or few < 2:
        reason = f"{few} labelled rows in the smallest of {len(names)} groups; 2 in each of 2 would do"
        return Disparity(value=Metric(value=None, reason=reason))
    means = np.array([v.mean() for v in values])
    spread = np.array([v.std(ddof=1) / np.sqrt(len(v)) for v in values])
    noise = np.random.default_rng(_SEED).normal(size=(draws, len(values))) * spread
    value = float(np.ptp(means))
    low, high = np.quantile(np.ptp(means + noise, axis=1), _TAILS)
    return Disparity(
        value=Metric(value=value, low=min(float(low), value), high=max(float(high), value)),
        by_chance=float(np.quantile(np.ptp(noise, axis=1), 0.95)),
        lowest=names[int(means.argmin())], highest=names[int(means.argmax())],
    )  # fmt: skip


def _by_group(groups: Ints, n: int, error: Floats) -> list[Floats]:
    known = ~np.isnan(error)
    return [error[known & (groups == g)] for g in range(n)]


def judge_fairness(found: Mapping[str, Disparity], rule: FairnessRule = FOUR_FIFTHS) -> FairnessVerdict:
    """Whether every bound is kept. A gap that chance alone would make is no breach."""
    bounds = [(name, bound, False) for name, bound in (rule.most or {}).items()]
    bounds += [(name, bound, True) for name, bound in (rule.least or {}).items()]
    for name, bound, least in bounds:
        disparity = found.get(name)
        if disparity is None or disparity.value.value is None:
            why = f"{name} is not measured" if disparity is None else disparity.value.reason
            return FairnessVerdict(fair=None, reason=f"{_words(name)} cannot be said: {why}.")
        value = disparity.value.value
        if (value < bound if least else value > bound) and disparity.beyond_chance:
            side = "at least" if least else "at most"
            return FairnessVerdict(
                fair=False,
                reason=f"{_words(name)} is {value:.3f}; the rule asks for {side} {bound:.3f} "
                f"(lowest {disparity.lowest}, highest {disparity.highest}).",
            )
    return FairnessVerdict(fair=True, reason="Every bound is kept.")


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()

"""Impact: what the drift of each feature costs in the model's own metric, and what no single feature explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, standard_error
from pilothouse.data.measures.day_parts import DayParts
from pilothouse.data.measures.drift import LEAST_ROWS
from pilothouse.data.measures.feature_drift import measure_psi
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.reweighting import Judge, Judged, Support, support
from pilothouse.data.measures.together import design_effect, variance_of_sums
from pilothouse.data.rollups.bins import NumberBins
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window

KIND = "estimated"
LEAST_EFFECTIVE, LOW_SHARE = 100, 0.1
"""Reference rows that the weighted ones are worth: fewer say nothing; a share of them below the second is low support."""
MOST_UNSUPPORTED, MUCH_UNSUPPORTED = 0.5, 0.1
"""Share of the window beyond the reference: more than the first, and nothing is said; above the second it is told."""
HIGHER_IS_BETTER = frozenset({"roc_auc", "accuracy"})


class Verdict(StrEnum):
    """What is known of a feature's effect, in the order in which features are ranked."""

    COSTS = "costs"
    UNCLEAR = "unclear"
    GAINS = "gains"
    UNSAID = "not said"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureImpact:
    """What the drift of one feature alone does to the metric.

    effect : change of the metric on the reference had this feature alone drifted, with what moves along with it there.
    loss : the same in the direction that is worse; None where it cannot be said. sure_loss : the end of its band
    that is nearer to 0, by which what surely costs is ranked. psi : nats, beside it.
    effective_share : Kish's, 0 to 1, of the reference rows. unsupported : share of the window's rows whose value no
    reference row has. note : what weakens the estimate, in words.
    """

    name: str
    kind: Kind
    rows: int
    effect: Metric
    loss: float | None = None
    sure_loss: float = 0.0
    verdict: Verdict = Verdict.UNSAID
    psi: float | None = None
    effective_share: float | None = None
    unsupported: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The effects of all features. summed : their sum. remainder : the realized change less that sum."""

    reference: Metric
    change: Metric
    features: tuple[FeatureImpact, ...]
    summed: Metric
    remainder: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Drift over a window ranked by what it costs.

    rows : of the window. reference_rows : labelled ones, that the metric was measured on. reference, realized : the
    metric on them, and on the version's own labelled answers of the window; change : the latter less the former.
    answered : share of the window's rows that the version answered. labelled, mature : as in Performance.
    features : what costs most first. remainder : the part of the change that the features' effects, added up, leave.
    unshown : the sentence that says what is left out. reason : why nothing can be said; empty when something can.
    """

    model: str
    version: int
    window: Window
    metric: str
    rows: int
    reference_rows: int
    reference: Metric
    realized: Metric
    change: Metric
    features: tuple[FeatureImpact, ...]
    summed: Metric
    remainder: Metric
    answered: float | None = None
    labelled: int = 0
    mature: bool = True
    unshown: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shift:
    """One feature of the reference rows, and how the window has it.

    codes : shape (reference rows,): the slot of each. current : int64, shape (slots,): the window's rows by slot.
    ordered : how many of the slots, the first, are numbers in rising order. buckets : int64, shape (buckets, slots):
    the window's rows told apart by day, the same days for each feature; None where rows are taken one by one.
    """

    name: str
    kind: Kind
    codes: Ints
    current: Ints
    ordered: int
    psi: float | None
    buckets: Ints | None = None

    @classmethod
    def of(
        cls, name: str, profile: FeatureProfile, values: pl.Series, current: Ints, buckets: Ints | None = None
    ) -> Shift:
        """values : of the reference rows, in the order of the judge's."""
        return cls(
            name=name,
            kind=profile.kind,
            codes=profile.bins.codes(values),
            current=current,
            ordered=profile.bins.missing if isinstance(profile.bins, NumberBins) else 0,
            psi=measure_psi(profile, current),
            buckets=buckets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What rows of a day, which share something, do to bands. by : "days", "hours" or "weeks" of the window's rows.

    reference : by what factor they make the variance of the metric on the reference larger, as the window's labels tell.
    rows : of the reference in a day.
    """

    reference: float = 1.0
    rows: float = 1.0
    by: str = "rows"

    @classmethod
    def by_labels(cls, shown: Metric, rows: float, reference_rows: float) -> Together:
        """As the metric of the window's labelled rows tells it, with so many of them in a day, of the reference's so many."""
        return cls(
            reference=design_effect(shown.wider**2, rows, reference_rows), rows=reference_rows, by=shown.by
        )  # fmt: skip

    def of_rows(self, influence: Floats, alike: float = 1.0) -> _Variance:
        """Variance of a value from the influence of the reference rows that it rests on.

        alike : how alike the weights of rows of a day are, by which they count: what moves all rows of a day moves the
        metric, but not its change where each day's rows weigh as much as before.
        """
        return self.of_variance(_by_rows(influence), alike)

    def of_variance(self, alone: float, alike: float) -> _Variance:
        """The same from the variance by rows."""
        return _Variance(alone * (1 + (self.reference - 1) * alike), alone)

    def of_features(self, influence: Floats, days: DayParts | None, alike: float) -> _Variance:
        """The same where days tell what rows have in common in their features: that counts whatever their weights are."""
        if days is None:
            return self.of_rows(influence, alike)
        common, n = days.common(influence), len(influence)
        whole = _by_rows(influence)
        shared = max(0.0, self.rows - 1) * common.covariance / n
        rest = self.of_variance(max(0.0, whole - common.told / n), alike)
        return _Variance(whole + shared + rest.together - rest.alone, whole)

    def metric(self, value: float, variance: _Variance, kind: str = KIND) -> Metric:
        half = Z * math.sqrt(variance.together)
        wider = math.sqrt(variance.together / variance.alone) if variance.alone > 0 else 1.0
        return Metric(value=value, low=value - half, high=value + half, kind=kind, by=self.by, wider=wider)


ALONE = Together()


def measure_effects(
    metric: str, judge: Judge, shifts: Sequence[Shift], rows: int, realized: Metric, together: Together = ALONE
) -> Effects:
    """The effect of each feature's drift on `metric`, and the remainder.

    judge : holds the reference rows. rows : how many there are, at least one. realized : the metric of the window.
    together : what the rows of a day do to the bands.
    For each feature the reference rows are weighted by current share / reference share of their slot, and the metric is
    measured again. Bands are 95 %, normal, by the delta method over both samples: the reference's rows and the window's.
    Source of the weights: Horvitz and Thompson (1952); of poststratified variances: Holt and Smith (1979).
    """
    base = judge.judge(np.ones(rows))
    if base is None:
        nothing = Metric(value=None, kind=KIND, reason="the reference rows cannot say this metric: one class alone")
        return Effects(reference=nothing, change=nothing, features=(), summed=nothing, remainder=nothing)
    ledger = _Ledger(base, together, DayParts.of(shifts))
    features = [_effect(metric, judge, shift, base, ledger) for shift in shifts]
    reference = together.metric(base.value, together.of_rows(base.influence), "realized")
    return Effects(
        reference=reference,
        change=_change(together, realized, reference),
        features=tuple(sorted(features, key=_rank)),
        summed=ledger.summed(),
        remainder=ledger.remainder(realized),
    )


@dataclass(frozen=True, slots=True)
class _Variance:
    """Variance of a value: with rows that go together taken so, and with each row taken by itself."""

    together: float
    alone: float

    def __add__(self, other: _Variance) -> _Variance:
        return _Variance(self.together + other.together, self.alone + other.alone)


class _Ledger:
    """Adds effects up, with the influence of each reference row, of each slot's rows and of each day on the sum."""

    def __init__(self, base: Judged, together: Together, days: DayParts | None) -> None:
        self.together, self._days = together, days
        self._base, self._total = base, 0.0
        self._of_reference, self._of_window = np.zeros_like(base.influence), np.zeros_like(base.influence)
        self._of_buckets: Floats | None = None
        self._rows: int | None = None
        self._alike = 0.0

    def enter(self, effect: float, of_reference: Floats, by_slot: Floats, known: Support, shift: Shift) -> _Variance:
        """Adds one effect; returns its variance.

        of_reference : influence of each reference row on it. by_slot : that of a row of the window, float64, (slots,).
        """
        self._total += effect
        self._of_reference += of_reference
        self._of_window += by_slot[shift.codes]
        self._rows = known.rows if self._rows is None else min(self._rows, known.rows)
        spread = max(0.0, float(known.shares @ by_slot**2) - float(known.shares @ by_slot) ** 2) / known.rows
        if shift.buckets is None:
            self._alike = 1.0
            return self.together.of_rows(of_reference) + _of_window(spread, None)
        of_buckets = known.by_bucket(by_slot, shift.buckets)
        self._of_buckets = of_buckets if self._of_buckets is None else self._of_buckets + of_buckets
        alike = known.alike(known.ratios, shift.buckets)
        self._alike = max(self._alike, alike)
        return self.together.of_features(of_reference, self._days, alike) + _of_window(spread, of_buckets)

    def summed(self) -> Metric:
        if self._rows is None:
            return Metric(value=None, kind=KIND, reason="no feature's effect can be said")
        of_reference = self.together.of_features(self._of_reference, self._days, self._alike)
        return self.together.metric(self._total, of_reference + self._joint())

    def remainder(self, realized: Metric) -> Metric:
        if realized.value is None or self._rows is None:
            return Metric(value=None, kind=KIND, reason=realized.reason or "no feature's effect can be said")
        rest = realized.value - self._base.value - self._total
        variance = _variance_of(realized)
        if variance is None:
            return Metric(value=rest, kind=KIND, reason="the realized metric has no band, so this has none")
        both = self.together.of_rows(self._of_reference + self._base.influence)
        return self.together.metric(rest, variance + both + self._joint())

    def _joint(self) -> _Variance:
        """Variance of the sum by the window's rows; how features go together in a row is taken from the reference."""
        return _of_window(float(self._of_window.var()) / max(self._rows or 1, 1), self._of_buckets)


def _effect(metric: str, judge: Judge, shift: Shift, base: Judged, ledger: _Ledger) -> FeatureImpact:
    rows = int(shift.current.sum())
    found = FeatureImpact(
        name=shift.name, kind=shift.kind, rows=rows, psi=shift.psi, effect=Metric(value=None, kind=KIND)
    )
    if rows < LEAST_ROWS:
        return _silent(found, f"too few rows: {rows:,}; {LEAST_ROWS:,} would do" if rows else "no rows in this window")
    known = support(np.bincount(shift.codes, minlength=len(shift.current)), shift.current, shift.ordered)
    found = replace(found, unsupported=known.unsupported, effective_share=known.effective_share)
    if why := _beyond(known, rows=len(shift.codes)):
        return _silent(found, why)
    weights = known.ratios[shift.codes]
    moved = judge.judge(weights)
    if moved is None:
        return _silent(found, "the reference rows that are like this window's are of one class alone")
    effect = ledger.together.metric(*_entered(moved, weights, shift, known, base, ledger))
    value = effect.value or 0.0
    return replace(
        found,
        effect=effect,
        loss=(loss := -value if metric in HIGHER_IS_BETTER else value),
        sure_loss=(sure := _sure(loss, effect)),
        verdict=Verdict.COSTS if sure > 0 else Verdict.GAINS if sure < 0 else Verdict.UNCLEAR,
        note=_note(known, len(weights)),
    )


def _entered(
    moved: Judged, weights: Floats, shift: Shift, known: Support, base: Judged, ledger: _Ledger
) -> tuple[float, _Variance]:
    """The effect and its variance; both are entered in the ledger."""
    codes = shift.codes
    by_slot = np.bincount(codes, weights=moved.influence, minlength=len(known.counts)) / np.maximum(known.counts, 1)
    # Of a slot with one row nobody knows how far its rows lie apart: it is taken as one draw from all of them.
    alone = known.counts < 2
    spread = np.sqrt(np.where(alone, 1.0, known.counts / np.maximum(known.counts - 1, 1)))
    middle = np.where(alone, 0.0, by_slot)
    of_reference = weights * (moved.influence - middle[codes]) * spread[codes] - base.influence
    effect = moved.value - base.value
    return effect, ledger.enter(effect, of_reference, by_slot, known, shift)


def _by_rows(influence: Floats) -> float:
    """Variance of a value from the influence of the rows that it rests on, each taken by itself."""
    # Not `@`, which shares out so short a product among threads: on a busy machine they wait for each other.
    return float((influence**2).sum()) / len(influence) ** 2


def _of_window(alone: float, of_buckets: Floats | None) -> _Variance:
    """alone : variance by the window's rows one by one. of_buckets : what each day of them adds; None where not known."""
    return _Variance(alone if of_buckets is None else max(alone, variance_of_sums(of_buckets)), alone)


def _variance_of(metric: Metric) -> _Variance | None:
    error = standard_error(metric)
    return None if error is None else _Variance(error**2, (error / metric.wider) ** 2)


def _change(together: Together, realized: Metric, reference: Metric) -> Metric:
    if realized.value is None or reference.value is None:
        return Metric(value=None, reason=realized.reason)
    now, before = _variance_of(realized), _variance_of(reference)
    if now is None or before is None:
        return Metric(value=realized.value - reference.value, reason="the realized metric has no band")
    return together.metric(realized.value - reference.value, now + before, "realized")


def _silent(found: FeatureImpact, reason: str) -> FeatureImpact:
    return replace(found, effect=Metric(value=None, kind=KIND, reason=reason), note=reason)


def _sure(loss: float, effect: Metric) -> float:
    """The end of the loss's band that is nearer to 0; 0 where the band holds it."""
    half = (standard_error(effect) or 0.0) * Z + np.finfo(float).eps
    return math.copysign(max(0.0, abs(loss) - half), loss)


def _beyond(known: Support, rows: int) -> str:
    """Why the reference cannot speak for the window; empty when it can."""
    if known.unsupported > MOST_UNSUPPORTED:
        return f"{known.unsupported:.0%} of the window has values that no reference row has"
    effective = known.effective_share * rows
    if effective < LEAST_EFFECTIVE:
        return f"too few reference rows are like the window's: worth {effective:,.0f}; {LEAST_EFFECTIVE} would do"
    return ""


def _note(known: Support, rows: int) -> str:
    share, said = known.effective_share, []
    if known.unsupported > MUCH_UNSUPPORTED:
        said.append(f"{known.unsupported:.0%} of the window has values that no reference row has")
    if share < LOW_SHARE:
        said.append(f"low support: rests on the weight of {share * rows:,.0f} of {rows:,} reference rows")
    return "; ".join(said)


def _rank(found: FeatureImpact) -> tuple[int, float, float, str]:
    """What surely costs comes first, by what it costs at least; then what may be chance; then what surely helps.

    Of what cannot be said, the farthest from the reference comes first.
    """
    value = found.psi if found.verdict is Verdict.UNSAID else found.loss
    return list(Verdict).index(found.verdict), -found.sure_loss, -(value or 0.0), found.name

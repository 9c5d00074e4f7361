"""Whether a model needs somebody: rules over facts, each giving its value, its threshold and one true sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pilothouse.data.history.results import FeatureDrift, Health, Metric, Reason, State
from pilothouse.data.measures.objective import Kept
from pilothouse.data.measures.power import gap_and_allowance
from pilothouse.data.policies import WatchTerms
from pilothouse.data.windows import Window

_ORDER = list(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """Thresholds of all rules. Where no source is named they are our own, chosen on a year of real flights."""

    recent: timedelta = timedelta(days=28)
    """Span whose performance is judged: four whole weeks, so that weekdays weigh the same in every span."""
    look_back: timedelta = timedelta(weeks=26)
    """How far back the best stretch is looked for: half a year, so that last year's season does not set the mark."""
    least_labelled: int = 500
    """Labelled rows below which a span is not judged."""
    auc_drop_critical: float = 0.03
    auc_drop_watch: float = 0.015
    auc_below_reference: float = 0.02
    calibration_low: float = 0.8
    calibration_high: float = 1.25
    """Mean score over positive rate: beyond these it promises a quarter more, or a fifth less, than comes true."""
    drift_span: timedelta = timedelta(days=14)
    drifted_psi: float = 0.2
    """Siddiqi (2006): a population that has changed."""
    coverage_share: float = 0.5
    silent_for: timedelta = timedelta(hours=24)
    agreed: WatchTerms | None = None
    """How performance is watched where a plan was agreed on; see `HealthRules.by`."""

    @classmethod
    def by(cls, terms: WatchTerms | None) -> HealthRules:
        """The usual rules, with the span and the margin of a plan where there is one."""
        return cls() if terms is None else cls(recent=timedelta(days=terms.days), agreed=terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Performance over one span."""

    window: Window
    labelled: int
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the rules look at.

    recent : the newest span of `HealthRules.recent`. past : spans as long that end before it starts, newest first.
    reference : metrics of the reference rows. drift : features over `drift_span`.
    coverage, usual_coverage : labelled share of mature rows, lately and before; None where there are no such rows.
    last_prediction : None when nothing was ever logged. active_days : days with rows among the eight that end with it.
    zone : in which the sentences name days. kept : how its latency objective was kept lately; None without one.
    """

    now: datetime
    zone: ZoneInfo
    recent: Stretch | None
    past: tuple[Stretch, ...]
    reference: dict[str, Metric]
    drift: tuple[FeatureDrift, ...]
    coverage: float | None
    usual_coverage: float | None
    last_prediction: datetime | None
    active_days: int
    kept: Kept | None = None


HEALTH_RULES = HealthRules()


def judge(facts: Facts, rules: HealthRules = HEALTH_RULES) -> Health:
    """The state of a model: that of its worst reason; healthy without one, no data while nothing was ever logged."""
    if facts.last_prediction is None:
        sentence = "No prediction has been logged yet"
        return Health(
            state=State.NO_DATA, reasons=(_reason("traffic", State.NO_DATA, None, None, sentence, "Send one"),)
        )
    found = [reason for rule in _ALL for reason in rule(facts, rules)]
    if not found and (facts.recent is None or facts.recent.labelled < rules.least_labelled):
        found = [_too_few_labels(facts.recent, rules)]
    reasons = tuple(sorted(found, key=lambda reason: _ORDER.index(reason.state)))
    return Health(state=reasons[0].state if reasons else State.HEALTHY, reasons=reasons)


def auc_decay(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span ranks worse than the model's own best; where the 95 % bands are apart, chance is no excuse."""
    past = [s for s in facts.past if _judged(s, rules) and s.window.start >= facts.now - rules.look_back - rules.recent]
    if not _judged(facts.recent, rules) or not past:
        return
    recent = facts.recent
    assert recent is not None
    best = max(past, key=lambda stretch: _auc(stretch).value or 0.0)
    now, then = _auc(recent), _auc(best)
    if now.value is None or then.value is None or now.high is None or then.low is None:
        return
    drop = then.value - now.value
    if drop >= rules.auc_drop_critical and now.high < then.low:
        state, limit = State.CRITICAL, rules.auc_drop_critical
    elif drop >= rules.auc_drop_watch and (rules.agreed is None or now.high < then.low):
        # The best of many short spans lies high by chance; a plan's false alarms are counted, so that must not be one.
        state, limit = State.WATCH, rules.auc_drop_watch
    else:
        return
    sentence = (
        f"ROC AUC {now.value:.3f} over the last {_days(rules.recent)} days, {drop:.3f} below its best {_days(rules.recent)} "
        f"days ({then.value:.3f}, {_span(best.window, facts.zone)}); the rule allows {limit:g}"
    )
    yield _reason("auc_decay", state, drop, limit, sentence, "Retrain")


def auc_below_reference(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span ranks worse than the model did on the rows it was accepted on."""
    if rules.agreed is not None:
        return
    expected = facts.reference.get("roc_auc")
    if not _judged(facts.recent, rules) or facts.recent is None or expected is None:
        return
    now = _auc(facts.recent)
    if now.value is None or now.high is None or expected.value is None or expected.low is None:
        return
    gap = expected.value - now.value
    if gap >= rules.auc_below_reference and now.high < expected.low:
        sentence = (
            f"ROC AUC {now.value:.3f} over the last {_days(rules.recent)} days, {gap:.3f} below its reference "
            f"({expected.value:.3f}); the rule allows {rules.auc_below_reference:g}"
        )
        yield _reason("auc_reference", State.CRITICAL, gap, rules.auc_below_reference, sentence, "Retrain")


def agreed_watch(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span does worse than the reference by more standard errors than the plan allows."""
    terms = rules.agreed
    now = None if terms is None or facts.recent is None else facts.recent.metrics.get(terms.metric)
    found = None if terms is None or now is None else gap_and_allowance(now, terms)
    if terms is None or now is None or found is None:
        return
    gap, allowed = found
    if gap > allowed:
        sentence = (
            f"{terms.metric} {now.value:.3f} over the last {terms.days} days, {gap:.3f} worse than on the reference "
            f"({terms.expected:.3f}); the plan allows {allowed:.3f}, {terms.margin:.1f} standard errors"
        )
        yield _reason("plan", State.CRITICAL, gap, allowed, sentence, "Retrain")


def calibration(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """Its scores promise clearly more, or fewer, positives than came true."""
    if not _judged(facts.recent, rules) or facts.recent is None:
        return
    said, came = facts.recent.metrics["mean_score"], facts.recent.metrics["positive_rate"]
    if said.value is None or not came.value or came.low is None or came.high is None:
        return
    ratio = said.value / came.value
    inside = rules.calibration_low <= ratio <= rules.calibration_high
    if inside or came.low <= said.value <= came.high:
        return
    limit = rules.calibration_high if ratio > 1 else rules.calibration_low
    sentence = (
        f"It predicts {said.value:.0%} positives over the last {_days(rules.recent)} days, {came.value:.0%} came true: "
        f"{ratio:.2f} times as many; the rule allows {limit:g}"
    )
    yield _reason("calibration", State.WATCH, ratio, limit, sentence, "Retrain")


def drift(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """Inputs have moved. Alone that is never critical: what matters is whether the model still ranks well."""
    moved = [f for f in facts.drift if f.psi is not None and _has_drifted(f.psi, f.threshold, rules)]
    if moved:
        worst = max(moved, key=lambda f: f.psi or 0.0)
        sentence = (
            f"{len(moved)} of {len(facts.drift)} features have drifted over the last {_days(rules.drift_span)} days, "
            f"{worst.name} the most (PSI {worst.psi:.2f}); {_counts_from(worst.threshold, rules)} counts"
        )
        limit = rules.drifted_psi if worst.threshold is None else worst.threshold
        yield _reason("drift", State.WATCH, worst.psi, limit, sentence, "Look at the drift")


def _has_drifted(psi: float, threshold: float | None, rules: HealthRules) -> bool:
    return psi >= rules.drifted_psi if threshold is None else psi > threshold


def _counts_from(threshold: float | None, rules: HealthRules) -> str:
    if threshold is None:
        return f"{rules.drifted_psi:g} and more"
    return f"what is above its calibrated threshold, {threshold:.2g},"


def labels(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """Labels that were due have not come as they used to, so performance speaks for fewer rows."""
    if facts.coverage is None or not facts.usual_coverage:
        return
    limit = rules.coverage_share * facts.usual_coverage
    if facts.coverage < limit:
        sentence = (
            f"{facts.coverage:.0%} of the rows whose labels are due have one, {facts.usual_coverage:.0%} before; "
            f"the rule allows {limit:.0%}"
        )
        yield _reason("labels", State.WATCH, facts.coverage, limit, sentence, "Look at the label feed")


def traffic(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """Predictions have stopped although they came every day."""
    if facts.last_prediction is None or facts.active_days < 7:
        return
    silent = facts.now - facts.last_prediction
    if silent > rules.silent_for:
        hours, limit = silent / timedelta(hours=1), rules.silent_for / timedelta(hours=1)
        sentence = (
            f"No prediction for {hours:,.0f} hours, after a week with some every day; the rule allows {limit:.0f}"
        )
        yield _reason("traffic", State.WATCH, hours, limit, sentence, "Look at the callers")


def latency(facts: Facts, _rules: HealthRules) -> Iterator[Reason]:
    """Callers wait longer than was agreed."""
    kept = facts.kept
    if kept is not None and kept.missed:
        asked = kept.objective
        sentence = (
            f"{kept.share:.2%} of {kept.requests:,} requests of the last {_lately(kept.window.length)} were answered within "
            f"{asked.within_ms:g} ms; the objective asks for {asked.share * 100:g}%"
        )
        yield _reason("latency", State.WATCH, kept.share, asked.share, sentence, "Look at the latency")


_ALL: tuple[Callable[[Facts, HealthRules], Iterator[Reason]], ...] = (
    auc_decay,
    auc_below_reference,
    agreed_watch,
    calibration,
    drift,
    labels,
    traffic,
    latency,
)


def _reason(rule: str, state: State, value: float | None, threshold: float | None, sentence: str, act: str) -> Reason:
    return Reason(rule=rule, state=state, value=value, threshold=threshold, sentence=sentence, act=act)


def _judged(stretch: Stretch | None, rules: HealthRules) -> bool:
    return stretch is not None and stretch.labelled >= rules.least_labelled and "roc_auc" in stretch.metrics


def _auc(stretch: Stretch) -> Metric:
    return stretch.metrics["roc_auc"]


def _too_few_labels(stretch: Stretch | None, rules: HealthRules) -> Reason:
    labelled = stretch.labelled if stretch else 0
    sentence = (
        f"Too few labelled rows to say, in the last {_days(rules.recent)} days whose labels are due: {labelled:,}; "
        f"{rules.least_labelled:,} would do"
    )
    return _reason("labels", State.NO_DATA, labelled, rules.least_labelled, sentence, "Send labels")


def _days(span: timedelta) -> int:
    return span // timedelta(days=1)


def _lately(span: timedelta) -> str:
    """
    >>> _lately(timedelta(hours=1)), _lately(timedelta(days=7))
    ('hour', '7 days')
    """
    return f"{_days(span)} days" if _days(span) else "hour"


def _span(window: Window, zone: ZoneInfo) -> str:
    first, last = window.start.astimezone(zone), (window.end - timedelta(microseconds=1)).astimezone(zone)
    return f"{first.day} {first:%B} to {last.day} {last:%B}"

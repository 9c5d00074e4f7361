"""Whether a model needs somebody: rules over facts, each giving its value, its threshold and one true sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pilothouse.data.history.results import FeatureDrift, Health, Metric, Reason, State
from pilothouse.data.measures.objective import Kept
from pilothouse.data.measures.power import gap_and_allowance
from pilothouse.data.measures.together import of_rows
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
    drop_critical: float = 0.03
    drop_watch: float = 0.015
    below_reference: float = 0.02
    """Of ROC AUC, and of accuracy; of an error five times as much, as a share of it: see `Yardstick`."""
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
_NOTHING = Metric(value=None)
_MEET = ". The two bands meet, so it may be chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """The metric by which models of a task are judged.

    rule : begins the names of its rules. high_is_good : ROC AUC and accuracy are compared by their difference, an
    error by the share that it has grown by. scale : what margins are multiplied by: a tenth of an error is worth what
    0.02 of ROC AUC is, as in plans. in_percent : it is written as a share. act : what to do next.
    """

    metric: str
    title: str
    rule: str
    act: str
    high_is_good: bool = True
    scale: float = 1.0
    in_percent: bool = False

    @property
    def beyond(self) -> str:
        return "below" if self.high_is_good else "above"

    def goodness(self, metrics: Mapping[str, Metric]) -> float:
        """The higher, the better; lowest where there is no value."""
        value = metrics.get(self.metric, _NOTHING).value
        return -math.inf if value is None else value if self.high_is_good else -value

    def worse_by(self, now: Metric, then: Metric) -> float | None:
        """By how much `now` is worse; None where one has no value or no band, or an error of 0 cannot grow by a share."""
        if now.value is None or then.value is None or now.high is None or then.high is None:
            return None
        if self.high_is_good:
            return then.value - now.value
        return now.value / then.value - 1 if then.value > 0 else None

    def apart(self, now: Metric, then: Metric) -> bool:
        """Whether the two 95 % bands do not meet, `now` being the worse one."""
        worse, better = (now, then) if self.high_is_good else (then, now)
        return worse.high is not None and better.low is not None and worse.high < better.low

    def surely_worse(self, now: Metric, then: Metric) -> bool:
        """Whether `now` is worse by more than the 95 % band of the difference of two samples. Source: Zou and Donner (2008)."""
        lower, upper = (now, then) if self.high_is_good else (then, now)
        if lower.value is None or lower.high is None or upper.value is None or upper.low is None:
            return False
        return upper.value - lower.value > math.hypot(lower.high - lower.value, upper.value - upper.low)

    def said(self, metric: Metric) -> str:
        return f"{self.title} {self.figure(metric.value)}"

    def figure(self, value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}" if self.in_percent else _figure(value)

    def difference(self, amount: float) -> str:
        """A difference of two values, in the metric's own unit."""
        return f"{100 * amount:.1f} pp" if self.in_percent else _figure(amount)

    def share(self, amount: float, form: str = ".3f") -> str:
        """How much worse it is: by how much it has fallen, or by what share an error has grown."""
        if not self.high_is_good:
            return f"{amount:.1%}"
        return self.difference(amount) if self.in_percent else f"{amount:{form}}"


_RANKING = Yardstick(metric="roc_auc", title="ROC AUC", rule="auc", act="Retrain")
YARDSTICKS = (
    _RANKING,
    Yardstick(metric="accuracy", title="Accuracy", rule="accuracy", act="Look at its segments", in_percent=True),
    Yardstick(
        metric="mae", title="Mean absolute error", rule="mae", act="Look at its segments", high_is_good=False, scale=5.0
    ),
)
"""By task; a model has the first of them that it is measured by. Only binary models can be retrained here so far."""


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


def decay(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span does worse than the model's own best; where the 95 % bands are apart, chance is no excuse."""
    recent, best = facts.recent, best_before(facts.past, facts.recent, facts.now, rules)
    yardstick = None if recent is None else _yardstick(recent.metrics)
    if recent is None or yardstick is None or best is None:
        return
    now, then = recent.metrics[yardstick.metric], best.metrics.get(yardstick.metric, _NOTHING)
    drop = yardstick.worse_by(now, then)
    if drop is None:
        return
    apart = yardstick.apart(now, then)
    critical, watch = yardstick.scale * rules.drop_critical, yardstick.scale * rules.drop_watch
    if drop >= critical and apart:
        state, limit = State.CRITICAL, critical
    elif drop >= watch and (apart or (rules.agreed is None and yardstick is _RANKING)):
        # The best of many short spans is good by chance; a plan's false alarms are counted, so that must not be one.
        state, limit = State.WATCH, watch
    else:
        return
    days = _days(rules.recent)
    sentence = (
        f"{yardstick.said(now)} over the last {days} days, {yardstick.share(drop)} {yardstick.beyond} its best {days} "
        f"days ({yardstick.figure(then.value)}, {_span(best.window, facts.zone)}); the rule allows {yardstick.share(limit, 'g')}"
        f"{'' if apart else _MEET}"
    )
    yield _reason(f"{yardstick.rule}_decay", state, drop, limit, sentence, yardstick.act)


def best_before(past: Sequence[Stretch], recent: Stretch | None, now: datetime, rules: HealthRules) -> Stretch | None:
    """The stretch that `recent` is held against; None where there is none, or `recent` itself is not judged."""
    known = [s for s in past if _judged(s, rules) and s.window.start >= now - rules.look_back - rules.recent]
    yardstick = None if recent is None else _yardstick(recent.metrics)
    if yardstick is None or not _judged(recent, rules) or not known:
        return None
    return max(known, key=lambda stretch: yardstick.goodness(stretch.metrics))


def worse_than_reference(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span does worse than the model did on the rows it was accepted on."""
    recent = facts.recent
    yardstick = None if recent is None else _yardstick(recent.metrics)
    if rules.agreed is not None or recent is None or yardstick is None or not _judged(recent, rules):
        return
    now, expected = recent.metrics[yardstick.metric], facts.reference.get(yardstick.metric, _NOTHING)
    gap, limit = yardstick.worse_by(now, expected), yardstick.scale * rules.below_reference
    if gap is not None and gap >= limit and yardstick.surely_worse(now, expected):
        apart = yardstick.apart(now, expected)
        sentence = (
            f"{yardstick.said(now)} over the last {_days(rules.recent)} days, {yardstick.share(gap)} {yardstick.beyond} "
            f"its reference ({yardstick.figure(expected.value)}); the rule allows {yardstick.share(limit, 'g')}"
            f"{'' if apart else _MEET}"
        )
        state = State.CRITICAL if apart else State.WATCH
        yield _reason(f"{yardstick.rule}_reference", state, gap, limit, sentence, yardstick.act)


def agreed_watch(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """The newest span does worse than the reference by more standard errors than the plan allows."""
    terms = rules.agreed
    now = None if terms is None or facts.recent is None else facts.recent.metrics.get(terms.metric)
    # A plan has its own notion of how alike rows of a day are, by which its false alarms were counted.
    found = None if terms is None or now is None else gap_and_allowance(of_rows(now), terms)
    if terms is None or now is None or found is None:
        return
    gap, allowed = found
    if gap > allowed:
        yardstick = next(y for y in YARDSTICKS if y.metric == terms.metric)
        sentence = (
            f"{yardstick.said(now)} over the last {terms.days} days, {yardstick.difference(gap)} worse than on the "
            f"reference ({yardstick.figure(terms.expected)}); the plan allows {yardstick.difference(allowed)}, "
            f"{terms.margin:.1f} standard errors"
        )
        yield _reason("plan", State.CRITICAL, gap, allowed, sentence, yardstick.act)


def calibration(facts: Facts, rules: HealthRules) -> Iterator[Reason]:
    """Its scores promise clearly more, or fewer, positives than came true."""
    if not _judged(facts.recent, rules) or facts.recent is None:
        return
    said, came = (facts.recent.metrics.get(name, _NOTHING) for name in ("mean_score", "positive_rate"))
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
    decay,
    worse_than_reference,
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
    return stretch is not None and stretch.labelled >= rules.least_labelled


def _yardstick(metrics: Mapping[str, Metric]) -> Yardstick | None:
    return next((yardstick for yardstick in YARDSTICKS if yardstick.metric in metrics), None)


def _figure(value: float) -> str:
    """
    >>> _figure(0.7214), _figure(130.0976)
    ('0.721', '130.1')
    """
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


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

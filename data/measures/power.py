"""How many labelled rows it takes to see a loss of performance, and how often chance alone looks like one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import standard_error
from pilothouse.data.policies import WatchTerms

DAYS_A_MONTH = 365.25 / 12
SPANS = (7, 14, 28, 56, 91, 182)
"""Spans offered, in days: whole weeks, so that weekdays weigh the same in each."""
ENOUGH_POWER = 0.8
LEAST_MARGIN = 1.645
"""Standard errors: with less an alarm would stand on more than one day of twenty although nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How a metric is watched over a moving span, once a day.

    days : of the span. rows : labelled rows in it. margin : by how many standard errors of the difference to the
    reference it must be worse before that is an alarm. threshold : the value at which that is so, with `rows` rows.
    power : chance that a full span of such a `loss` is an alarm. alarms : false ones expected in a month.
    """

    days: int
    rows: int
    loss: float
    margin: float
    threshold: float
    power: float
    alarms: float

    @property
    def sees(self) -> bool:
        """Whether the loss is seen as surely as asked for."""
        return self.power >= ENOUGH_POWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A metric on the reference. error : its standard error, above 0. rows : the labelled rows it rests on.

    wider : by what factor `error` is larger because rows of a day of the reference share something. together : by what
    factor that of a day of the traffic is, for the same reason.
    """

    metric: str
    value: float
    error: float
    rows: int
    high_is_good: bool = True
    wider: float = 1.0
    together: float = 1.0


def alarms_per_month(margin: float, days: int, shared: float = 0.0) -> float:
    """False alarms expected in a month, of a mean over the last `days` days that is looked at every day.

    An alarm begins on a day whose mean lies `margin` standard errors below what is expected, when the day before did
    not. Means of neighbouring days have days - 1 of their days in common, so they follow a bivariate normal law with
    correlation 1 - 1 / days. shared : part of the variance that is the same on all days, as the reference's own error is.
    Source: the discrete form of Rice (1944), the crossings of a level by a Gaussian process.

    >>> round(alarms_per_month(2.0, 1), 2), round(alarms_per_month(2.0, 28), 2)
    (0.68, 0.17)
    """
    from scipy.stats import multivariate_normal, norm

    together = shared + (1 - shared) * (1 - 1 / days)
    both = multivariate_normal.cdf([-margin, -margin], cov=[[1, together], [together, 1]])
    return float(DAYS_A_MONTH * max(0.0, norm.cdf(-margin) - both))


def margin_for(budget: float, days: int, shared: float = 0.0) -> float:
    """The least margin with which no more than `budget` false alarms a month are expected; see alarms_per_month.

    Never below LEAST_MARGIN, nor above eight standard errors, where chance has no part in it any more.
    """
    from scipy.optimize import brentq

    def beyond(margin: float) -> float:
        return alarms_per_month(margin, days, shared) - budget

    return LEAST_MARGIN if beyond(LEAST_MARGIN) <= 0 else float(brentq(beyond, LEAST_MARGIN, 8.0, xtol=1e-4))


def watch(expected: Expected, days: int, rows: int, loss: float, budget: float) -> Watch:
    """How well `rows` labelled rows in each span of `days` show a loss of `loss`, with `budget` false alarms a month.

    loss, budget : above 0. The variance of the metric falls with the number of rows, from what it is on the reference,
    and with that of days where rows of a day share something.
    """
    from scipy.stats import norm

    of_span = expected.error / expected.wider * expected.together * math.sqrt(expected.rows / rows)
    error = math.hypot(expected.error, of_span)
    shared = expected.error**2 / error**2
    margin = margin_for(budget, days, shared)
    worse = -1 if expected.high_is_good else 1
    return Watch(
        days=days,
        rows=rows,
        loss=loss,
        margin=margin,
        threshold=expected.value + worse * margin * error,
        power=float(norm.cdf(loss / error - margin)),
        alarms=alarms_per_month(margin, days, shared),
    )


def choose_span(
    expected: Expected, labelled_a_day: float, loss: float, budget: float, spans: Sequence[int] = SPANS
) -> Watch | None:
    """The shortest span that sees the loss with a power of 0.8; the one of most power where none does.

    labelled_a_day : labelled rows that come each day; None where not even the longest span would hold one.
    """
    held = [(days, int(labelled_a_day * days)) for days in spans if labelled_a_day * days >= 1]
    offered = [watch(expected, days, rows, loss, budget) for days, rows in held]
    return next((w for w in offered if w.sees), max(offered, key=lambda w: w.power, default=None))


def gap_and_allowance(now: Metric, terms: WatchTerms) -> tuple[float, float] | None:
    """By how much a metric is worse than the reference, and how much worse it may be; None where `now` has no band."""
    error = standard_error(now)
    if now.value is None or error is None:
        return None
    gap = (terms.expected - now.value) * (1 if terms.high_is_good else -1)
    return gap, terms.margin * math.hypot(error / now.wider * max(now.wider, terms.together), terms.error)


def terms_of(chosen: Watch, expected: Expected, budget: float) -> WatchTerms:
    """What is agreed on when a span is."""
    return WatchTerms(
        metric=expected.metric, days=chosen.days, margin=chosen.margin, expected=expected.value, error=expected.error,
        loss=chosen.loss, budget=budget, high_is_good=expected.high_is_good, together=expected.together,
    )  # fmt: skip

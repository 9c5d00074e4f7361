"""Thresholds of drift: calibrated from a model's own log or reference, agreed on, audited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadPolicy
from pilothouse.data.history.split import answered_rows, dense_counts
from pilothouse.data.history.takers import of_takers
from pilothouse.data.limits import Limit
from pilothouse.data.measures.drift import Counts
from pilothouse.data.measures.drift_thresholds import DriftThresholds, Null
from pilothouse.data.measures.false_alarms import Calibrated, calibrate_by_days, calibrate_by_rows
from pilothouse.data.rollups.plan import day_start, next_day
from pilothouse.data.rollups.profile import SCORE, STORED, FeatureProfile
from pilothouse.data.rollups.schema import Part
from pilothouse.data.state import audit, catalog
from pilothouse.data.windows import Window, parse_span
from pilothouse.ops.actors import Right, require
from pilothouse.ops.measuring.prediction import NAME as ANSWER
from pilothouse.ops.measuring.prediction import answers_by_day, answers_profile

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

BUDGET, WINDOW = "2 per month", "7d"
EARLY = timedelta(weeks=8)
"""The stretch of the log that is taken to be in order, unless another is named: its first eight weeks."""
_DAY, _LEAST_DAYS, _SPANS = timedelta(days=1), 21, 3
_BUDGET = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)(?: (?:per|a) month)?")
_LONGEST = timedelta(days=92)


def calibrate_drift(handle: ModelHandle, budget: str, window: str, baseline: str | Window | None) -> DriftThresholds:
    """Find thresholds that keep to the budget, and have drift judged by them from now on; audited.

    budget : false alarms a month over all features, the score and the answers together, such as "2 per month".
    window : the length that drift is looked at, in whole days. baseline : a stretch of the log in which nothing was
    wrong; None for its first eight weeks. Where the log holds less than three windows and 21 days of it, rows of the
    reference are drawn one by one instead.
    Raises BadPolicy, InvalidWindow, NotAllowed, QueryTooSlow.
    """
    _require(handle, "calibrate the drift thresholds of")
    wanted = DriftThresholds(per_month=parse_budget(budget), window=whole_days(window))
    with Limit(handle.house.settings.query_limit_s):
        span = _baseline(handle, wanted.window, baseline)
        found = _by_rows(handle, wanted) if span is None else _by_days(handle, wanted, span)
    agree(handle, found)
    return found


def agree(handle: ModelHandle, thresholds: DriftThresholds | None) -> None:
    """Have drift judged by these thresholds, or by the fixed marks for None. Raises NotAllowed."""
    _require(handle, "set the drift thresholds of")
    house = handle.house
    with house.state.write() as conn:
        before = catalog.get_model(conn, handle.name).drift_thresholds
        catalog.set_drift_thresholds(conn, handle.name, thresholds)
        details = {"from": _in_short(before), "to": _in_short(thresholds)}
        audit.append(
            conn, actor=house.actor.name, act="drift thresholds", target=handle.name, details=details, at=house.clock()
        )


def parse_budget(text: str) -> float:
    """False alarms a month. Raises BadPolicy.

    >>> parse_budget("2 per month"), parse_budget("0.5")
    (2.0, 0.5)
    """
    found = _BUDGET.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise BadPolicy("budget", text[:40], "false alarms a month, above 0, such as 2 or 0.5")
    return float(found[1])


def whole_days(text: str) -> timedelta:
    """A length of whole days. Raises BadPolicy, InvalidWindow."""
    length = parse_span(text)
    if length % _DAY or length > _LONGEST:
        raise BadPolicy("window", text[:40], f"whole days, from 1d to {_LONGEST.days}d, such as 7d or 4w")
    return length


def _baseline(handle: ModelHandle, length: timedelta, asked: str | Window | None) -> Window | None:
    """The whole days of the log to draw from; None where there are too few and nobody has named them."""
    if asked is not None:
        named = handle.window(asked) if isinstance(asked, str) else asked
        days = handle.history.steps(named, _DAY)
        if len(days) < max(_LEAST_DAYS, _SPANS * (length // _DAY)):
            least = max(_LEAST_DAYS, _SPANS * (length // _DAY))
            raise BadPolicy(
                "baseline", str(named), f"at least {least} whole days of the log for windows of this length"
            )
        return Window(days[0].start, days[-1].end)
    first, end = handle.prediction_log.bounds(), handle.data_end()
    if first is None or end is None:
        return None
    zone = handle.history.zone
    start = next_day(day_start(first[0], zone), zone)
    stop = day_start(min(end, start + EARLY), zone)
    return Window(start, stop) if stop - start >= max(_LEAST_DAYS * _DAY, _SPANS * length) else None


def _by_days(handle: ModelHandle, wanted: DriftThresholds, span: Window) -> DriftThresholds:
    days = handle.history.steps(span, _DAY)
    family = _family(handle)
    daily = _daily_counts(handle, family, days)
    weekdays = [day.start.astimezone(handle.history.zone).weekday() for day in days]
    length = wanted.window // _DAY
    found = calibrate_by_days(family, daily, weekdays, length, wanted.allowed)
    total = max((int(counts.sum()) for counts in daily.values()), default=0)
    return replace(
        _parted(wanted, found),
        null=Null.DAYS,
        baseline=str(span),
        rows=total * length // len(days),
        draws=found.draws,
        stretched=found.stretched,
    )


def _by_rows(handle: ModelHandle, wanted: DriftThresholds) -> DriftThresholds:
    end = handle.data_end()
    lately = None if end is None else Window(end - wanted.window, end)
    seen = 0 if lately is None else answered_rows(handle.history.count([lately], (Part.VOLUME,)))
    rows = seen or handle.profile.rows
    found = calibrate_by_rows(_family(handle), rows, wanted.allowed)
    return replace(_parted(wanted, found), null=Null.ROWS, rows=rows, draws=found.draws)


def _family(handle: ModelHandle) -> dict[str, FeatureProfile]:
    """All that can raise an alarm, by its column in the log: features, the score, and the answers."""
    features = {f"{STORED}{name}": feature for name, feature in handle.profile.features.items()}
    answers = {SCORE: handle.profile.score, ANSWER: answers_profile(handle)}
    return features | {name: profile for name, profile in answers.items() if profile is not None}


def _parted(wanted: DriftThresholds, found: Calibrated) -> DriftThresholds:
    features = {n.removeprefix(STORED): limits for n, limits in found.features.items() if n.startswith(STORED)}
    answers = {n: limits for n, limits in found.features.items() if not n.startswith(STORED)}
    return replace(wanted, features=features, answers=answers)


def _daily_counts(
    handle: ModelHandle, family: Mapping[str, FeatureProfile], days: list[Window]
) -> Mapping[str, Counts]:
    """Rows by day and slot of each of them; of a feature those of the versions that take it."""
    counts = handle.history.count(days, (Part.FEATURE, Part.SCORE))

    def daily(name: str, profile: FeatureProfile) -> Counts:
        if name == ANSWER:
            return answers_by_day(handle, profile, days)
        if name == SCORE:
            return dense_counts(counts, Part.SCORE, profile, len(days))[0]
        return dense_counts(of_takers(counts, profile, handle.signature), Part.FEATURE, profile, len(days))[0]

    return {name: daily(name, profile) for name, profile in family.items()}


def _require(handle: ModelHandle, act: str) -> None:
    require(handle.house.state, handle.house.actor, Right.OPERATOR, act, handle.name, handle.house.clock)


def _in_short(thresholds: DriftThresholds | None) -> dict[str, object] | None:
    """What the audit trail keeps: how they were made; the values themselves stand with the model."""
    if thresholds is None:
        return None
    told: dict[str, object] = {
        "per_month": thresholds.per_month,
        "window_days": thresholds.window // _DAY,
        "null": thresholds.null.value,
    }
    return told | {"baseline": thresholds.baseline, "draws": thresholds.draws, "stretched": thresholds.stretched}

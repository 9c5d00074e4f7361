"""What the rules of health look at, gathered from a model's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.results import TrendPoint
from pilothouse.data.history.split import answered_rows, by_point, labelled_rows
from pilothouse.data.measures.health import Facts, HealthRules, Stretch, best_before
from pilothouse.data.measures.objective import Kept
from pilothouse.data.rollups.plan import day_start, next_day
from pilothouse.data.rollups.schema import Part
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from pilothouse.data.history.history import History

_WEEK = timedelta(weeks=1)
_DAY = timedelta(days=1)
_USUAL = timedelta(weeks=4)


def gather_facts(
    history: History, now: datetime, version: int | None, rules: HealthRules, kept: Kept | None
) -> Facts:  # fmt: skip
    """The facts of `judge`, from whole business days up to the data's end; with `version`, of its own rows alone.

    Drift is that of all rows: what comes in is the same, whichever version answers, and a new one has answered few.
    Performance is judged on mature days alone: labels that come early are not like those that come late.
    kept : how the latency objective was kept lately.
    """
    end = history.data_end()
    stretches = () if end is None else _stretches(history, _mature_end(history, end), version, rules)
    recent, past = _by_days(history, stretches, now, version, rules)
    coverage, usual, active = (None, None, 0) if end is None else _feeds(history, end, version)
    return Facts(
        now=now,
        zone=history.zone,
        recent=recent,
        past=past,
        reference=history.profile.performance,
        drift=() if end is None else history.drift(Window(end - rules.drift_span, end)).features,
        coverage=coverage,
        usual_coverage=usual,
        last_prediction=history.watermark().data_to,
        active_days=active,
        kept=kept,
    )


def _mature_end(history: History, end: datetime) -> datetime:
    """The business day up to which all labels have had time to arrive."""
    return day_start(end - history.policy.horizon, history.zone)


def long_points(
    history: History, window: Window, length: timedelta, version: int | None = None
) -> tuple[TrendPoint, ...]:
    """Performance over every run of `length`, which is whole weeks, within the weeks of `window`, oldest first."""
    weeks, span = history.steps(window, _WEEK), _weeks(length)
    of_week = [rows for _, rows in by_point(history.count(weeks, (Part.VOLUME, Part.OUTCOME), version), weeks)]
    runs = [slice(first, first + span) for first in range(len(weeks) - span + 1)]
    return tuple(
        history.trend_point(pl.concat(of_week[run]), Window(weeks[run][0].start, weeks[run][-1].end), version)
        for run in runs
    )


def _stretches(history: History, end: datetime, version: int | None, rules: HealthRules) -> tuple[Stretch, ...]:
    """Performance over every run of `rules.recent`, in weekly steps back from `end`, newest first."""
    found = long_points(history, Window(end - rules.look_back - rules.recent, end), rules.recent, version)[::-1]
    return tuple(Stretch(window=point.window, labelled=point.labelled, metrics=point.metrics) for point in found)


def _by_days(
    history: History, stretches: Sequence[Stretch], now: datetime, version: int | None, rules: HealthRules
) -> tuple[Stretch | None, tuple[Stretch, ...]]:
    """The newest stretch and those before it; the two that are compared with bands that hold where days differ."""

    def together(stretch: Stretch) -> Stretch:
        apart = history.count_apart(stretch.window, version)
        return replace(stretch, metrics=apart.widen(stretch.metrics, history.signature))

    if not stretches:
        return None, ()
    recent, past = stretches[0], tuple(stretches[_weeks(rules.recent) :])
    best = best_before(past, recent, now, rules)
    return together(recent), tuple(together(one) if one is best else one for one in past)


def _feeds(history: History, end: datetime, version: int | None) -> tuple[float | None, float | None, int]:
    """Coverage of the newest mature week, that of the four before it, and on how many of the last eight days rows came."""
    due = _mature_end(history, end)
    newest, usual = Window(due - _WEEK, due), Window(due - _WEEK - _USUAL, due - _WEEK)
    last = next_day(day_start(end - timedelta(microseconds=1), history.zone), history.zone)
    days = history.steps(Window(last - _WEEK, last), _DAY)
    counts = history.count([newest, usual, *days], (Part.VOLUME, Part.OUTCOME), version)
    rows = [found for _, found in by_point(counts, [newest, usual, *days])]
    active = sum(1 for found in rows[2:] if answered_rows(found))
    return _coverage(rows[0]), _coverage(rows[1]), active


def _coverage(counts: pl.DataFrame) -> float | None:
    rows = answered_rows(counts)
    return labelled_rows(counts) / rows if rows else None


def _weeks(span: timedelta) -> int:
    return span // _WEEK

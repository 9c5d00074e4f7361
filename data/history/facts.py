"""What the rules of health look at, gathered from a model's history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.results import TrendPoint
from pilothouse.data.history.split import answered_rows, by_point, labelled_rows
from pilothouse.data.measures.health import Facts, HealthRules, Stretch
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
    coverage, usual, active = (None, None, 0) if end is None else _feeds(history, end, version)
    return Facts(
        now=now,
        zone=history.zone,
        recent=stretches[0] if stretches else None,
        past=tuple(stretches[_weeks(rules.recent) :]),
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


def _stretches(history: History, end: datetime, version: int | None, rules: HealthRules) -> tuple[Stretch, ...]:
    """Performance over every run of `rules.recent`, in weekly steps back from `end`, newest first."""
    span = _weeks(rules.recent)
    weeks = history.steps(Window(end - rules.look_back - rules.recent, end), _WEEK)[::-1]
    counts = history.count(weeks, (Part.VOLUME, Part.OUTCOME), version)
    of_week = [rows for _, rows in by_point(counts, weeks)]
    return tuple(
        _stretch(
            history, Window(weeks[first + span - 1].start, weeks[first].end), of_week[first : first + span], version
        )
        for first in range(len(weeks) - span + 1)
    )


def _stretch(history: History, window: Window, weeks: Sequence[pl.DataFrame], version: int | None) -> Stretch:
    point: TrendPoint = history.trend_point(pl.concat(weeks), window, version)
    return Stretch(window=window, labelled=point.labelled, metrics=point.metrics)


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

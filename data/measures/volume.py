"""The rows of each hour beside those of the same hour of past weeks, and how fresh the newest row is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np

from pilothouse.data.history.results import State
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.measures.quality import Volume, VolumeHour
from pilothouse.data.windows import Window

WEEKS, LEAST_WEEKS = 8, 4
"""Past weeks that an hour is compared with, at most and at least."""
Z = 4.5
"""Half the width of the band in standard deviations: by the normal law an hour of 720 in a month lies outside it once in
200 months."""
_HOUR, _WEEK = timedelta(hours=1), timedelta(weeks=1)
_ENOUGH_ROWS = 20
_LONGEST_SILENCE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What came in one business hour."""

    window: Window
    rows: int
    errors: int


def measure_volume(
    hours: Sequence[Hour], window: Window, last_at: datetime | None, now: datetime, zone: ZoneInfo
) -> Volume:
    """How much came in `window`, by hour, and how late the newest row is.

    hours : one after the other without a gap, from WEEKS before the window, where the log reaches so far, to its end.
    An hour is expected to have the median of the same hours of past weeks, within a band whose width is robust (median
    absolute deviation, and the 97.5 % point, of what past weeks had against each other). One that is not over is not judged.
    Source: Rousseeuw and Croux (1993), for the scale; a median of k rows has pi/2k of their variance.
    """
    came = _since_first_row(hours)
    by_time = {_wall(hour.window.start, zone): hour for hour in came}
    inside = [hour for hour in hours if window.start <= hour.window.start < window.end]
    past = _past([hour.window.start for hour in inside], by_time, zone, last_at)
    weeks = (~np.isnan(past)).sum(axis=1)
    spread = relative_spread(past[weeks >= LEAST_WEEKS])
    judged = tuple(_judged(hour, row, spread, now) for hour, row in zip(inside, past, strict=True))
    missed = _missed(last_at, now, by_time, zone)
    gap, age = usual_gap(came, zone), None if last_at is None else now - last_at
    late = (
        missed is not None and gap is not None and age is not None and age > gap and _band(missed, WEEKS, spread)[0] > 0
    )
    most = int(weeks.max(initial=0))
    return Volume(
        state=_state(judged, late=late, now=now),
        hours=judged,
        weeks=most,
        reason=_reason(most, bool(inside)),
        last_at=last_at,
        age=age,
        usual_gap=gap,
        missed=missed,
        late=late,
        rows=sum(hour.rows for hour in inside),
        errors=sum(hour.errors for hour in inside),
    )


def relative_spread(past: Floats) -> float:
    """By how much, relative to its size, an hour's number of rows moves beyond what chance (Poisson) explains; >= 0.

    past : float64, shape (hours, weeks), NaN where there is none. Hours with few rows say nothing of it. With values of
    too few hours it is 0.
    """
    with np.errstate(invalid="ignore"):
        middle = _medians(past)
    busy = middle >= _ENOUGH_ROWS
    if not busy.any():
        return 0.0
    middle, held = middle[busy][:, None], past[busy]
    off = ((held - middle) / middle)[~np.isnan(held)]
    size = np.abs(off)
    # An outage among the past weeks moves neither the median nor, while it is short, the 97.5 % point.
    seen = max(1.4826 * float(np.median(size)), float(np.quantile(size, 0.975)) / 2.24)
    chance = float(np.median(1 / middle))
    return math.sqrt(max(0.0, seen * seen - chance))


def _medians(past: Floats) -> Floats:
    known = (~np.isnan(past)).any(axis=1)
    found = np.full(len(past), np.nan)
    found[known] = np.nanmedian(past[known], axis=1)
    return found


def _band(expected: float, weeks: int, spread: float) -> tuple[float, float]:
    """Where a number of rows lies unless something has happened."""
    noise = math.sqrt(expected + 1 + (spread * expected) ** 2)
    half = Z * noise * math.sqrt(1 + math.pi / (2 * weeks))
    return max(0.0, expected - half), expected + half


def _judged(hour: Hour, past: Floats, spread: float, now: datetime) -> VolumeHour:
    known = past[~np.isnan(past)]
    plain = VolumeHour(window=hour.window, rows=hour.rows, errors=hour.errors)
    if len(known) < LEAST_WEEKS or hour.window.end > now:
        return plain
    expected = float(np.median(known))
    low, high = _band(expected, len(known), spread)
    return VolumeHour(window=hour.window, rows=hour.rows, errors=hour.errors, expected=expected, low=low, high=high)


def _past(
    starts: Sequence[datetime], by_time: Mapping[datetime, Hour], zone: ZoneInfo, last_at: datetime | None
) -> Floats:
    """Rows of the same wall-clock hour one to WEEKS weeks before each start; NaN where the log has none yet."""
    past = np.full((len(starts), WEEKS), np.nan)
    for i, start in enumerate(starts):
        wall = _wall(start, zone)
        for back in range(1, WEEKS + 1):
            found = by_time.get(wall - back * _WEEK)
            if found is not None and (last_at is None or found.window.start <= last_at):
                past[i, back - 1] = found.rows
    return past


def _wall(time: datetime, zone: ZoneInfo) -> datetime:
    return time.astimezone(zone).replace(tzinfo=None)


def _since_first_row(hours: Sequence[Hour]) -> list[Hour]:
    """Before a log begins its hours are not empty: they are not there."""
    first = next((place for place, hour in enumerate(hours) if hour.rows or hour.errors), len(hours))
    return list(hours[first:])


def _missed(last_at: datetime | None, now: datetime, by_time: Mapping[datetime, Hour], zone: ZoneInfo) -> float | None:
    """Rows that past weeks had in the time since the newest row, of seven days at most; None with too few weeks."""
    if last_at is None or last_at >= now:
        return None
    until = min(now, last_at + _LONGEST_SILENCE)
    starts = [last_at + k * _HOUR for k in range(math.ceil((until - last_at) / _HOUR))]
    on_the_hour = [start.replace(minute=0, second=0, microsecond=0) for start in starts]
    past = _past(on_the_hour, by_time, zone, last_at)
    known = (~np.isnan(past)).sum(axis=1) >= LEAST_WEEKS
    if not known.any():
        return None
    parts = np.array([min(1.0, (until - start) / _HOUR) for start in starts])
    return float((_medians(past[known]) * parts[known]).sum())


def usual_gap(hours: Sequence[Hour], zone: ZoneInfo) -> timedelta | None:
    """The longest stretch without a row that a usual day has, to the hour; None before the first whole days."""
    longest = []
    for _, day in groupby(hours, key=lambda hour: _wall(hour.window.start, zone).date()):
        quiet = [len(list(run)) for empty, run in groupby(day, key=lambda hour: hour.rows == 0) if empty]
        longest.append(max(quiet, default=0))
    return timedelta(hours=float(np.median(longest[1:])) + 1) if len(longest) > 2 else None


def _state(hours: Sequence[VolumeHour], *, late: bool, now: datetime) -> State:
    judged = [hour for hour in hours if hour.expected is not None]
    if late or (judged and judged[-1].odd == "too few" and now - judged[-1].window.end < _WEEK):
        return State.CRITICAL
    if not judged:
        return State.NO_DATA
    return State.WATCH if any(hour.odd for hour in judged) else State.HEALTHY


def _reason(weeks: int, asked: bool) -> str:
    if not asked:
        return "no hour of this range is over yet"
    if weeks >= LEAST_WEEKS:
        return ""
    return f"too little history: {weeks} past weeks, and {LEAST_WEEKS} would do"

"""Which buckets answer for a window, and which ragged ends must be read from the log: pure calendar work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pilothouse.data.rollups.schema import Tier
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket to read, and the number of the window it is read for."""

    tier: Tier
    start: datetime
    period: str
    point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Buckets to add up, and spans to scan, each with the number of its window."""

    buckets: tuple[Bucket, ...]
    scans: tuple[tuple[Window, int], ...]


def make_plan(windows: Sequence[Window], zone: ZoneInfo, hours_from: datetime | None, data_end: datetime) -> Plan:
    """How to answer for `windows`: their whole days, whole hours at the ends, and what is left as scans.

    hours_from : since when hours are complete; None where there are none. data_end : no row lies there or later, so a
    bucket that reaches beyond it counts as whole for a window that does.
    """
    buckets: list[Bucket] = []
    scans: list[tuple[Window, int]] = []
    for point, window in enumerate(windows):
        days, ends = _whole(window, day_start, next_day, zone, data_end)
        buckets += [_bucket(Tier.DAY, start, point, zone) for start in days]
        for end in ends:
            if hours_from is None or end.start < hours_from:
                scans.append((end, point))
                continue
            hours, rest = _whole(end, hour_start, next_hour, zone, data_end)
            buckets += [_bucket(Tier.HOUR, start, point, zone) for start in hours]
            scans += [(span, point) for span in rest]
    return Plan(buckets=tuple(buckets), scans=tuple((span, point) for span, point in scans if span.start < data_end))


def day_start(moment: datetime, zone: ZoneInfo) -> datetime:
    """Start of the business day that holds `moment`, in UTC."""
    return midnight(moment.astimezone(zone).date(), zone)


def next_day(start: datetime, zone: ZoneInfo) -> datetime:
    """Start of the business day after the one that begins at `start`: 23, 24 or 25 hours later."""
    return midnight(start.astimezone(zone).date() + timedelta(days=1), zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment `day` begins in `zone`, in UTC; where the clock skips midnight, the moment it does."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hour_start(moment: datetime, zone: ZoneInfo) -> datetime:
    """Start of the business hour that holds `moment`, in UTC (zones of half an hour have hours of their own)."""
    local = moment.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return moment.astimezone(UTC) - past


def next_hour(start: datetime, zone: ZoneInfo) -> datetime:
    """Start of the business hour after the one that begins at `start`."""
    return hour_start(start + timedelta(hours=1), zone)


def day_windows(window: Window, every: timedelta, zone: ZoneInfo) -> list[Window]:
    """`window` in steps of whole business days (or hours, below a day), aligned back from the end of its last bucket.

    every : at least an hour; rounded down to whole days, or to whole hours below one day. The first step may begin
    before the window does, and the last may end after it: a bucket is never cut.
    """
    whole_days = every >= timedelta(days=1)
    floor, following = (day_start, next_day) if whole_days else (hour_start, next_hour)
    last = floor(window.end - timedelta(microseconds=1), zone)
    steps = _back(following(last, zone), window.start, _step_back(every, zone))
    return [Window(start, end) for start, end in steps][::-1]


def _step_back(every: timedelta, zone: ZoneInfo) -> Callable[[datetime], datetime]:
    if every < timedelta(days=1):
        hours = timedelta(hours=max(1, every // timedelta(hours=1)))
        return lambda end: end - hours
    days = timedelta(days=every // timedelta(days=1))
    return lambda end: midnight(end.astimezone(zone).date() - days, zone)


def _back(end: datetime, until: datetime, step: Callable[[datetime], datetime]) -> Iterator[tuple[datetime, datetime]]:
    while end > until:
        start = step(end)
        yield start, end
        end = start


def _whole(
    span: Window,
    floor: Callable[[datetime, ZoneInfo], datetime],
    following: Callable[[datetime, ZoneInfo], datetime],
    zone: ZoneInfo,
    data_end: datetime,
) -> tuple[list[datetime], list[Window]]:
    """Starts of the buckets that lie in `span` as a whole, and what of it they leave."""
    start = floor(span.start, zone)
    if start < span.start:
        start = following(start, zone)
    starts: list[datetime] = []
    while start < span.end and (following(start, zone) <= span.end or span.end >= data_end):
        starts.append(start)
        start = following(start, zone)
    if not starts:
        return [], [span]
    return starts, list(_left(span, starts[0], start))


def _left(span: Window, first: datetime, after: datetime) -> Iterable[Window]:
    if span.start < first:
        yield Window(span.start, first)
    if after < span.end:
        yield Window(after, span.end)


def _bucket(tier: Tier, start: datetime, point: int, zone: ZoneInfo) -> Bucket:
    period = start.astimezone(zone).strftime("%Y-%m" if tier is Tier.DAY else "%Y-%m-%d")
    return Bucket(tier=tier, start=start, period=period, point=point)

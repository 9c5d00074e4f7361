"""Which buckets answer for a window: whole days, whole hours at the ends, and what must be scanned."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pilothouse.data.rollups.plan import day_start, day_windows, hour_start, make_plan, next_day
from pilothouse.data.rollups.schema import Tier, bucket_of
from pilothouse.data.windows import Window, parse_time

BERLIN, LONG_AGO, FAR = ZoneInfo("Europe/Berlin"), parse_time("2020-01-01T00:00Z"), parse_time("2030-01-01T00:00Z")


def window(start: str, end: str) -> Window:
    return Window(parse_time(f"2026-{start}Z"), parse_time(f"2026-{end}Z"))


def test_whole_days_hours_at_the_ends_and_scans_for_the_rest() -> None:
    plan = make_plan([window("03-01T21:30", "03-04T02:15")], ZoneInfo("UTC"), LONG_AGO, FAR)
    days = [b.start.day for b in plan.buckets if b.tier is Tier.DAY]
    hours = [(b.start.day, b.start.hour) for b in plan.buckets if b.tier is Tier.HOUR]
    assert days == [2, 3]
    assert hours == [(1, 22), (1, 23), (4, 0), (4, 1)]
    assert [span for span, _ in plan.scans] == [
        window("03-01T21:30", "03-01T22:00"),
        window("03-04T02:00", "03-04T02:15"),
    ]


def test_without_hours_the_ends_are_scanned() -> None:
    plan = make_plan([window("03-01T21:30", "03-03T00:00")], ZoneInfo("UTC"), None, FAR)
    assert [b.period for b in plan.buckets] == ["2026-03"]
    assert [span for span, _ in plan.scans] == [window("03-01T21:30", "03-02T00:00")]


def test_a_window_up_to_the_end_of_the_data_needs_no_scan() -> None:
    plan = make_plan([window("03-01T00:00", "03-03T14:00")], ZoneInfo("UTC"), None, parse_time("2026-03-03T14:00Z"))
    assert [b.start.day for b in plan.buckets] == [1, 2, 3]
    assert plan.scans == ()


def test_days_are_those_of_the_business_zone() -> None:
    """29 March 2026 has 23 hours in Berlin."""
    plan = make_plan([window("03-27T23:00", "03-29T22:00")], BERLIN, LONG_AGO, FAR)
    assert [b.start.isoformat() for b in plan.buckets] == ["2026-03-27T23:00:00+00:00", "2026-03-28T23:00:00+00:00"]
    assert next_day(parse_time("2026-03-28T23:00Z"), BERLIN) == parse_time("2026-03-29T22:00Z")


def test_steps_are_whole_days_back_from_the_end() -> None:
    steps = day_windows(window("03-02T05:00", "03-20T14:00"), timedelta(weeks=1), ZoneInfo("UTC"))
    assert [(s.start.day, s.end.day) for s in steps] == [(28, 7), (7, 14), (14, 21)]
    assert [s.length for s in day_windows(window("03-28T00:00", "03-30T00:00"), timedelta(days=1), BERLIN)][
        1
    ] == timedelta(hours=23)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Africa/Cairo", "America/Havana", "America/New_York", "Asia/Kolkata", "America/Santiago"]
)
def test_the_fold_and_the_plan_agree_on_every_bucket_of_a_year(zone: str) -> None:
    """Cairo, Havana and Santiago change their clocks at midnight; Kolkata's hours begin at half past."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [first + timedelta(minutes=30 * step) for step in range(2 * 24 * 366)]
    frame = pl.DataFrame({"at": moments}, schema={"at": pl.Datetime("us", "UTC")})
    days = frame.select(bucket_of(Tier.DAY, zone))["bucket"].to_list()
    hours = frame.select(bucket_of(Tier.HOUR, zone))["bucket"].to_list()
    assert days == [day_start(moment, ZoneInfo(zone)) for moment in moments]
    assert hours == [hour_start(moment, ZoneInfo(zone)) for moment in moments]

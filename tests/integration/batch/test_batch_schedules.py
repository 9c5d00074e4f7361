"""Batches by the clock: dates in names, days that were missed, and one that begins an hour early."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.small import MODEL, make_small

from pilothouse.app.house import House
from pilothouse.data.errors import BadData, UnknownSchedule
from pilothouse.ops.batch import schedules
from pilothouse.ops.batch.jobs import Asked

NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    make_small(tmp_path / "ws", 'time_zone = "Europe/Berlin"').close()
    house = House.open(tmp_path / "ws")
    house.clock = lambda: NOW
    yield house
    house.close()


def turn(house: House, at: datetime) -> None:
    schedules.turn(house.state, house.settings, lambda: at)


def test_a_day_is_a_day_of_the_calendar_and_names_get_its_date(house: House) -> None:
    made = house[MODEL].schedule("in/%Y-%m-%d.parquet", "out/%Y-%m-%d.parquet", every="1d", start="03:00")
    assert made.next_at == datetime(2026, 3, 28, 2, tzinfo=UTC)
    turn(house, made.next_at - timedelta(seconds=1))
    assert house.runs() == ()
    turn(house, made.next_at)
    turn(house, made.next_at)
    (run,) = house.runs()
    assert Path(run.arguments["source"]).parts[-2:] == ("in", "2026-03-28.parquet")
    assert Path(run.arguments["out"]).parts[-2:] == ("out", "2026-03-28.parquet")
    assert run.arguments["version"] == 1
    # Summer time begins: three in the morning comes an hour earlier by the sun.
    (after,) = house.schedules()
    assert (after.next_at, after.last_run_id) == (datetime(2026, 3, 29, 1, tzinfo=UTC), run.id)


def test_what_was_missed_is_told_and_made_up_for_once(house: House) -> None:
    house[MODEL].schedule("in/%d.parquet", "out/%d.parquet", every="1d", start="03:00")
    turn(house, NOW + timedelta(days=5))
    (run,) = house.runs()
    assert run.arguments["source"].endswith("in/01.parquet")
    assert run.arguments["note"] == "; 4 before it were due while no worker ran, and are left out"
    (left,) = house.schedules()
    assert (left.missed, left.next_at) == (4, datetime(2026, 4, 2, 1, tzinfo=UTC))


def test_schedules_end_and_impossible_ones_are_refused(house: House) -> None:
    made = schedules.schedule(house, MODEL, Asked(source="a.csv", out="b.csv", overwrite=True), every="6h")
    assert made.next_at == NOW + timedelta(hours=6)
    house.unschedule(made.id)
    assert house.schedules() == ()
    with pytest.raises(UnknownSchedule):
        house.unschedule(made.id)
    with pytest.raises(BadData, match="Put the date into its name"):
        house[MODEL].schedule("a.csv", "b.csv", every="1d")
    with pytest.raises(BadData, match="'25:00' cannot be the time of day"):
        house[MODEL].schedule("a.csv", "b-%d.csv", every="1d", start="25:00")

"""The champion of the demo's model swapped while two workers are kept busy: what those who ask notice of it."""

from __future__ import annotations

from pathlib import Path

from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from tests.bench.serving import ONE, newest_flights
from tests.bench.table import Row
from tests.bench.worlds import copy_of
from tests.faults.swaps import Swapped, outcome, swap

TIMES = {"small": 10, "full": 200}
NOT_SLOWER = 1 / 1.2
"""The least ratio: at most 1.2 times the p99 of before."""
AT_MOST_FOUR_TIMES = 1 / 4
AT_MOST_MS = 25.0


def run(built: Path, size: str) -> list[Row]:
    house = House.open(copy_of(built, "swaps"))
    (row,) = newest_flights(house[MODEL])[ONE].to_dicts()
    found = swap(house, MODEL, row, TIMES[size])
    counted = outcome(found)
    assert counted.met, counted
    return [*_slowdowns(found, size), *_durations(found, size)]


def _slowdowns(found: Swapped, size: str) -> list[Row]:
    def beside(name: str, phase: str, goal: float, *, cold: bool | None = None) -> Row:
        ours, before = found.p99_ms(phase, cold=cold), found.p99_ms("before", cold=cold)
        return Row(name=f"p99 {name}, and before the click", ours=ours, rival=before, unit="ms", size=size, goal=goal)

    preparing = found.p99_ms("preparing", cold=True)
    return [
        beside("from 20 ms before the flip to 100 ms after it", "flip", NOT_SLOWER),
        beside("while a cold version is prepared", "preparing", AT_MOST_FOUR_TIMES, cold=True),
        Row(name="p99 while a cold version is prepared", ours=preparing, unit="ms", size=size, goal=AT_MOST_MS),
    ]


def _durations(found: Swapped, size: str) -> list[Row]:
    return [
        Row(name=f"from click to flip, {word} version", ours=found.click_to_flip_ms(cold=cold), unit="ms", size=size)
        for word, cold in (("cold", True), ("warm", False))
    ]

"""Measuring in turns: every contender once, then every one again, so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def alternate(contenders: Mapping[str, Callable[[], T]], times: int) -> dict[str, list[T]]:
    """What each contender gave in each of `times` turns, after one turn that does not count: it warms up."""
    for contend in contenders.values():
        contend()
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(times):
        for name, contend in contenders.items():
            found[name].append(contend())
    return found


def median_of_each(found: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


def cpu_ms(act: Callable[[], object]) -> float:
    """Milliseconds of processor time that `act` costs this process, all of its threads together."""
    return wall_and_cpu_ms(act)[1]


def wall_and_cpu_ms(act: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000

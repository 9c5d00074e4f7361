"""Champions swapped under saturating load, half of them to versions that no worker has in memory.

A child process keeps sixteen connections busy and writes down when each request began, how long it took, and which version
answered. A request that began after `promote` has returned, and was answered by the version before, is wrong.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilothouse.ops.house import House
from pilothouse.ops.scoring import load_original
from pilothouse.ops.serving.models import KEPT_WARM
from tests.bench import asking, servers
from tests.bench.load import post
from tests.bench.serving import CONNECTIONS
from tests.faults.campaign import Outcome
from tests.support.small import MODEL, ROW, make_small

TIMES = {"small": 6, "full": 200}
AROUND_S = 0.5
"""How long before a click, and after a flip, is looked at."""
JUST_BEFORE_S, AT_THE_FLIP_S = 0.02, 0.1
"""What counts as the flip itself: `promote` returns a moment after the row is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap, by the clock of `perf_counter`. flipped : when `promote` had returned. cold : nobody had it in memory."""

    seq: int
    version: int
    clicked: float
    flipped: float
    cold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """What was done, and what the load saw: `began` and `took` (seconds), and `version`, a row for each answer."""

    swaps: list[Swap]
    answers: pl.DataFrame
    failures: list[str]

    def stale(self) -> int:
        """Answers of another version to requests that began between one flip and the click for the next."""
        clicks = [swap.clicked for swap in self.swaps[1:]] + [float("inf")]
        return sum(
            self._between(swap.flipped, click).filter(pl.col("version") != swap.version).height
            for swap, click in zip(self.swaps, clicks, strict=True)
        )

    def p99_ms(self, phase: str, *, cold: bool | None = None) -> float:
        """Of the requests that began `before` the click, while workers were `preparing`, or at the `flip`."""
        spans = [_span(swap, phase) for swap in self.swaps if cold in (None, swap.cold)]
        took = pl.concat([self._between(*span) for span in spans])["took"]
        return float(np.percentile(took, 99)) * 1000

    def click_to_flip_ms(self, *, cold: bool) -> float:
        return statistics.median((s.flipped - s.clicked) * 1000 for s in self.swaps if s.cold == cold)

    def _between(self, start: float, end: float) -> pl.DataFrame:
        return self.answers.filter(pl.col("began").is_between(start, end))


def _span(swap: Swap, phase: str) -> tuple[float, float]:
    spans = {
        "before": (swap.clicked - AROUND_S, swap.clicked),
        "preparing": (swap.clicked, swap.flipped),
        "flip": (swap.flipped - JUST_BEFORE_S, swap.flipped + AT_THE_FLIP_S),
    }
    return spans[phase]


def run(size: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="swaps-") as folder:
        house = make_small(Path(folder) / "workspace", 'onnx = "where_equal"\n')
        return [outcome(swap(house, MODEL, ROW, TIMES[size]))]


def outcome(found: Swapped) -> Outcome:
    """lost : requests that failed. wrong : stale answers."""
    assert found.answers.height > len(found.swaps), "hardly anything was asked, so nothing was shown"
    print(f"{found.answers.height} answers, {len(found.failures)} failures {found.failures[:3]}")
    name = "champion swapped under load, half of the versions cold"
    return Outcome(name=name, tried=len(found.swaps), lost=len(found.failures), doubled=0, wrong=found.stale())


def swap(house: House, model: str, row: dict[str, Any], times: int) -> Swapped:
    """Swap the champion of `model` that many times while its service is kept busy: to a cold version, and back to the warm
    one before it."""
    champion = house[model].versions[-1]
    estimator = load_original(house.store, champion).model
    # One more than can be warm together, so that the one whose turn comes has been let go of.
    for _ in range(KEPT_WARM + 3):
        house.add_version(model, estimator, trusted=champion.trusted_types)
    key = house.keys.create("swaps", [f"predict:{model}"]).text
    command = servers.ours(house.workspace.root, model, key)
    swaps: list[Swap] = []
    with servers.running(command) as server, busy(server, row) as asked:
        time.sleep(1.0)
        for number in range(times):
            swaps.append(_swap(house, model, number))
            time.sleep(AROUND_S)
    answers, failures = asked()
    return Swapped(swaps=swaps, answers=answers, failures=failures)


def _swap(house: House, model: str, number: int) -> Swap:
    """Every second one goes back to the version before."""
    cold = number % 2 == 0
    others = sorted(v.version for v in house[model].versions if v.version != 1)
    clicked = time.perf_counter()
    if not cold:
        done = house.releases.roll_back(house.actor, model, reason="swapped back by the campaign")
    else:
        target = others[number // 2 % len(others)]
        done = house.releases.promote(house.actor, model, target, reason="swapped by the campaign")
    return Swap(seq=done.seq, version=done.version, clicked=clicked, flipped=time.perf_counter(), cold=cold)


@contextmanager
def busy(server: servers.Server, row: dict[str, Any]) -> Iterator[Any]:
    """Keep the service busy from another process until the block ends; yields what then gives answers and failures."""
    context = multiprocessing.get_context("spawn")
    ending, results = context.Event(), context.Queue()
    request = post(server.port, server.path, json.dumps(server.body([row])).encode(), server.headers)
    arguments = (server.process.pid, server.port, request, CONNECTIONS, ending, results)
    process = context.Process(target=asking.keep_asking, args=arguments)
    process.start()
    found: list[tuple[pl.DataFrame, list[str]]] = []
    try:
        yield lambda: found[0]
    finally:
        ending.set()
        began, took, versions, failures = results.get(timeout=60)
        process.join(30)
        found.append((pl.DataFrame({"began": began, "took": took, "version": versions}), failures))

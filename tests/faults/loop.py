"""The processes of the loop killed under load: service workers, the sealer and the folder in the middle of their work."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import polars as pl
import psutil

from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.store import rollup_folder
from pilothouse.ops.house import House
from tests.faults.campaign import Outcome
from tests.faults.load import Load
from tests.faults.recount import changed_cells
from tests.support.processes import running_service, running_worker, wait_until
from tests.support.small import MODEL, make_small

SEAL_POINTS = ("seal:read", "seal:committed", "seal:appended", "seal:forgotten", "seal:labels-appended")
FOLD_POINTS = ("fold:computed", "fold:appended")


Cause = Callable[[House, str, int], int]
"""Causes a fault in the house, whose service answers at a URL, so many times; returns how often it did."""


def run(times: int) -> list[Outcome]:
    """Each kind of fault `times` times; every kind on a workspace of its own."""
    return [campaign(name, cause, times) for name, cause in CAUSES.items()]


def campaign(name: str, cause: Cause, times: int) -> Outcome:
    """Run the loop under load while `cause` kills, then count what is there against what was acknowledged."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        house = make_small(Path(folder) / "workspace")
        service = stack.enter_context(running_service(house))
        # The worker that nobody kills seals and folds beside the load where the service is what dies.
        if "service" in name:
            stack.enter_context(running_worker(house))
        with Load(service, "r").going() as load:
            time.sleep(1.0)
            tried = cause(house, service, times)
            time.sleep(1.0)
        assert load.refused == [], load.refused[:3]
        stack.close()
        house.catch_up()
        return count(name, tried, house, load)


def count(name: str, tried: int, house: House, load: Load) -> Outcome:
    """Lost and doubled rows in the table and in the roll-ups; `wrong`: cells of the roll-ups that a rebuild changes."""
    handle = house[MODEL]
    rows = handle.prediction_log.labelled(columns=("prediction_id",))
    found = rows["prediction_id"]
    labelled = set(rows.filter(pl.col("label").is_not_null())["prediction_id"])
    lost = len(load.predicted - set(found)) + len(load.labelled - labelled)
    doubled = found.len() - found.n_unique()
    end = handle.data_end()
    assert end is not None
    measured = handle.history.performance(handle.window("30d"))
    # What was written without being acknowledged may be there; once, like everything else.
    doubled += max(0, measured.rows - rows.height)
    lost += max(0, rows.height - measured.rows) + abs(measured.labelled - len(labelled))
    return Outcome(name=name, tried=tried, lost=lost, doubled=doubled, wrong=wrong_cells(house))


def wrong_cells(house: House) -> int:
    """How many cells of the day roll-ups differ between what was folded bit by bit and one recount of the log."""
    handle = house[MODEL]
    return changed_cells(
        rollup_folder(house.workspace, MODEL),
        lambda: rebuild(house.workspace, MODEL, handle.signature, handle.profile, handle.label_policy, house.settings),
        within=1e-6,
    )


def kill_service_workers(url: str, times: int) -> int:
    """Kill one of the two, and wait until there are two again."""
    rng, master = random.Random(0), master_of(url)
    for _ in range(times):
        victims = answering(master)
        os.kill(rng.choice(victims), signal.SIGKILL)
        wait_until(partial(_replaced, master, victims), 60)
        time.sleep(rng.uniform(0.2, 0.6))
    return times


def _replaced(master: psutil.Process, gone: list[int]) -> bool:
    return len(now := answering(master)) == 2 and now != gone


def master_of(url: str) -> psutil.Process:
    port = int(url.rsplit(":", 1)[1])
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "pilothouse.ops.serving" in line and str(port) in line:
            return process
    raise AssertionError(f"no service runs on port {port}")


def answering(master: psutil.Process) -> list[int]:
    """Processes below the service that listen, which are its workers."""
    found = []
    for child in master.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(c.status == psutil.CONN_LISTEN for c in child.net_connections("tcp")):
                found.append(child.pid)
    return sorted(found)


def kill_workers(house: House, times: int) -> int:
    rng = random.Random(0)
    for _ in range(times):
        with running_worker(house) as worker:
            time.sleep(rng.uniform(0.5, 3.0))
            worker.kill()
    return times


def crash_workers(house: House, points: Sequence[str], times: int) -> int:
    """Let the worker die at each of `points` in turn, each time while rows are arriving."""
    for turn in range(times):
        with running_worker(house, crash_at=points[turn % len(points)]) as worker:
            assert worker.wait(60) == 137
    return times


CAUSES: dict[str, Cause] = {
    "kill -9 of a service worker": lambda _, url, times: kill_service_workers(url, times),
    "kill -9 of the worker at any moment": lambda house, _, times: kill_workers(house, times),
    "sealer dies in mid-seal": lambda house, _, times: crash_workers(house, SEAL_POINTS, times),
    "folder dies in mid-fold": lambda house, _, times: crash_workers(house, FOLD_POINTS, times),
}

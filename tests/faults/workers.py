"""One of two service workers killed under load, again and again: whoever asks once more is answered by the other."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pilothouse.data.state import processes
from pilothouse.ops.house import House
from tests.faults.campaign import Outcome
from tests.faults.load import Load
from tests.faults.loop import count
from tests.support.processes import running_service, wait_until
from tests.support.small import make_small

TIMES = {"small": 3, "full": 20}
WORKERS = 2
_FULL_STRENGTH_WITHIN_S = 15.0
_ONE_RETRY = 2


def run(size: str) -> list[Outcome]:
    """`wrong` counts requests that one retry was not enough for, beside wrong cells."""
    name, dice = "kill -9 of one of two service workers, one retry", random.Random(0)
    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        house = make_small(Path(folder) / "workspace")
        with running_service(house) as url, Load(url, "w").going() as load:
            for _ in range(TIMES[size]):
                time.sleep(dice.uniform(0.5, 1.5))
                kill_one(house, dice)
            time.sleep(1.0)
        assert load.refused == [], load.refused[:3]
        house.catch_up()
        failed = sum(tries > _ONE_RETRY for tries in load.tries)
        print(
            f"{len(load.tries)} requests, {sum(tries > 1 for tries in load.tries)} sent again, {failed} twice or more"
        )
        counted = count(name, TIMES[size], house, load)
        return [replace(counted, wrong=counted.wrong + failed)]


def kill_one(house: House, dice: random.Random) -> None:
    """Kill a worker, and wait until there are as many as before."""
    victim = dice.choice(workers(house))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(set(workers(house)) - {victim}) == WORKERS, _FULL_STRENGTH_WITHIN_S)


def workers(house: House) -> list[int]:
    """Process ids; a dead worker's last beat counts for some seconds more."""
    with house.state.read() as conn:
        found = processes.live(conn, "service", datetime.now(UTC))
    return [process.pid for process in found if psutil.pid_exists(process.pid)]

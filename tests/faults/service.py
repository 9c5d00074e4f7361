"""The whole service killed under load, all its processes and the worker's at once, and started again on what was left."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from pilothouse.ops.house import House
from pilothouse.ops.supervisor import free_port
from tests.faults.campaign import Outcome
from tests.faults.load import Load
from tests.faults.loop import count, master_of
from tests.support.processes import running_service, running_worker
from tests.support.small import make_small

TIMES = {"small": 1, "full": 10}


def run(size: str) -> list[Outcome]:
    """The application goes on sending all the while; what was never answered it sends again."""
    name, dice, port = "kill -9 of the whole service with its worker", random.Random(0), free_port(0)
    with tempfile.TemporaryDirectory(prefix="service-") as folder:
        house = make_small(Path(folder) / "workspace")
        with Load(f"http://127.0.0.1:{port}", "r").going() as load:
            for _ in range(TIMES[size]):
                killed(house, port, after_s=dice.uniform(0.5, 2.5))
            with running_service(house, port), running_worker(house):
                time.sleep(2.0)
        assert load.refused == [], load.refused[:3]
        assert load.predicted, "nothing was acknowledged, so nothing was shown"
        house.catch_up()
        return [count(name, TIMES[size], house, load)]


def killed(house: House, port: int, *, after_s: float) -> None:
    """Start the service and the worker, and let both die at the same moment, some time after the first is ready."""
    with ExitStack() as stack:
        url = stack.enter_context(running_service(house, port))
        worker = psutil.Process(stack.enter_context(running_worker(house)).pid)
        time.sleep(after_s)
        masters = [master_of(url), worker]
        for master in masters:
            master.suspend()  # or it would start a worker anew in the middle, which would outlive it
        everyone = [child for master in masters for child in master.children(recursive=True)] + masters
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

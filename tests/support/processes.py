"""Single processes of the loop, started as `up` starts them, and ended by pid."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from pilothouse.ops.house import House
from pilothouse.ops.supervisor import free_port
from pilothouse.ops.worker import CRASH_AT


@contextmanager
def running_worker(house: House, crash_at: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pilothouse.ops.worker", "--workspace", str(house.workspace.root)]
    environment = {**os.environ, "PILOTHOUSE_SEAL_EVERY_S": "0.2"} | ({CRASH_AT: crash_at} if crash_at else {})
    with open(house.workspace.run / "worker.log", "ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    yield from _until_ended(process)


@contextmanager
def running_service(house: House, port: int = 0) -> Iterator[str]:
    port = port or free_port(0)
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "pilothouse.ops.serving", "--workspace", str(house.workspace.root), "--port", str(port),
    ]  # fmt: skip
    told = house.workspace.run / "service.log"
    with open(told, "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in _until_ended(process):
        wait_until(lambda: is_ready(url) or process.poll() is not None, 60)
        assert process.poll() is None, f"the service ended instead of answering:\n{told.read_text()[-2000:]}"
        yield url


def _until_ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)

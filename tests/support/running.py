"""Real processes for tests: `pilothouse demo` and `up` on free ports, ended by pid; and a client that never pauses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

_READY = re.compile(r"^ready dashboard=(\S+) service=(\S+)$")


@dataclass
class Running:
    """A `pilothouse` that said it is ready. `seconds`: from its start to that line."""

    process: subprocess.Popen[str]
    dashboard: str
    service: str
    seconds: float
    lines: list[str]

    def pids(self) -> list[int]:
        """Every process below it, while it runs."""
        import psutil

        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)


@contextmanager
def running(arguments: Sequence[str], within_s: float = 180.0) -> Iterator[Running]:
    """Run `pilothouse ARGUMENTS` on free ports until the block ends."""
    command = [
        sys.executable, "-m", "pilothouse.app.cli", *arguments, "--port", "0", "--service-port", "0", "--no-browser",
    ]  # fmt: skip
    started = time.monotonic()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PILOTHOUSE_")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    lines: list[str] = []
    reader = threading.Thread(target=_keep_reading, args=(process, lines), daemon=True)
    try:
        dashboard, service = _wait_ready(process, lines, started + within_s)
        found = Running(process, dashboard, service, time.monotonic() - started, lines)
        reader.start()
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if reader.ident is not None:
            reader.join(10)
        assert process.stdout is not None
        process.stdout.close()


def _wait_ready(process: subprocess.Popen[str], lines: list[str], deadline: float) -> tuple[str, str]:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if found := _READY.match(lines[-1]):
            return found[1], found[2]
        if time.monotonic() > deadline:
            break
    raise AssertionError("it did not get ready:\n" + "\n".join(lines))


def _keep_reading(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))


@dataclass
class Steady:
    """A client that sends one row after the other, and keeps what was answered.

    failed : what was not answered with 200. versions : how many answers each version gave.
    """

    service: str
    row: dict[str, Any]
    path: str = "/models/flights/predict"
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> Steady:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            # A new connection each time, so that both workers get their share.
            try:
                answer = httpx.post(self.service + self.path, json={"rows": [self.row]}, timeout=10, trust_env=False)
            except httpx.HTTPError as error:
                self.failed.append(repr(error))
                continue
            self.sent += 1
            if answer.status_code != 200:
                self.failed.append(answer.text)
            else:
                version = answer.json()["version"]
                self.versions[version] = self.versions.get(version, 0) + 1
            time.sleep(0.02)

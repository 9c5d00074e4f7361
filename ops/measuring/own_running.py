"""Runs a team's own metrics in a process of their own: one for all of them, and another after one that broke it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl

from pilothouse.data.policies import OwnMetric
from pilothouse.data.store import Store
from pilothouse.ops.measuring.own_child import MEMORY_BYTES, ORDER, ROWS, Order, Said, Wanted

_START_S = 60.0
"""What the start may take, which imports Polars: it is no fault of a metric where the machine is busy."""
_GIB = 2**30


def run_apart(store: Store, metrics: Sequence[OwnMetric], rows: pl.DataFrame | None, limit_s: float) -> list[Said]:
    """What each metric says of the rows, in order; without rows, whether it can be had.

    limit_s : seconds that each of them may take. One that takes longer, or ends its process, has the reason instead of a
    value, and those after it are run by a new one.
    """
    with tempfile.TemporaryDirectory(prefix="pilothouse-own-") as name:
        folder = Path(name)
        _write_order(folder, store, metrics)
        if rows is not None:
            rows.write_ipc(folder / ROWS)
        said: list[Said] = []
        while len(said) < len(metrics):
            said += _Run(folder, [metric.entry for metric in metrics], len(said)).answers(limit_s)
        return said


def _write_order(folder: Path, store: Store, metrics: Sequence[OwnMetric]) -> None:
    wanted = []
    for metric in metrics:
        code = f"{metric.code_sha256}.zip" if metric.code_sha256 else ""
        if metric.code_sha256 and not (folder / code).exists():
            (folder / code).write_bytes(store.read(metric.code_sha256))
        wanted.append(Wanted(entry=metric.entry, code=code))
    (folder / ORDER).write_bytes(msgspec.json.encode(Order(wanted=wanted, path=sys.path)))


class _Run:
    """One process, from the metric number `first` on. entries : of all metrics."""

    def __init__(self, folder: Path, entries: Sequence[str], first: int) -> None:
        self._entries = entries[first:]
        command = [sys.executable, "-m", "pilothouse.ops.child", "pilothouse.ops.measuring.own_child"]
        # A session of its own, so that what a metric has started ends with it.
        self._process = subprocess.Popen(
            [*command, str(folder), str(first)], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def answers(self, limit_s: float) -> list[Said]:
        """What the metrics say, up to and with the first that breaks the process."""
        said: list[Said] = []
        try:
            if self._line(_START_S) is None:
                return [Said(error=f"the process for it did not start ({self._ended()})") for _ in self._entries]
            for entry in self._entries:
                line = self._line(limit_s)
                if line is None:
                    return [*said, Said(error=self._why(entry, limit_s), found=False)]
                said.append(msgspec.json.decode(line, type=Said))
        finally:
            self._end()
        return said

    def _line(self, seconds: float) -> bytes | None:
        """The next line; None when the process has ended, or was ended since it said nothing for so long."""
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._stop_late)
        timer.daemon = True
        self._late = False
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        return line if line.endswith(b"\n") else None

    def _stop_late(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> None:
        self._kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _why(self, entry: str, limit_s: float) -> str:
        if self._late:
            return f"{entry} was stopped after {limit_s:g} s (own_metric_limit_s). Make it faster, or ask for a shorter range"
        return f"{entry} ended its process ({self._ended()}), as it also does with more than {MEMORY_BYTES // _GIB} GiB"

    def _ended(self) -> str:
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

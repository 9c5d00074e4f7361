"""Starts the processes of heavy tasks, listens to them, and kills them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from pilothouse.data.errors import StepFailed

Result = TypeVar("Result")


WITHIN_S = {"convert": 600.0, "check": 600.0, "rescore": 300.0, "test": 600.0}
"""How long a task may take by the clock on the wall; those that are not named take as long as they take."""


class _Line(msgspec.Struct):
    say: str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: str | None = None


class Children:
    """At most one process a run. within_s : how long each task may take."""

    def __init__(self, store: Path, within_s: Mapping[str, float] = WITHIN_S) -> None:
        self._store, self._within_s = store, within_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def run(self, run_id: str, task: str, request: object, gives: type[Result], say: Callable[[str], None]) -> Result:
        """Do `task` in a process of its own and wait for it; `say` is called for each line that it has to tell.

        Raises StepFailed when the task cannot be done or takes too long, or its process ends without an answer (killed,
        out of memory).
        """
        command = [sys.executable, "-m", "pilothouse.ops.pipeline.child", str(self._store), task]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with self._lock:
            self._running[run_id] = process
        limit = self._within_s.get(task)
        try:
            with _ended_after(process, limit) as late:
                answer = _listen(process, msgspec.json.encode(request), say)
        finally:
            process.kill()
            process.wait()
            with self._lock:
                del self._running[run_id]
        if answer is None and late.is_set():
            raise StepFailed(task, f"it was not done within {limit:g} s")
        if answer is None:
            raise StepFailed(task, f"its process ended with code {process.returncode} and without an answer")
        if answer.error is not None:
            raise StepFailed(task, answer.error)
        return msgspec.json.decode(answer.result, type=gives)

    def kill(self, run_id: str) -> None:
        """End the run's process now, if it has one."""
        with self._lock:
            if run_id in self._running:
                self._running[run_id].kill()

    def kill_all(self) -> None:
        with self._lock:
            for process in self._running.values():
                process.kill()


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], limit_s: float | None) -> Iterator[threading.Event]:
    """Kill the process unless the block ends within the limit. What it gives is set once that has happened."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(threading.TIMEOUT_MAX if limit_s is None else limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _listen(process: subprocess.Popen[bytes], request: bytes, say: Callable[[str], None]) -> _Line | None:
    """The process's last word, or None when it ended without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            process.stdin.write(request)
            process.stdin.close()
        except BrokenPipeError:
            # It is gone already; its silence says so below.
            return None
        for text in process.stdout:
            line = msgspec.json.decode(text, type=_Line)
            if line.say is None:
                return line
            say(line.say)
    return None

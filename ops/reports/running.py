"""The process that makes a report: started, listened to, and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pilothouse.data.errors import QueryCancelled, Unavailable

TIMEOUT_S = 600.0


class Child:
    """One child process. tell : called with each step that it says. `stop`, from any thread, ends it."""

    def __init__(self, tell: Callable[[str], None] = lambda text: None, timeout_s: float = TIMEOUT_S) -> None:
        self._tell, self._timeout_s = tell, timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._stopped, self._late = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def run(self, folder: Path) -> None:
        """Do what `folder`/request.json asks for. Raises QueryCancelled when stopped, else Unavailable when it fails."""
        with tempfile.TemporaryFile("w+") as errors:
            process = self._start(folder, errors)
            timer = threading.Timer(self._timeout_s, self._end_late)
            timer.daemon = True
            timer.start()
            try:
                self._listen(process)
            finally:
                timer.cancel()
                process.kill()
                code = process.wait()
            if code != 0 or self._stopped.is_set():
                errors.seek(0)
                raise self._failure(errors.read())

    def stop(self) -> None:
        """End it now, or before it begins."""
        self._stopped.set()
        self._kill()

    def _start(self, folder: Path, errors: IO[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pilothouse.ops.reports.child", str(folder)]
        with self._lock:
            if self._stopped.is_set():
                raise QueryCancelled()
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        return self._process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                # A library may print, too: only what is ours is told.
                if line.startswith('{"say": '):
                    self._tell(json.loads(line)["say"])
        process.wait()

    def _end_late(self) -> None:
        self._late.set()
        self._kill()

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _failure(self, errors: str) -> Exception:
        if self._stopped.is_set():
            return QueryCancelled()
        if self._late.is_set():
            return Unavailable(f"Evidently did not finish within {self._timeout_s:g} s. Choose a shorter window.")
        last = (errors.strip().splitlines() or ["no message"])[-1]
        return Unavailable(f"Evidently could not make the report: {last}")

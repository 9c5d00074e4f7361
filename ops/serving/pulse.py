"""The thread that says every two seconds that this process is alive, and what it serves."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from pilothouse.data.errors import PilothouseError
from pilothouse.data.state import processes
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock

BEAT_EVERY_S = 2.0

_log = logging.getLogger("pilothouse.service")


class Pulse:
    """Says every two seconds that this process is alive, and what it serves. details : what it has to say of itself."""

    def __init__(self, state: State, process: ProcessRow, clock: Clock, details: Callable[[], dict[str, Any]]) -> None:
        self._state, self._process, self._clock, self._details = state, process, clock, details
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Take leave, so that nobody waits for this process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            with self._state.write() as conn:
                processes.forget(conn, self._process.id)
        except (PilothouseError, SQLAlchemyError):
            # The rest of the process must still end in order; without a beat the row soon counts for nothing.
            _log.exception("no leave was taken")

    def _run(self) -> None:
        while not self._stop.wait(BEAT_EVERY_S):
            try:
                self._beat()
            except (PilothouseError, SQLAlchemyError):
                _log.exception("the beat was missed")
            _end_when_orphaned()

    def _beat(self) -> None:
        said = replace(self._process, beat_at=self._clock(), details=self._details())
        with self._state.write() as conn:
            processes.beat(conn, said)


def _end_when_orphaned() -> None:
    """A worker whose supervisor was killed would hold the port for ever, and the next service could not start."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        _log.error("the service's supervisor is gone; this worker ends")
        os.kill(os.getpid(), signal.SIGTERM)

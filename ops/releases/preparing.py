"""The first phase of every change: all live service workers load and warm a version before anything rests on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pilothouse.data.errors import WorkersNotReady
from pilothouse.data.state import processes
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock

PREPARE_WITHIN = timedelta(seconds=20)
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Preparing:
    """Asks the service workers of one workspace, wherever they run, and waits for their answers."""

    state: State
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    def prepare(self, model: str, version: int) -> None:
        """Have every live service worker load and warm the version; returns once all have said so.

        Raises WorkersNotReady when one could not, or has not answered in time.
        """
        if not self._workers():
            return
        with self.state.write() as conn:
            asked = processes.request_preparation(conn, model, version, self.clock())
        deadline = self.clock() + PREPARE_WITHIN
        while True:
            with self.state.read() as conn:
                answers = {a.process_id: a for a in processes.acknowledgements(conn, asked.seq)}
            live = self._workers()
            failed = [a.detail for a in answers.values() if not a.ok]
            ready = sum(process in answers and answers[process].ok for process in live)
            if failed or self.clock() > deadline:
                raise WorkersNotReady(model, version, ready, len(live), failed)
            if ready == len(live):
                return
            self.sleep(_LOOK_EVERY_S)

    def _workers(self) -> list[str]:
        with self.state.read() as conn:
            return [process.id for process in processes.live(conn, "service", self.clock())]

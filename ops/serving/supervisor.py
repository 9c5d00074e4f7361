"""Several workers on one port, started from one warm process, and replaced when they die.

Importing a model's libraries takes a worker seconds of processor time; forked from a process that has done so already,
it starts in a fraction of that, which is what counts when one has just been killed under load.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

WARM = "pilothouse.ops.serving.warm"
_LOOK_EVERY_S = 0.2
# A worker that dies younger than this has something wrong with it; starting it again at once would only burn time.
_YOUNG_S = 2.0
_GIVE_UP_AFTER = 5

_log = logging.getLogger("pilothouse.service")


class Supervisor:
    """Keeps `workers` processes running `work(listening socket)` until SIGTERM or SIGINT.

    grace_s : how long they get to finish what they have in hand.
    """

    def __init__(self, work: Callable[[socket.socket], None], workers: int, grace_s: float) -> None:
        self._work, self._workers, self._grace_s = work, workers, grace_s
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([WARM])
        self._ending = False
        self._running: dict[BaseProcess, float] = {}
        self._died_young = 0

    def run(self, listening: socket.socket) -> bool:
        """Returns whether the end was asked for; False when workers died as soon as they were started."""
        with self._told_to_end():
            while not self._ending and self._died_young < _GIVE_UP_AFTER:
                for _ in range(self._workers - len(self._running)):
                    self._start(listening)
                wait([process.sentinel for process in self._running], _LOOK_EVERY_S)
                self._bury()
            self._end_all()
        return self._ending

    def _start(self, listening: socket.socket) -> None:
        process = self._context.Process(target=self._work, args=(listening,), name="service worker")
        process.start()
        self._running[process] = time.monotonic()

    def _bury(self) -> None:
        for process in [p for p in self._running if not p.is_alive()]:
            age = time.monotonic() - self._running.pop(process)
            if self._ending:
                continue
            self._died_young = self._died_young + 1 if age < _YOUNG_S else 0
            _log.error("a service worker (pid %s) ended with %s; another is started", process.pid, process.exitcode)

    def _end_all(self) -> None:
        for process in self._running:
            process.terminate()
        deadline = time.monotonic() + self._grace_s
        for process in self._running:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in [p for p in self._running if p.is_alive()]:
            _log.error("service worker %s did not end in %g s and is killed", process.pid, self._grace_s)
            process.kill()
            process.join()

    @contextmanager
    def _told_to_end(self) -> Iterator[None]:
        def end(_signal: int, _frame: object) -> None:
            self._ending = True

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

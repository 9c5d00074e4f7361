"""The thread that loads models off the request path, answers preparations and notes switches."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from sqlalchemy.exc import SQLAlchemyError

from pilothouse.data.errors import NotFound, PilothouseError
from pilothouse.data.state import processes
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.state.processes import Preparation
from pilothouse.data.state.store import State
from pilothouse.data.state.watch import Watch
from pilothouse.data.windows import Clock
from pilothouse.ops.serving.models import Models, Switched

LOOK_EVERY_S = 0.05
PREPARATION_AGE = timedelta(minutes=10)
"""Older requests were made of workers that are gone: nobody waits for the answer."""
_NICENESS = 19

_log = logging.getLogger("pilothouse.service")


class Loader:
    """Keeps `models` level with the state store, in a thread of its own.

    followed : told after every step which deployments this process has switched to since the one before.
    looked : called after every look, twenty times a second.
    place : names the place in the log where this process writes; None before it has one.
    loaded : told of every version that had to be loaded, and of the seconds that took; None where it failed.
    """

    def __init__(
        self,
        models: Models,
        state: State,
        *,
        process_id: str,
        lock_file: Path,
        clock: Clock,
        followed: Callable[[list[Switched]], None],
        looked: Callable[[], None],
        place: Callable[[], str | None],
        loaded: Callable[[str, float | None], None],
    ) -> None:
        self._models, self._state, self._process_id, self._clock = models, state, process_id, clock
        self._lock_file, self._followed, self._looked, self._place = lock_file, followed, looked, place
        self._loaded = loaded
        self._watch = Watch(state)
        self._due = True
        self._answered = 0
        self._failed: dict[tuple[str, int], str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)

    @property
    def failed(self) -> dict[str, dict[str, str]]:
        """What stands against the versions that this process could not load, by model and version."""
        found: dict[str, dict[str, str]] = {}
        for (model, version), fault in tuple(self._failed.items()):
            found.setdefault(model, {})[str(version)] = fault
        return found

    def start(self) -> None:
        """Load every champion and every version on trial, then go on in the background."""
        for row in self._models.sync():
            self._try_load(row)
        self._followed([])
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._watch.close()

    def _run(self) -> None:
        step_back()
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look()
                self._looked()
            except (PilothouseError, SQLAlchemyError):
                _log.exception("the loader could not follow the state store; it looks again")

    def _look(self) -> None:
        # Kept until it is done with: a store that was busy just then has to be looked at again.
        changed = self._due = self._watch.changed() or self._due
        if changed:
            for row in self._models.sync():
                if (row.model, row.version) not in self._failed:
                    self._try_load(row)
            for asked in self._preparations():
                self._prepare(asked)
                self._answered = asked.seq
            self._due = False
        switched = self._models.take_switched()
        if switched:
            self._record(switched)
        if changed or switched:
            self._followed(switched)

    def _preparations(self) -> list[Preparation]:
        with self._state.read() as conn:
            asked = processes.preparations(conn, after=self._answered)
        return [p for p in asked if p.at > self._clock() - PREPARATION_AGE]

    def _prepare(self, asked: Preparation) -> None:
        began = perf_counter()
        fault = self._fault_of(asked)
        load_ms = (perf_counter() - began) * 1000
        with self._state.write() as conn:
            processes.acknowledge(
                conn, asked.seq, self._process_id, ok=fault is None, detail=fault or "", load_ms=load_ms,
                at=self._clock(),
            )  # fmt: skip

    def _fault_of(self, asked: Preparation) -> str | None:
        """Load what is asked for; returns what stood against it."""
        try:
            row = self._models.version_row(asked.model, asked.version)
        except NotFound as error:
            return str(error)
        with _one_at_a_time(self._lock_file):
            return self._try_load(row)

    def _try_load(self, row: VersionRow) -> str | None:
        """Load a version; returns what stood against it: a broken artifact must not take the other models down."""
        warm, began = self._models.is_warm(row.model, row.version), perf_counter()
        try:
            self._models.load(row)
        except Exception as error:
            _log.exception("%s version %d could not be loaded", row.model, row.version)
            self._loaded(row.model, None)
            fault = str(error) if isinstance(error, PilothouseError) else f"{type(error).__name__}: {error}"
            self._failed[row.model, row.version] = fault
            return fault
        self._failed.pop((row.model, row.version), None)
        if not warm:
            self._loaded(row.model, perf_counter() - began)
        return None

    def _record(self, switched: list[Switched]) -> None:
        try:
            with self._state.write() as conn:
                for switch in switched:
                    noted = processes.Switch(
                        deployment_seq=switch.deployment_seq, process_id=self._process_id, at=switch.at,
                        spool=self._place(),
                    )  # fmt: skip
                    processes.record_switch(conn, noted)
        except (PilothouseError, SQLAlchemyError):
            self._models.give_back(switched)
            raise


@contextmanager
def _one_at_a_time(lock_file: Path) -> Iterator[None]:
    """The workers of a host load one after the other: together they would leave requests no processor."""
    with lock_file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def step_back() -> None:
    """Let requests go first: this thread gets the lowest priority, where threads have one of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)

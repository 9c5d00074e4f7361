"""The leases of one process: taken when needed, renewed while it lives, let go at its end."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection

from pilothouse.data.errors import LeaseLost, StoreBusy
from pilothouse.data.state import leases
from pilothouse.data.state.leases import Lease
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock

TTL = timedelta(seconds=20)
_RENEW_EVERY_S = 5.0
_LOOK_EVERY_S = 0.1
BORROWED_WITHIN_S = 60.0


class Holdings:
    """holder : stable over restarts of a process slot, so that a restart need not wait for its own old leases."""

    def __init__(self, state: State, holder: str, clock: Clock) -> None:
        self.state, self.holder, self.clock = state, holder, clock
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def hold(self, name: str) -> bool:
        """Whether this process holds `name`, now or already."""
        with self._lock:
            if name in self._held:
                return True
            with self.state.write() as conn:
                if leases.wanted(conn, name, self.holder, self.clock()):
                    return False
                lease = leases.acquire(conn, name, self.holder, self.clock(), TTL)
            if lease is not None:
                self._held[name] = lease
            return lease is not None

    def renew(self) -> None:
        """Hold on to all of them; one that another has taken meanwhile is dropped."""
        with self._lock:
            if not self._held:
                return
            with self.state.write() as conn:
                self._held = {name: lease for name, lease in self._held.items() if self._renewed(conn, lease)}

    def lend(self) -> None:
        """Let go of those that somebody waits for in `borrowed`. To be called where nothing is in the middle."""
        with self._lock:
            if not self._held:
                return
            with self.state.read() as conn:
                asked = [name for name in self._held if leases.wanted(conn, name, self.holder, self.clock())]
            if asked:
                with self.state.write() as conn:
                    for name in asked:
                        leases.release(conn, self._held.pop(name))

    def release(self) -> None:
        with self._lock, self.state.write() as conn:
            for lease in self._held.values():
                leases.release(conn, lease)
            self._held.clear()

    def _renewed(self, conn: Connection, lease: Lease) -> bool:
        try:
            leases.renew(conn, lease, self.clock(), TTL)
        except LeaseLost:
            return False
        return True


@contextmanager
def borrowed(
    state: State, clock: Clock, *names: str, within_s: float = BORROWED_WITHIN_S, holder: str = ""
) -> Iterator[None]:
    """Hold the leases `names` for the length of the block, in the place of a worker that has them all day.

    holder : a name that a second try bears too, which then need not wait for the leases of one that was killed.
    Raises StoreBusy when they are not to be had within `within_s`: somebody else is at a long piece of work.
    """
    own = holder or f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    holdings = Holdings(state, own, clock)
    done = threading.Event()

    def keep() -> None:
        while not done.wait(_RENEW_EVERY_S):
            holdings.renew()

    renewing = threading.Thread(target=keep, name="borrowed leases", daemon=True)
    renewing.start()
    try:
        deadline = time.monotonic() + within_s
        for name in (*map(leases.asking, names), *names):
            while not holdings.hold(name):
                if time.monotonic() > deadline:
                    raise StoreBusy(f"The work on {name.removesuffix(' wanted')}")
                time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        done.set()
        renewing.join()
        holdings.release()

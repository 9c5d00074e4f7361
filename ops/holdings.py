"""The leases of one process: taken when needed, renewed while it lives, let go at its end."""

from __future__ import annotations

import threading
from datetime import timedelta

from sqlalchemy import Connection

from pilothouse.data.errors import LeaseLost
from pilothouse.data.state import leases
from pilothouse.data.state.leases import Lease
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock

TTL = timedelta(seconds=20)


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

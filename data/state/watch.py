"""Whether anybody has written to the state store since the last look: cheap enough to ask ten times a second."""

from __future__ import annotations

import time
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from pilothouse.data.state.engines import CHANNEL
from pilothouse.data.state.store import State

LOOK_ANYWAY_S = 1.0
"""How long PostgreSQL's messages are relied on: a proxy between may swallow them, or a line be dead without a word."""


class Watch:
    """Follows the commits of all other connections, of this process and of every other, here or on another host."""

    def __init__(self, state: State) -> None:
        self._source: _Source = (
            _SqliteCounter(state.engine) if state.engine.dialect.name == "sqlite" else _PostgresMessages(state.engine)
        )

    def changed(self) -> bool:
        """Whether a commit has come since the last call; True at the first one. It may say yes without a reason."""
        return self._source.changed()

    def close(self) -> None:
        self._source.close()


class _Source(Protocol):
    def changed(self) -> bool: ...

    def close(self) -> None: ...


class _SqliteCounter:
    """SQLite counts the commits of others itself."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection()
        self._seen: object = None

    def changed(self) -> bool:
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        before, self._seen = self._seen, cursor.fetchone()
        cursor.close()
        return before != self._seen

    def close(self) -> None:
        self._connection.close()


class _PostgresMessages:
    """PostgreSQL sends a message at every commit of a writer; looking for one asks the socket, not the server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line: Any = None
        self._told_at = float("-inf")

    def changed(self) -> bool:
        if self._heard() or time.monotonic() - self._told_at > LOOK_ANYWAY_S:
            self._told_at = time.monotonic()
            return True
        return False

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _heard(self) -> bool:
        """Whether a message has come. A line that was lost is laid anew; what came meanwhile may have been missed."""
        import psycopg

        try:
            if self._line is None:
                self._line = self._listening()
                return True
            return any(True for _ in self._line.notifies(timeout=0))
        except (psycopg.OperationalError, DBAPIError):
            # Not reported here: whoever looks at the store next is told what is wrong with it.
            self.close()
            return True

    def _listening(self) -> Any:
        """A connection of its own: one that listens must not go back to the pool."""
        connection = self._engine.raw_connection()
        line: Any = connection.driver_connection
        connection.detach()
        line.rollback()
        line.autocommit = True
        line.execute(f"LISTEN {CHANNEL}")
        return line

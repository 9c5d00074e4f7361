"""The state store: one SQLAlchemy engine, and the two ways to talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event
from sqlalchemy.exc import OperationalError

from pilothouse.data.errors import StoreBusy

_BUSY_TIMEOUT_MS = 5_000


def _make_engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: object) -> None:
            # The driver must not open transactions by itself: its deferred BEGIN loses concurrent updates.
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            write = connection.get_execution_options().get("pilothouse_write", True)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def plain_row(row: Row[Any]) -> dict[str, Any]:
    """The row's values by column, under plain strings: the driver's own keys are a subclass that converters refuse."""
    return {str(name): value for name, value in row._asdict().items()}


@dataclass(frozen=True, slots=True)
class State:
    """Models, versions, deployments, runs, leases and the audit trail. Readers never wait for writers.

    Every function of `pilothouse.data.state` takes a connection first, so that an act and its audit row
    share one transaction.
    """

    engine: Engine

    @classmethod
    def open(cls, url: str) -> State:
        """Open the store at `url` and bring its tables up to date. A new SQLite file is readable by its owner alone."""
        from pilothouse.data.state.migrate import upgrade

        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).touch(mode=0o600)
        engine = _make_engine(url)
        upgrade(engine)
        return cls(engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; commits at the end, rolls back on an error.

        Raises StoreBusy when the lock is not to be had within five seconds.
        """
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading: one consistent picture of the store."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            ready = connection.execution_options(pilothouse_write=write)
            try:
                transaction = ready.begin()
            except OperationalError as error:
                raise StoreBusy("The state store") from error
            with transaction:
                yield ready

    def close(self) -> None:
        self.engine.dispose()

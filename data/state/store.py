"""The state store: one SQLAlchemy engine, and the two ways to talk to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction, Row
from sqlalchemy.exc import DBAPIError, TimeoutError

from pilothouse.data.settings import IN_WORKSPACE, Settings
from pilothouse.data.state.engines import (
    BUSY_TIMEOUT_MS,
    broken_off,
    for_transaction,
    make_engine,
    may_pass,
    unavailable,
)
from pilothouse.data.workspace import Workspace

_PATIENCE_S = BUSY_TIMEOUT_MS / 1000
_AGAIN_AFTER_S = 0.1


def state_url(workspace: Workspace, settings: Settings) -> str:
    """Where the state is: the setting's database, or the workspace's own file."""
    return workspace.state_url if settings.state_url == IN_WORKSPACE else settings.state_url


def jobs_url(workspace: Workspace, settings: Settings) -> str:
    """Where the engine of the jobs keeps its own books, likewise."""
    return workspace.jobs_url if settings.jobs_url == IN_WORKSPACE else settings.jobs_url


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
        """Open the store at `url` and bring its tables up to date. A new SQLite file is readable by its owner alone.

        url : sqlite:///FILE or postgresql://USER@HOST/DATABASE. Raises InvalidSetting, StoreBusy or StoreDown.
        """
        from pilothouse.data.state.migrate import upgrade

        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).touch(mode=0o600)
        state = cls(make_engine(url))
        upgrade(state)
        return state

    @classmethod
    def of(cls, workspace: Workspace, settings: Settings) -> State:
        """The store of a workspace, wherever its settings say that it is. Raises what `open` raises."""
        return cls.open(state_url(workspace, settings))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; commits at the end, rolls back on an error.

        Raises StoreBusy when the lock is not to be had within five seconds, StoreDown when the database is not.
        """
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading: one consistent picture of the store. Raises what `write` raises."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[Connection]:
        transaction, done = self._begun(write), False
        try:
            with transaction.connection, transaction:
                yield transaction.connection
                done = True
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise broken_off(error, in_doubt=write and done) from error

    def _begun(self, write: bool) -> RootTransaction:
        """A transaction on a connection of its own. A server that is being restarted is waited for."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._begin(write)
            except (DBAPIError, TimeoutError) as error:
                reason = unavailable(error)
                if not may_pass(error) or time.monotonic() > deadline:
                    raise reason from error
            time.sleep(_AGAIN_AFTER_S)

    def _begin(self, write: bool) -> RootTransaction:
        connection = self.engine.connect()
        try:
            return for_transaction(connection, write=write).begin()
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self.engine.dispose()

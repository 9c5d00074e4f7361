"""The two databases that can hold the state: a SQLite file, or PostgreSQL. What is different about them stands here.

Writers are let in one by one in both. SQLite does so by itself (BEGIN IMMEDIATE). On PostgreSQL every writing
transaction takes one advisory lock first: SERIALIZABLE would instead end transactions at their commit, to be run again
from their start, which a `with` block cannot be. With a writer alone, READ COMMITTED shows it all that came before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, TimeoutError

from pilothouse.data.errors import InvalidSetting, StoreBusy, StoreDown, Unavailable

BUSY_TIMEOUT_MS = 5_000
CHANNEL = "pilothouse_state"
"""What PostgreSQL is told at every commit of a writer, for those who `LISTEN`."""

_WRITE = "pilothouse_write"
_LOCK = 7_046_029_254_386_353_131
_IDLE_MS = 60_000
_STORE = "The state store"
_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6
_LOCK_NOT_AVAILABLE = "55P03"
_ALLOWED = "sqlite (a file in the workspace), or postgresql://USER@HOST:PORT/DATABASE"
_PSYCOPG = "postgresql+psycopg"


def make_engine(url: str) -> Engine:
    """An engine on `url`, sqlite:///FILE or postgresql://...; nothing is connected yet. Raises InvalidSetting."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Before a connection is handed out it is tried: after a restart of the server those in the pool are dead.
    engine = create_engine(
        parsed, pool_pre_ping=True, pool_timeout=BUSY_TIMEOUT_MS / 1000, connect_args=_postgres_arguments()
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


def for_transaction(connection: Connection, *, write: bool) -> Connection:
    """The connection, set up for one transaction: a writer waits for the lock, a reader sees one picture throughout."""
    if write or connection.dialect.name == "sqlite":
        return connection.execution_options(**{_WRITE: write})
    return connection.execution_options(**{_WRITE: False}, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def unavailable(error: Exception) -> Unavailable:
    """Why no transaction could begin, by its real reason: another writer, or a database that cannot be used."""
    reason = getattr(error, "orig", None)
    code = getattr(reason, "sqlite_errorcode", 0) & 0xFF
    locked = code in (_SQLITE_BUSY, _SQLITE_LOCKED) or getattr(reason, "sqlstate", None) == _LOCK_NOT_AVAILABLE
    return StoreBusy(_STORE) if locked or isinstance(error, TimeoutError) else StoreDown(_first_line(reason or error))


def broken_off(error: DBAPIError, *, in_doubt: bool) -> StoreDown:
    """For a connection that was lost in the middle. in_doubt : the commit was under way, and may have been done."""
    return StoreDown(_first_line(error.orig or error), in_doubt=in_doubt)


def may_pass(error: Exception) -> bool:
    """Whether a beginning that failed may succeed in a moment: PostgreSQL is starting, or was restarted."""
    return isinstance(error, OperationalError) and _backend(error) == "psycopg"


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidSetting("state_url", "that text", _ALLOWED, "which is no URL") from None
    if parsed.get_backend_name() == "sqlite":
        return parsed
    if parsed.drivername not in ("postgresql", "postgres", _PSYCOPG):
        raise InvalidSetting("state_url", f"{parsed.drivername}://...", _ALLOWED, "state store")
    return parsed.set(drivername=_PSYCOPG)


def _postgres_arguments() -> dict[str, object]:
    # Times are read in the session's zone: in one west of Greenwich the year 1 would be before all years.
    # A process that is stopped in the middle of a transaction must not keep all others out for ever.
    limits = f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_MS} -c idle_in_transaction_session_timeout={_IDLE_MS}"
    return {
        "connect_timeout": BUSY_TIMEOUT_MS // 1000,
        "application_name": "pilothouse",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "options": limits,
    }


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver must not open transactions by itself: its deferred BEGIN loses concurrent updates.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK}), pg_notify('{CHANNEL}', '')")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_WRITE, True))


def _backend(error: OperationalError) -> str:
    return type(error.orig).__module__.split(".")[0]


def _first_line(reason: BaseException) -> str:
    return (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")

"""The state moved from one database to another, row by row: how it leaves PostgreSQL, and how it gets there."""

from __future__ import annotations

from sqlalchemy import Connection, Integer, Table, func, insert, select, text

from pilothouse.data.errors import AlreadyExists
from pilothouse.data.state.store import State
from pilothouse.data.state.tables import metadata

_ROWS = 1_000


def refuse_filled(state: State) -> None:
    """Raises AlreadyExists unless the store holds nothing yet."""
    with state.read() as conn:
        _refuse_filled(conn)


def transfer(source: State, target: State) -> None:
    """Copy everything, as it stands at one moment, into `target`, in one transaction. Raises what `refuse_filled` does."""
    with source.read() as ours, target.write() as theirs:
        _refuse_filled(theirs)
        for table in metadata.sorted_tables:
            for rows in ours.execute(select(table).execution_options(yield_per=_ROWS)).partitions():
                theirs.execute(insert(table), [dict(row._mapping) for row in rows])
            _count_on(theirs, table)


def _refuse_filled(conn: Connection) -> None:
    for table in metadata.sorted_tables:
        if conn.execute(select(table).limit(1)).first() is not None:
            raise AlreadyExists("A state in that database", "Name a database that is empty.")


def _count_on(conn: Connection, table: Table) -> None:
    """PostgreSQL's counters do not follow numbers that were given to them; SQLite's do."""
    key = table.autoincrement_column
    if conn.dialect.name != "postgresql" or key is None or not isinstance(key.type, Integer):
        return
    highest = conn.execute(select(func.max(key))).scalar()
    if highest is not None:
        conn.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :key), :highest)"),
            {"table": table.name, "key": key.name, "highest": highest},
        )

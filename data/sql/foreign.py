"""Other people's databases, opened to be read and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import CursorResult, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from pilothouse.data.errors import UnreadableSource

_ROWS = 65_536
_CHECK = "Check the address, and try the query where the database lives."


def duckdb_batches(file: Path, query: str) -> Iterator[pa.RecordBatch]:
    """What `query` gives on the DuckDB file, batch by batch. It sees that file alone. Raises UnreadableSource."""
    if not file.is_file():
        raise UnreadableSource(str(file), "it does not exist", "Check the path.")
    try:
        with duckdb.connect(str(file), read_only=True) as database:
            database.execute("SET TimeZone = 'UTC'")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            reader: pa.RecordBatchReader = database.sql(query).to_arrow_reader(_ROWS)
            yield from reader
    except duckdb.Error as error:
        raise UnreadableSource(file.name, _first_line(error), _CHECK) from error


@contextmanager
def open_foreign(url: str, query: str) -> Iterator[CursorResult[Any]]:
    """What `query` gives on SQLite or PostgreSQL, streamed and in a transaction that can only read.

    Raises UnreadableSource.
    """
    address = _read_only(make_url(url))
    try:
        engine = create_engine(address)
    except ModuleNotFoundError as error:
        raise UnreadableSource(
            address.render_as_string(), f"reading it needs {error.name}", "Run: pip install 'pilothouse[postgres]'"
        ) from error
    try:
        with engine.connect() as connection:
            if address.get_backend_name() == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True, stream_results=True)
            yield connection.execution_options(stream_results=True).execute(text(query))
    except SQLAlchemyError as error:
        raise UnreadableSource(address.render_as_string(), _first_line(error), _CHECK) from error
    finally:
        engine.dispose()


def _read_only(address: URL) -> URL:
    """SQLite's own read-only mode: a file that is not there is not made. PostgreSQL by psycopg."""
    if address.get_backend_name() == "sqlite":
        return address.set(database=f"file:{address.database}", query={"mode": "ro", "uri": "true"})
    return address.set(drivername="postgresql+psycopg")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]

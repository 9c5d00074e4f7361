"""DuckDB as Pilothouse opens it: in memory, in UTC, shut in, and told which files to read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from pilothouse.data.limits import interrupt_at_limit


def connect(folders: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """An empty in-memory database that reads files under `folders` and nothing else, and loads no extension.

    Use `.cursor()` for each query when threads share it. A limit around the caller ends its queries: see Limit.
    """
    database = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
    )
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET python_enable_replacements = false")
    database.execute("SET allowed_directories = $folders", {"folders": [str(folder) for folder in folders]})
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    interrupt_at_limit(lambda: _interrupt(database))
    return database


def _interrupt(database: duckdb.DuckDBPyConnection) -> None:
    # A database that was closed has no query left to end.
    with suppress(duckdb.ConnectionException):
        database.interrupt()


@cache
def statement(name: str) -> str:
    """The text of `<name>.sql` beside this module."""
    return (files("pilothouse.data.sql") / f"{name}.sql").read_text(encoding="utf-8")


def quoted(name: str) -> str:
    """`name` as an SQL identifier.

    >>> quoted("x_wind gust")
    '"x_wind gust"'
    """
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """`names` as a list of SQL identifiers."""
    return ", ".join(quoted(name) for name in names)


def sealed_and_unsealed(files_parameter: str | None, unsealed: str) -> str:
    """A relation over a Delta version's files (bound as the parameter named) and the registered table `unsealed`.

    files_parameter : None when there are no files; DuckDB refuses an empty list. A column that no file has comes from
    `unsealed`, which therefore carries the whole schema, be it without rows.
    """
    if files_parameter is None:
        return f"(SELECT * FROM {quoted(unsealed)})"
    sealed = f"read_parquet(${files_parameter}, union_by_name = true, hive_partitioning = true)"
    return f"(SELECT * FROM {sealed} UNION ALL BY NAME SELECT * FROM {quoted(unsealed)})"

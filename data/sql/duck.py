"""DuckDB as Pilothouse opens it: in memory, in UTC, shut in, and told which files to read."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from pilothouse.data.limits import interrupt_at_limit

_DATABASES_KEPT = 8
"""Databases that stay open for the next question: to open and close one takes longer than a small question."""
_databases: OrderedDict[tuple[int, tuple[str, ...]], duckdb.DuckDBPyConnection] = OrderedDict()
_lock = threading.Lock()


def connect(folders: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """A connection of its own to a database that reads files under `folders` and nothing else, and loads no extension.

    What is made or registered through it goes when it is closed. A limit around the caller ends its queries: see Limit.
    """
    readable = tuple(sorted({str(folder) for folder in folders}))
    with _lock:
        # A child process inherits the database without the threads that do its work.
        key = (os.getpid(), readable)
        database = _databases.pop(key, None) or _open(readable)
        _databases[key] = database
        while len(_databases) > _DATABASES_KEPT:
            _databases.popitem(last=False)
        connection = database.cursor()
    interrupt_at_limit(lambda: _interrupt(connection))
    return connection


def _open(folders: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(
        # As configuration, since what is set by a statement holds for that connection alone.
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            # A database that stays open would otherwise hold on to every file that it has ever read.
            "enable_external_file_cache": "false",
        },
    )
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET allowed_directories = $folders", {"folders": list(folders)})
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
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

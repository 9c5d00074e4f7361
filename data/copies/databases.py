"""SQLite files copied while others write to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from pilothouse.data.sql import copies as sql


def copy_sqlite(source: Path, target: Path) -> None:
    """A copy of the database `source` as it stands at one moment. Its writers go on meanwhile."""
    # Not read-only: the first to open a file that its writer left in a hurry has to put its log in order.
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as origin:
        with closing(sqlite3.connect(target)) as copy:
            origin.backup(copy)


def spool_id(path: Path) -> str:
    """The name under which the tables keep the marks of the spool at `path`."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute(sql.SPOOL_ID).fetchone()[0])


def go_on_after(path: Path, marks: Mapping[str, int]) -> None:
    """Let the spool at `path` number its next entries above its mark.

    A copy of a spool is older than the copy of the tables. Its numbers between the two stand for rows that the tables
    have; given to new rows, those would be taken for sealed and be lost.
    """
    with closing(sqlite3.connect(path)) as connection:
        mark = marks.get(connection.execute(sql.SPOOL_ID).fetchone()[0], 0)
        with connection:
            if not connection.execute(sql.RAISE_SEQUENCE, (mark,)).rowcount:
                connection.execute(sql.SET_SEQUENCE, (mark,))

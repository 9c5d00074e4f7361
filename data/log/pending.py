"""The reading side of spool files: what waits to be sealed, whoever wrote it and whether or not it still runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilothouse.data.log.spool import BUSY_TIMEOUT_S, EntryKind, Format, connect
from pilothouse.data.sql import spool as sql

WORTH_SHRINKING = 32 * 1024 * 1024
"""Free bytes of a spool file from which they are given back; less is soon used again."""

_FEW_BYTES = 1024 * 1024
_SHRINK_WAIT_MS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry as it stands in a spool, under its sequence number."""

    seq: int
    format: Format
    caller_ids: bool
    rows: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be read at once. The first entry is read however large it is."""

    rows: int
    size: int

    def without(self, entries: list[Stored]) -> Budget:
        return Budget(rows=self.rows - sum(e.rows for e in entries), size=self.size - sum(len(e.body) for e in entries))

    @property
    def left(self) -> bool:
        return self.rows > 0 and self.size > 0


class SpoolFile:
    """One spool file, opened beside its writer. `id` names it in the marks of the tables."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.id: str = connection.execute(sql.ID).fetchone()[0]

    def waiting(self) -> set[tuple[str, EntryKind]]:
        """Models and kinds that have entries here."""
        return {(model, EntryKind(kind)) for model, kind in self._connection.execute(sql.WAITING)}

    def read(self, model: str, kind: EntryKind, *, after: int | None, budget: Budget | None = None) -> list[Stored]:
        """Entries with a sequence number above `after`, oldest first, until `budget` is used up."""
        found: list[Stored] = []
        cursor = self._connection.execute(sql.READ, (model, kind, after or 0))
        for seq, format_, caller_ids, rows, body in cursor:
            found.append(Stored(seq=seq, format=Format(format_), caller_ids=bool(caller_ids), rows=rows, body=body))
            if budget is not None:
                budget = budget.without(found[-1:])
                if not budget.left:
                    break
        cursor.close()
        return found

    def count(self, model: str, kind: EntryKind, *, after: int | None) -> int:
        """Rows (not entries) with a sequence number above `after`."""
        return int(self._connection.execute(sql.COUNT, (model, kind, after or 0)).fetchone()[0])

    def oldest(self, model: str, kind: EntryKind) -> int | None:
        """The lowest sequence number that stands here."""
        found: int | None = self._connection.execute(sql.OLDEST, (model, kind)).fetchone()[0]
        return found

    def forget(self, model: str, kind: EntryKind, *, upto: int) -> None:
        """Delete entries up to and with `upto`. Only to be called when the table that holds them is on disk."""
        self._connection.execute(sql.FORGET, (model, kind, upto))

    def set_aside(self, seq: int, reason: str, now: datetime) -> None:
        """Move an entry that cannot be read out of the way, with the reason; its bytes are kept."""
        with self._connection as connection:
            connection.execute(sql.BEGIN)
            connection.execute(sql.SET_ASIDE, (reason, now.isoformat(), seq))
            connection.execute(sql.DROP, (seq,))

    def shrink(self) -> bool:
        """Give back the disk of a file that is large and all but empty, as after a bulk import; whether it was done.

        Safe beside the writer: sequence numbers stay, and it waits as for any other commit. Only what is left is
        copied, so that takes milliseconds; a writer that never pauses goes first, and the next seal tries again.
        """
        free, used = self._connection.execute(sql.SPACE).fetchone()
        if free < WORTH_SHRINKING or used > _FEW_BYTES:
            return False
        self._connection.execute(sql.WAIT.format(milliseconds=_SHRINK_WAIT_MS))
        try:
            self._connection.execute(sql.SHRINK)
            return not self._connection.execute(sql.CHECKPOINT).fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        finally:
            self._connection.execute(sql.WAIT.format(milliseconds=int(BUSY_TIMEOUT_S * 1000)))

    def rows_set_aside(self, model: str) -> int:
        """Rows of `model` that stand here because they could not be read."""
        return int(self._connection.execute(sql.COUNT_SET_ASIDE, (model,)).fetchone()[0])


@contextmanager
def pending(folder: Path) -> Iterator[list[SpoolFile]]:
    """All spool files of `folder`, opened for the length of the block."""
    opened: list[tuple[Path, sqlite3.Connection]] = []
    try:
        for path in sorted(folder.glob("*.sqlite")):
            if not path.name.startswith("."):
                opened.append((path, connect(path)))
        yield [SpoolFile(path, connection) for path, connection in opened]
    finally:
        for _, connection in opened:
            connection.close()

"""The reading side of spool files: what waits to be sealed, whoever wrote it and whether or not it still runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilothouse.data.delta.checks import checking
from pilothouse.data.errors import DamagedFile
from pilothouse.data.log.spool import BUSY_TIMEOUT_S, EntryKind, Format, connect, crc_of
from pilothouse.data.log.witness import SPOOL, Count, Stream, counts_in, missing, read_witness, spool_id
from pilothouse.data.sql import spool as sql

WORTH_SHRINKING = 32 * 1024 * 1024
"""Free bytes of a spool file from which they are given back; less is soon used again."""

ALTERED = "its checksum does not hold: it was altered after it was written"
LOST = "the spool was damaged, and the entry is not in it any more"

_FEW_BYTES = 1024 * 1024
_SHRINK_WAIT_MS = 100
_looked_over: set[tuple[str, int, int]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry as it stands in a spool, under its sequence number. `fault`: why it is not what was written, or None."""

    seq: int
    format: Format
    caller_ids: bool
    rows: int
    body: bytes
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An entry that could not be read, and why; its bytes are kept in the spool."""

    kind: str
    rows: int
    reason: str
    at: datetime


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
        with _telling_damage(path):
            self.id = spool_id(path, connection)

    def missing(self) -> dict[Stream, Count]:
        """Entries that were acknowledged, and have neither been forgotten nor stand here."""
        # What was told is read first: the writer tells after it has written.
        told = read_witness(self.path) if checking() else None
        with _telling_damage(self.path):
            return {} if told is None else missing(told.counts, counts_in(self._connection))

    def give_up_missing(self, now: datetime) -> int:
        """Count what is missing among what was set aside, from where the pages show it; returns its rows."""
        if not self.missing():
            return 0
        told = read_witness(self.path)
        with _telling_damage(self.path), self._connection as connection:
            connection.execute(sql.BEGIN)
            # Another sealer may have been faster.
            lost = missing(told.counts, counts_in(connection)) if told else {}
            for (model, kind), count in lost.items():
                given_up = {"model": model, "kind": kind, "entries": count.entries, "rows": count.rows}
                connection.execute(sql.GIVE_UP, given_up)
                connection.execute(sql.TELL_GIVEN_UP, given_up | {"reason": LOST, "at": now.isoformat()})
        return sum(count.rows for count in lost.values())

    def waiting(self) -> set[tuple[str, EntryKind]]:
        """Models and kinds that have entries here."""
        return {(model, EntryKind(kind)) for model, kind in self._streams() if kind in set(EntryKind)}

    def strays(self, models: Collection[str]) -> list[Stored]:
        """Entries under none of `models` whose checksum says that they were not written so."""
        streams = [(m, kind) for m, kind in self._streams() if m not in models or kind not in set(EntryKind)]
        return [s for m, kind in streams for s in self._stored(m, kind, 0) if s.fault is not None]

    def read(self, model: str, kind: EntryKind, *, after: int | None, budget: Budget | None = None) -> list[Stored]:
        """Entries with a sequence number above `after`, oldest first, until `budget` is used up.

        Raises DamagedFile when SQLite cannot make sense of the file.
        """
        found: list[Stored] = []
        for stored in self._stored(model, kind, after or 0):
            found.append(stored)
            if budget is not None:
                budget = budget.without(found[-1:])
                if not budget.left:
                    break
        return found

    def _stored(self, model: str, kind: str, after: int) -> Iterator[Stored]:
        with _telling_damage(self.path), closing(self._connection.execute(sql.READ, (model, kind, after))) as cursor:
            for seq, format_, caller_ids, rows, body, crc in cursor:
                yield _checked(seq, model, kind, format_, caller_ids, rows, body, crc)

    def _streams(self) -> list[tuple[str, str]]:
        with _telling_damage(self.path):
            return self._connection.execute(sql.WAITING).fetchall()

    def count(self, model: str, kind: EntryKind, *, after: int | None) -> int:
        """Rows (not entries) with a sequence number above `after`."""
        return int(self._connection.execute(sql.COUNT, (model, kind, after or 0)).fetchone()[0])

    def oldest(self, model: str, kind: EntryKind) -> int | None:
        """The lowest sequence number that stands here."""
        found: int | None = self._connection.execute(sql.OLDEST, (model, kind)).fetchone()[0]
        return found

    def forget(self, model: str, kind: EntryKind, *, upto: int) -> None:
        """Delete entries up to and with `upto`. Only to be called when the table that holds them is on disk."""
        with _telling_damage(self.path):
            self._connection.execute(sql.FORGET, (model, kind, upto))

    def set_aside(self, seq: int, reason: str, now: datetime) -> None:
        """Move an entry that cannot be read out of the way, with the reason; its bytes are kept."""
        with _telling_damage(self.path), self._connection as connection:
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

    def listed_set_aside(self, model: str, limit: int = 100) -> list[SetAside]:
        """The newest entries of `model` that could not be read."""
        found = self._connection.execute(sql.LIST_SET_ASIDE, (model, limit))
        return [
            SetAside(kind=kind, rows=rows, reason=reason, at=datetime.fromisoformat(at))
            for kind, rows, reason, at in found
        ]

    def rows_set_aside(self, model: str) -> int:
        """Rows of `model` that stand here because they could not be read."""
        return int(self._connection.execute(sql.COUNT_SET_ASIDE, (model,)).fetchone()[0])


@contextmanager
def pending(folder: Path, *, left_out: list[DamagedFile] | None = None) -> Iterator[list[SpoolFile]]:
    """All spool files of `folder`, opened for the length of the block.

    left_out : takes the damage of files that cannot be read, which are then missing, and of those that have lost entries,
    which are not; without it DamagedFile is raised.
    """
    opened: list[sqlite3.Connection] = []
    files = []
    try:
        for path in _spool_paths(folder):
            try:
                if not path.exists():
                    raise DamagedFile(SPOOL, path.name, "the file is missing")
                with _telling_damage(path):
                    opened.append(connect(path))
                    # A text may have been altered into something that is none; its checksum will tell.
                    opened[-1].text_factory = _any_text
                    _check_once(path, opened[-1])
                files.append(SpoolFile(path, opened[-1]))
                if lost := files[-1].missing():
                    raise DamagedFile(SPOOL, path.name, _missing_sentence(lost))
            except DamagedFile as damage:
                if left_out is None:
                    raise
                left_out.append(damage)
        yield files
    finally:
        for connection in opened:
            connection.close()


def _checked(
    seq: int, model: str, kind: str, format_: str, caller_ids: int, rows: int, body: bytes, crc: int | None
) -> Stored:
    """The entry, with a fault when it is not what was written; its fields then are mere guesses, even in their type."""
    try:
        whole = crc is None or not checking() or crc == crc_of(seq, model, kind, format_, bool(caller_ids), rows, body)
    except (TypeError, ValueError):
        whole = False
    if whole:
        return Stored(seq=seq, format=Format(format_), caller_ids=bool(caller_ids), rows=rows, body=body)
    guessed = rows if isinstance(rows, int) else 1
    return Stored(seq=seq, format=Format.JSON, caller_ids=False, rows=guessed, body=b"", fault=ALTERED)


def _check_once(path: Path, connection: sqlite3.Connection) -> None:
    """Let SQLite look over its pages when this process meets the file first: a lost page would be lost rows."""
    status = path.stat()
    if (identity := (str(path), status.st_dev, status.st_ino)) in _looked_over or not checking():
        return
    (said,) = connection.execute(sql.CHECK).fetchone()
    if said != "ok":
        raise DamagedFile(SPOOL, path.name, said)
    _looked_over.add(identity)


def _spool_paths(folder: Path) -> list[Path]:
    """Spool files, and those that are told of but gone."""
    there = {path for path in folder.glob("*.sqlite") if not path.name.startswith(".")}
    return sorted(there | {path.with_suffix(".sqlite") for path in folder.glob("*.last")})


def _missing_sentence(lost: Mapping[Stream, Count]) -> str:
    """What is missing, a part for each model and kind.

    >>> _missing_sentence({("flights", "labels"): Count(2, 12)})
    'acknowledged entries are not in it any more: 12 rows of flights (labels)'
    """
    parts = [f"{count.rows:,} rows of {model} ({kind})" for (model, kind), count in sorted(lost.items())]
    return f"acknowledged entries are not in it any more: {', '.join(parts)}"


def _any_text(content: bytes) -> str:
    return content.decode(errors="replace")


@contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Busy, full, unreadable for the moment: not damage. A table or a column that is not there any more: damage.
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise DamagedFile(SPOOL, path.name, str(error)) from error

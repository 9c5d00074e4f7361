"""What a spool has taken in all, told beside it: SQLite drops the end of a damaged file without a word.

`<spool>.last` is written after each commit and never synced: after a power cut it may be older than the spool, or torn,
but it never tells of more than had been committed. So a spool that holds less than it tells has lost acknowledged rows.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilothouse.data.errors import DamagedFile
from pilothouse.data.sql import spool as sql


class Count(NamedTuple):
    """Entries, and the rows in them."""

    entries: int
    rows: int


Stream = tuple[str, str]
"""A model and a kind of entry."""

Counts = Mapping[Stream, Count]
SPOOL = "spool"
"""What DamagedFile calls the table of a spool file."""

_NONE = Count(0, 0)


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """spool : its id. last : its highest sequence number. taken : (model, kind, entries, rows) ever committed."""

    spool: str
    last: int
    taken: list[tuple[str, str, int, int]]

    @property
    def counts(self) -> Counts:
        return {(model, kind): Count(entries, rows) for model, kind, entries, rows in self.taken}


def witness_path(spool: Path) -> Path:
    return spool.with_suffix(".last")


def read_witness(spool: Path) -> Witness | None:
    """What is told beside the spool file; None when nothing is, or when it is not what was written."""
    try:
        said, _, rest = witness_path(spool).read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return msgspec.json.decode(said, type=Witness) if rest.partition(b"\n")[0] == _crc(said) else None


def missing(told: Counts, found: Counts) -> dict[Stream, Count]:
    """What was taken and is neither there nor forgotten on purpose.

    Nothing as long as there are as many entries in all: then an entry's model was altered, which its checksum tells.

    >>> missing({("m", "labels"): Count(3, 30)}, {("m", "labels"): Count(2, 20)})
    {('m', 'labels'): Count(entries=1, rows=10)}
    """
    if sum(count.entries for count in found.values()) >= sum(count.entries for count in told.values()):
        return {}
    short = {stream: _less(count, found.get(stream, _NONE)) for stream, count in told.items()}
    return {stream: count for stream, count in short.items() if count.entries > 0}


def counts_in(connection: sqlite3.Connection) -> dict[Stream, Count]:
    """What the spool file has taken as it says itself: what waits, and what was deleted since."""
    return {(model, kind): Count(entries, rows) for model, kind, entries, rows in connection.execute(sql.COUNTS)}


def spool_id(spool: Path, connection: sqlite3.Connection) -> str:
    """The name of the spool in the marks of the tables. Raises DamagedFile when another was told beside it."""
    found: str = connection.execute(sql.ID).fetchone()[0]
    told = read_witness(spool)
    if told is not None and told.spool != found:
        raise DamagedFile(SPOOL, spool.name, f"it is named {found!r}, not {told.spool!r}")
    return found


class Tally:
    """The writer's count of what it has committed, and the file in which it tells that. `last`: sequence number."""

    def __init__(self, spool: Path) -> None:
        self._spool, self._id = spool, ""
        self._counts: dict[Stream, Count] = {}
        self._file: int | None = None
        self.last = 0

    def resume(self, connection: sqlite3.Connection) -> None:
        """Go on after whichever is ahead, the file or what was told of it: no number may be given out twice.

        Raises DamagedFile when it was told of another file.
        """
        self._id, told = spool_id(self._spool, connection), read_witness(self._spool)
        self.last = max(self.last, connection.execute(sql.LAST).fetchone()[0], told.last if told else 0)
        self._ahead(counts_in(connection))
        self._ahead(told.counts if told else {})

    def add(self, entries: Iterable[tuple[str, str, int]]) -> None:
        """Count the model, kind and rows of entries just committed, and tell."""
        for model, kind, rows in entries:
            self.last += 1
            before = self._counts.get((model, kind), _NONE)
            self._counts[model, kind] = Count(before.entries + 1, before.rows + rows)
        self._tell()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _ahead(self, counts: Counts) -> None:
        for stream, count in counts.items():
            self._counts[stream] = max(count, self._counts.get(stream, _NONE))

    def _tell(self) -> None:
        taken = [(*stream, *count) for stream, count in self._counts.items()]
        said = msgspec.json.encode(Witness(spool=self._id, last=self.last, taken=taken))
        if self._file is None:
            self._file = os.open(witness_path(self._spool), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._file, b"%b\n%b\n" % (said, _crc(said)), 0)


def _less(count: Count, other: Count) -> Count:
    return Count(count.entries - other.entries, max(0, count.rows - other.rows))


def _crc(said: bytes) -> bytes:
    return f"{zlib.crc32(said):08x}".encode()

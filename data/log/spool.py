"""The spool: where a row is safe before anyone is told so. One SQLite file for each writing process at a time.

One thread takes everything that waits and commits it in one transaction: the slower the disk, the larger the group.
There is no timer. A file outlives its process: `pending.py` reads what is left, and the next process goes on in it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import IO, NamedTuple

from pilothouse.data.errors import DamagedFile, LogUnavailable, Unavailable
from pilothouse.data.log.room import Limits, Room
from pilothouse.data.log.witness import Tally, witness_path
from pilothouse.data.names import checked_name
from pilothouse.data.settings import Settings
from pilothouse.data.sql import spool as sql
from pilothouse.data.store import fsync_folder

BUSY_TIMEOUT_S = 5.0
_SLOTS = 1000
_log = logging.getLogger(__name__)


class EntryKind(StrEnum):
    PREDICTIONS = "predictions"
    LABELS = "labels"


class Format(StrEnum):
    """How a body is written: one JSON object as `entries.py` describes it, or an Arrow IPC stream."""

    JSON = "json"
    ARROW = "arrow"


class Durability(StrEnum):
    """When a row counts as taken: synced to disk, written, or at once."""

    FULL = "full"
    NORMAL = "normal"
    ASYNC = "async"

    @property
    def synchronous(self) -> str:
        return {"full": "FULL", "normal": "NORMAL", "async": "OFF"}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one request leaves in the log. `caller_ids`: the caller chose the ids, so a retry may bring them again."""

    model: str
    kind: EntryKind
    format: Format
    caller_ids: bool
    rows: int
    body: bytes


Settled = Callable[[LogUnavailable | None], None]


Committed = Callable[[int, float], None]


def _untold(_rows: int, _lag_s: float) -> None:
    """For spools of whose commits nobody needs to know."""


class _Group(NamedTuple):
    """Entries handed over together, `at` by the clock of `perf_counter`. `settled` is told once what became of them."""

    entries: Sequence[Entry]
    settled: Settled
    at: float


def crc_of(seq: int, model: str, kind: str, format: str, caller_ids: bool, rows: int, body: bytes) -> int:
    """The checksum of an entry: CRC-32 over all its fields, its number among them.

    >>> crc_of(1, "m", "labels", "json", False, 1, b"{}") != crc_of(2, "m", "labels", "json", False, 1, b"{}")
    True
    """
    return zlib.crc32(body, zlib.crc32(f"{seq}|{model}|{kind}|{format}|{caller_ids:d}|{rows}|".encode()))


Connect = Callable[[Path, Durability], sqlite3.Connection]


def connect(path: Path, durability: Durability = Durability.FULL) -> sqlite3.Connection:
    """A connection to the spool file at `path`, which must exist, in autocommit mode.

    A file of before there were checksums, and counts of what was forgotten, is given the room for them.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA synchronous = {durability.synchronous}")
        # What is sealed is deleted at once; an erasure overwrites what is left of it, which others need not.
        connection.execute(sql.LEAVE_FREE_PAGES)
        if not connection.execute(sql.HAS_CRC).fetchone()[0]:
            connection.execute(sql.ADD_CRC)
        if not connection.execute(sql.HAS_FORGOTTEN).fetchone()[0]:
            connection.executescript(sql.ADD_FORGOTTEN)
    except BaseException:
        # Left open, it would live on in the error's traceback, and its share of SQLite's memory with it.
        connection.close()
        raise
    return connection


class Spool:
    """A process's own place in the log. `open` takes one; `close` gives it back with everything written.

    Not to be shared over a fork. `lost_rows` counts rows accepted under `async` durability that the disk then refused.
    committed : told in the writer's thread, after each commit, its rows and the seconds since the first was handed over.
    """

    def __init__(
        self,
        path: Path,
        lock: IO[bytes],
        durability: Durability,
        limits: Limits,
        connect: Connect = connect,
        committed: Committed = _untold,
    ) -> None:
        self.path = path
        self.durability = durability
        self.lost_rows = 0
        self._lock = lock
        self._connect, self._committed = connect, committed
        self._connection: sqlite3.Connection | None = None
        self._tally = Tally(path)
        self._room = Room(path, limits)
        self._queue: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"spool {path.stem}", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        kind: str,
        durability: str = "full",
        *,
        limits: Limits | None = None,
        connect: Connect = connect,
        committed: Committed = _untold,
    ) -> Spool:
        """Take the first free slot `<kind>-<n>.sqlite` in `folder`; a slot whose process has died is free.

        A slot whose file is damaged, or gone while something is told of it, is left as it is.

        Raises LogUnavailable when the file cannot be made.
        """
        stem = checked_name(kind, "spool")
        for number in range(_SLOTS):
            path = folder / f"{stem}-{number}.sqlite"
            lock = _locked(path.with_suffix(".lock"))
            if lock is not None:
                try:
                    usable = _made(path)
                except (OSError, sqlite3.Error) as error:
                    lock.close()
                    raise LogUnavailable(f"{path.name}: {error}") from error
                if usable:
                    return cls(path, lock, Durability(durability), limits or Limits.of(Settings()), connect, committed)
                lock.close()
        raise LogUnavailable(f"all {_SLOTS} slots of {folder} are taken")

    @property
    def id(self) -> str:
        """The name of this place, as the log's column `spool` has it. Reads it from the file."""
        with closing(self._connect(self.path, self.durability)) as connection:
            found: str = connection.execute(sql.ID).fetchone()[0]
        return found

    def submit(self, entry: Entry) -> Future[None]:
        """Hand `entry` to the writer. The future resolves once it is committed (at once for `async`).

        It carries LogUnavailable when the entry was not written, LogBusy when too much waits already, and DiskFull
        when too little of the disk is free; for these two the same call works later.
        """
        done: Future[None] = Future()
        # From here on nobody can take it back.
        done.set_running_or_notify_cancel()

        def settled(error: LogUnavailable | None) -> None:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        (refusal,) = self.submit_all([entry], settled)
        if refusal is not None:
            done.set_exception(refusal)
        return done

    def submit_all(self, entries: Sequence[Entry], settled: Settled) -> list[Unavailable | None]:
        """Hand `entries` to the writer; says for each why it was not taken, or None where it was.

        settled : called once for all that were taken, in the writer's thread, when they are committed, or with what
        stood against it; for `async` at once and in this thread. Never called when none was taken.
        """
        with self._gate:
            refusals = [self._refusal(entry) for entry in entries]
            taken = [entry for entry, refusal in zip(entries, refusals, strict=True) if refusal is None]
            if taken:
                if self.durability is Durability.ASYNC:
                    settled(None)
                self._queue.put(_Group(taken, settled, perf_counter()))
        return refusals

    def _refusal(self, entry: Entry) -> Unavailable | None:
        """Why `entry` is not taken; where it is, there is less room afterwards."""
        if self._closed:
            return LogUnavailable("the spool is closed")
        refusal = self._room.refusal(entry.rows, len(entry.body))
        if refusal is None:
            self._room.take(entry.rows, len(entry.body))
        return refusal

    def append(self, entry: Entry) -> None:
        """Write `entry` and wait until it is committed. Raises LogUnavailable, LogBusy and DiskFull."""
        self.submit(entry).result()

    def close(self) -> None:
        """Write what waits, end the writer, free the slot. A second call does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._lock.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            groups, last = self._gather(first)
            self._commit(groups)
            if last:
                break
        self._disconnect()
        self._tally.close()

    def _gather(self, first: _Group) -> tuple[list[_Group], bool]:
        """Everything that waits now, and whether the end was among it."""
        groups = [first]
        while not self._queue.empty():
            waiting = self._queue.get()
            if waiting is None:
                return groups, True
            groups.append(waiting)
        return groups, False

    def _commit(self, groups: Sequence[_Group]) -> None:
        entries = [entry for group in groups for entry in group.entries]
        refusal = None
        try:
            self._write(entries)
        except Exception as error:
            # The writer outlives every fault: the next group tries again on a new connection.
            self._disconnect()
            refusal = self._refused(entries, error)
        finally:
            self._give_back(entries)
        lag_s = perf_counter() - groups[0].at
        if self.durability is not Durability.ASYNC:
            for group in groups:
                group.settled(refusal)
        if refusal is None:
            self._committed(sum(entry.rows for entry in entries), lag_s)

    def _write(self, entries: Sequence[Entry]) -> None:
        if self._connection is None:
            self._connection = self._connect(self.path, self.durability)
            self._tally.resume(self._connection)
        first = self._tally.last + 1
        self._connection.execute(sql.BEGIN)
        self._connection.executemany(sql.INSERT, (_row(seq, e) for seq, e in enumerate(entries, start=first)))
        self._connection.commit()
        self._tell(entries)

    def _tell(self, entries: Sequence[Entry]) -> None:
        try:
            self._tally.add((entry.model, entry.kind.value, entry.rows) for entry in entries)
        except OSError as error:
            # The entries are written; untold, only their loss to a damaged disk would go unnoticed.
            _log.warning("%s could not be written: %s", witness_path(self.path).name, error)

    def _give_back(self, entries: Sequence[Entry]) -> None:
        with self._gate:
            for entry in entries:
                self._room.give_back(entry.rows, len(entry.body))

    def _refused(self, entries: Sequence[Entry], error: Exception) -> LogUnavailable:
        refusal = LogUnavailable(f"{self.path.name}: {error}")
        refusal.__cause__ = error
        if self.durability is Durability.ASYNC:
            lost = sum(entry.rows for entry in entries)
            self.lost_rows += lost
            _log.error("%d accepted rows were lost: %s", lost, refusal)
        return refusal

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing rolls an open transaction back.
            connection.close()


def _locked(path: Path) -> IO[bytes] | None:
    """The file at `path`, locked until it is closed or its process ends; None when somebody else holds it."""
    file = open(path, "ab")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _row(seq: int, entry: Entry) -> tuple[object, ...]:
    fields = (seq, entry.model, entry.kind.value, entry.format.value, entry.caller_ids, entry.rows, entry.body)
    return (*fields, crc_of(*fields))


def _made(path: Path) -> bool:
    """Make the spool file, if it is not there; whether it can be written to."""
    if not path.exists() and witness_path(path).exists():
        return False
    if not path.exists():
        _make(path)
    try:
        with closing(connect(path)) as connection:
            Tally(path).resume(connection)
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, DamagedFile) as error:
        _log.error("The spool %s is damaged and is not written to any more: %s", path.name, error)
        return False
    return True


def _make(path: Path) -> None:
    """Under another name first: readers see all of it or nothing."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    # WAL comes last: closing a file in that mode moves its content out of the log, and tells nobody when that fails.
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {sql.CREATE} COMMIT;")
        connection.execute(sql.NAME, (str(uuid.uuid4()),))
        connection.execute("PRAGMA journal_mode = WAL")
    os.replace(unfinished, path)
    fsync_folder(path.parent)

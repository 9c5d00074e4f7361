"""How much the spool may hold back: what is beyond that is refused at once, rather than lost later."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pilothouse.data.errors import DiskFull, LogBusy, LogUnavailable, Unavailable
from pilothouse.data.settings import Settings
from pilothouse.data.sql import spool as sql

LOOK_EVERY_S = 0.5
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may wait in memory to be written, what may wait on disk to be sealed, and what stays free of the disk."""

    spool_bytes: int
    min_free_bytes: int
    queued_rows: int = 200_000
    queued_bytes: int = 64 * _MB

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(spool_bytes=settings.spool_max_bytes, min_free_bytes=settings.min_free_bytes)


class Room:
    """Counts what waits in memory, and looks twice a second at the file and the disk. Not safe without a lock."""

    def __init__(self, path: Path, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._limits, self._now = path, limits, now
        self._rows = self._bytes = 0
        self._looked_at = -LOOK_EVERY_S
        self._on_disk: Unavailable | None = None

    def refusal(self, rows: int, size: int) -> Unavailable | None:
        """Why an entry of so many rows and bytes cannot be taken now; None when it can. An empty queue takes any."""
        if self._now() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._now()
            try:
                self._on_disk = self._looked()
            except (OSError, sqlite3.Error) as error:
                # Nothing was learnt, so the next entry looks again.
                self._looked_at = -LOOK_EVERY_S
                self._on_disk = LogUnavailable(f"{self._path.name}: {error}")
        if self._on_disk is not None:
            return self._on_disk
        if self._rows and self._rows + rows > self._limits.queued_rows:
            return LogBusy(f"{self._rows:,} rows", f"{self._limits.queued_rows:,}")
        if self._bytes and self._bytes + size > self._limits.queued_bytes:
            return LogBusy(f"{self._bytes / _MB:.0f} MB", f"{self._limits.queued_bytes / _MB:.0f} MB")
        return None

    def take(self, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size

    def give_back(self, rows: int, size: int) -> None:
        """To be called once the entry is written, or refused by the disk."""
        self.take(-rows, -size)

    def _looked(self) -> Unavailable | None:
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < self._limits.min_free_bytes:
            return DiskFull(free, self._limits.min_free_bytes)
        used = _used_bytes(self._path)
        if used > self._limits.spool_bytes:
            return LogBusy(f"{used / _MB:.0f} MB in {self._path.name}", f"{self._limits.spool_bytes / _MB:.0f} MB")
        return None


def _used_bytes(path: Path) -> int:
    """Bytes of the spool file that hold entries. Its size on disk says less: it is given back late."""
    if path.stat().st_size == 0:
        return 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        _, used = connection.execute(sql.SPACE).fetchone()
    return int(used)

"""Batches on their way: in memory, or in a folder that outlives the process. A file a batch; its name is its place."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple, Protocol

from pilothouse_client import slots
from pilothouse_client.items import Batch, Kind

_UNFINISHED = ".part"


class Backlog(Protocol):
    """Batches in the order they came. Used by the sending thread alone."""

    durable: bool

    def put(self, batch: Batch) -> None:
        """Keep `batch` behind the others. Raises OSError when there is no room for it."""

    def first(self) -> Batch | None:
        """The batch that waits longest."""

    def replace_first(self, parts: list[Batch]) -> None:
        """Let go of it, and keep in its stead the `parts` that have yet to be sent."""

    def found(self) -> int:
        """Take over what ended processes have left; returns how many rows."""

    def close(self) -> None: ...


class InMemory:
    """Ends with the process. Its bound is the outbox's, which counts these rows too."""

    durable = False

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()

    def put(self, batch: Batch) -> None:
        self._batches.append(batch)

    def first(self) -> Batch | None:
        return self._batches[0] if self._batches else None

    def replace_first(self, parts: list[Batch]) -> None:
        self._batches.popleft()
        self._batches.extendleft(reversed(parts))

    def found(self) -> int:
        return 0

    def close(self) -> None:
        self._batches.clear()


class _File(NamedTuple):
    name: str
    size: int

    @property
    def rows(self) -> int:
        return int(self.name.split("-")[2].split(".")[0])

    @property
    def kind(self) -> Kind:
        return Kind(self.name.rsplit(".", 1)[1])


class OnDisk:
    """One slot of the folder `root`, at most `most` bytes. Files are synced: a batch outlives a power cut.

    Raises OSError when the folder cannot be made or read.
    """

    durable = True

    def __init__(self, root: Path, most: int) -> None:
        self._root, self._most = root, most
        self._slot = slots.take(root)
        self._number = itertools.count()
        self._files: deque[_File] = deque()
        self._bytes = 0
        for unfinished in self._slot.folder.glob(f"*{_UNFINISHED}"):
            unfinished.unlink()

    def put(self, batch: Batch) -> None:
        if self._bytes + len(batch.body) > self._most:
            raise OSError(f"the spool has reached its bound of {self._most} bytes")
        self._write(batch)

    def first(self) -> Batch | None:
        if not self._files:
            return None
        file = self._files[0]
        try:
            body = (self._slot.folder / file.name).read_bytes()
        except FileNotFoundError:
            # Somebody cleared the folder. The service refuses an empty body, and so the rows are counted as gone.
            body = b""
        return Batch(file.kind, body, file.rows)

    def replace_first(self, parts: list[Batch]) -> None:
        # The parts first: a crash in between sends some rows twice, under ids that the service knows.
        for part in parts:
            self._write(part)
        file = self._files.popleft()
        self._bytes -= file.size
        (self._slot.folder / file.name).unlink(missing_ok=True)

    def found(self) -> int:
        known = {file.name for file in self._files}
        own = [file for file in _files_of(self._slot.folder) if file.name not in known]
        for slot in slots.left_behind(self._root):
            for file in _files_of(slot.folder):
                (slot.folder / file.name).replace(self._slot.folder / file.name)
                own.append(file)
        for file in sorted(own):
            self._add(file)
        return sum(file.rows for file in own)

    def close(self) -> None:
        self._slot.release()

    def _write(self, batch: Batch) -> None:
        name = f"{time.time_ns():020d}-{next(self._number):06d}-{batch.rows}.{batch.kind.value}"
        _write_whole(self._slot.folder / name, batch.body)
        self._add(_File(name, len(batch.body)))

    def _add(self, file: _File) -> None:
        self._files.append(file)
        self._bytes += file.size


def _files_of(folder: Path) -> list[_File]:
    ends = tuple(f".{kind.value}" for kind in Kind)
    return [_File(path.name, path.stat().st_size) for path in folder.iterdir() if path.name.endswith(ends)]


def _write_whole(path: Path, body: bytes) -> None:
    """All of it under its name, or nothing."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise

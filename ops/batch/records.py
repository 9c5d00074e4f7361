"""What a batch has decided, kept until it is done: one that is started again after a crash is the very same batch."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from pilothouse.data.errors import StoreBusy
from pilothouse.data.names import checked_name
from pilothouse.data.store import write_durably
from pilothouse.data.workspace import Workspace
from pilothouse.ops.batch.reading import Beside
from pilothouse.ops.batch.report import Counts
from pilothouse.ops.imports.sources import CHUNK_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asked for: a start with the same words goes on with the batch that those words began.

    source : digest of the bytes. out : the place, empty for none. version : None for the champion.
    """

    source: str
    out: str
    beside: Beside
    version: int | None
    logged: bool
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One batch. version : the one that answers, whoever is champion later.

    closing : what was counted, once all rows are written and in the log, and only their place is left to be taken.
    """

    asked: Asked
    version: int
    begun_at: datetime
    closing: Counts | None = None

    @property
    def batch_id(self) -> str:
        """The same for the same bytes, read in the same way, answered by the same version: its marks in the log."""
        said = [self.asked.source, msgspec.to_builtins(self.asked.beside), self.version, CHUNK_ROWS]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]

    @property
    def tag(self) -> str:
        """What the ids made for its rows begin with."""
        return f"batch-{self.batch_id[:12]}"


class Records:
    """The records and kept answers of those of one model's batches that are not done, in the workspace."""

    def __init__(self, workspace: Workspace, model: str) -> None:
        self._folder = workspace.root / "batches" / checked_name(model)

    def find(self, asked: Asked) -> Record | None:
        """The batch that these words began and that is not done."""
        file = self._file(asked)
        return msgspec.json.decode(file.read_bytes(), type=Record) if file.exists() else None

    def keep(self, record: Record) -> None:
        write_durably(self._file(record.asked), msgspec.json.format(msgspec.json.encode(record), indent=1))

    def answers(self, record: Record) -> Path:
        """The folder of the batch's answers."""
        return self._folder / record.batch_id

    def forget(self, record: Record) -> None:
        """The batch is done: its answers first, for without a record nobody would look for them again."""
        shutil.rmtree(self.answers(record))
        self._file(record.asked).unlink(missing_ok=True)

    @contextmanager
    def alone(self, record: Record, name: str) -> Iterator[None]:
        """Nobody else is at the batch for the length of the block. Raises StoreBusy when somebody is."""
        folder = self.answers(record)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, name)
            yield
        finally:
            os.close(handle)

    def _file(self, asked: Asked) -> Path:
        said = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
        return self._folder / f"{said[:32]}.json"


def _lock(handle: int, name: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreBusy(f"The scoring of {name}, at which another process is,") from None

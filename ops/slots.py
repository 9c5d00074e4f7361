"""Slots: a small, stable id for a process, held exclusively while it lives."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pilothouse.data.errors import StoreBusy

_MOST = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """`name`: worker-0 and so on. The lock ends with the process, however that ends; the next gets the same name."""

    name: str
    handle: int

    @classmethod
    def take(cls, folder: Path, kind: str, most: int = _MOST) -> Slot:
        """The first free slot of `kind`. Raises StoreBusy when `most` processes hold one."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in range(most):
            handle = os.open(folder / f"{kind}-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return cls(f"{kind}-{number}", handle)
        raise StoreBusy(f"Every one of the {most} {kind} slots in {folder.name}")

    def give_back(self) -> None:
        os.close(self.handle)

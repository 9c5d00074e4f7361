"""Folders that one process holds at a time: a lock on a file, which ends with the process, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_SLOTS = 256
_LOCK = "lock"


class Slot:
    """A folder held by this process."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def take(root: Path) -> Slot:
    """The first folder of `root` that nobody holds, made where it is not there. Raises OSError."""
    for number in range(_SLOTS):
        slot = _held(root / str(number))
        if slot is not None:
            return slot
    raise OSError(f"all {_SLOTS} places of the spool are held by other processes")


def left_behind(root: Path) -> Iterator[Slot]:
    """The folders of processes that have ended, each held until the next is asked for."""
    for folder in sorted(path for path in root.iterdir() if (path / _LOCK).exists()):
        slot = _held(folder)
        if slot is not None:
            yield slot
            slot.release()


def _held(folder: Path) -> Slot | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    if _locked(descriptor):
        return Slot(folder, descriptor)
    os.close(descriptor)
    return None


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

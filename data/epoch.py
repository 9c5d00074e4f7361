"""The epoch: eight bytes shared by all processes of a host that say which deployment is the newest.

Workers map the file into memory, so that asking on every request costs nothing. The state store stays the truth:
the file is only a bell.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_FORMAT = struct.Struct("<Q")


def publish_epoch(path: Path, epoch: int) -> None:
    """Ring the bell: every mapped view reads `epoch` from now on. A number below the present one changes nothing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        present = os.pread(handle, _FORMAT.size, 0)
        if len(present) < _FORMAT.size or _FORMAT.unpack(present)[0] < epoch:
            os.pwrite(handle, _FORMAT.pack(epoch), 0)
    finally:
        os.close(handle)


class EpochView:
    """A view of the epoch that follows every `publish_epoch` on this host. Makes the file when it is missing."""

    def __init__(self, path: Path) -> None:
        publish_epoch(path, 0)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), _FORMAT.size, prot=mmap.PROT_READ)

    @property
    def epoch(self) -> int:
        value: int = _FORMAT.unpack_from(self._map)[0]
        return value

    def close(self) -> None:
        self._map.close()

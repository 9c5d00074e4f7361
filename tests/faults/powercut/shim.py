"""The recording and failing disk of shim.c: built with gcc, loaded before anything else of a child process."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

SHORT_WRITE = -1
"""Instead of an errno: half of a write is done, and the caller is told so; any other call is refused with ENOSPC."""

_SOURCE = Path(__file__).with_name("shim.c")


def build(folder: Path) -> Path:
    """The shim as a library in `folder`."""
    library = folder / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wno-nonnull-compare", "-U_FORTIFY_SOURCE"]
    subprocess.run(["gcc", *flags, "-o", library, _SOURCE, "-ldl", "-pthread"], check=True)
    return library


def environment(library: Path, root: Path, log: Path | None = None) -> dict[str, str]:
    """The environment of a child whose calls below `root` go through the shim, and are written to `log`."""
    given = os.environ | {"LD_PRELOAD": str(library), "DISK_ROOT": str(root)}
    return given if log is None else given | {"DISK_LOG": str(log)}


class Disk:
    """The shim from within such a child."""

    def __init__(self) -> None:
        self._shim = ctypes.CDLL(None)
        self._shim.disk_calls.restype = ctypes.c_long
        self._shim.disk_reads.restype = ctypes.c_long
        for fail in (self._shim.disk_fail, self._shim.disk_fail_read):
            fail.argtypes = [ctypes.c_long, ctypes.c_int]

    def mark(self, word: str) -> None:
        """Write `word` between the calls before and those after."""
        self._shim.disk_mark(word.encode())

    def fail(self, after: int, error: int) -> None:
        """Let the call that comes after `after` others fail once with `error`. A negative `after` takes that back."""
        self._shim.disk_fail(after, error)

    @property
    def calls(self) -> int:
        """Calls seen so far that change something below the root."""
        return int(self._shim.disk_calls())

    def fail_read(self, after: int, error: int) -> None:
        """The same for calls that only read: to open a file for that, to read or to map it."""
        self._shim.disk_fail_read(after, error)

    @property
    def reads(self) -> int:
        """Calls seen so far that read something below the root."""
        return int(self._shim.disk_reads())

"""Whether a file is what was written: its SHA-256, remembered for as long as the file has not been touched."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

_HASHED_NAME = re.compile(r"-([0-9a-f]{64})\.parquet$")
_THREADS = 4
_MANY = 2

_Stamp = tuple[int, int, int]
_seen: dict[str, _Stamp] = {}
_checking: ContextVar[bool] = ContextVar("checking", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that is not what was written, by its path inside the table, and what is wrong with it."""

    file: str
    reason: str


@contextmanager
def unchecked() -> Iterator[None]:
    """Read without checks inside the block. For measuring what checks cost and what they prevent, and nothing else."""
    token = _checking.set(False)
    try:
        yield
    finally:
        _checking.reset(token)


def checking() -> bool:
    return _checking.get()


def sha256_in(name: str) -> str | None:
    """The SHA-256 that a data file's name ends in; None for a file written before names carried one.

    >>> sha256_in("part-00000-c000.zstd.parquet") is None
    True
    """
    found = _HASHED_NAME.search(name)
    return found[1] if found else None


def fault_of(path: Path, sha256: str, *, again: bool = False) -> str | None:
    """What is wrong with the file at `path`, or None when its content has this SHA-256.

    again : hash although this process has seen the file whole and it has not been touched since.
    """
    try:
        stamp = _stamp(path)
        if not again and _seen.get(str(path)) == stamp:
            return None
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    if found != sha256:
        _seen.pop(str(path), None)
        return f"its content has the SHA-256 {found[:12]}, not {sha256[:12]}"
    _seen[str(path)] = stamp
    return None


def remember(path: Path) -> None:
    """Take the file for whole: this process has just written and hashed it."""
    _seen[str(path)] = _stamp(path)


def damaged(table: Path, paths: Iterable[str], *, again: bool = False) -> list[Damage]:
    """Those of the table's data files that are not what was written. Many are hashed side by side."""
    asked = [(path, sha) for path in paths if (sha := sha256_in(path)) is not None]

    def look(one: tuple[str, str]) -> str | None:
        return fault_of(Path(one[0]), one[1], again=again)

    fresh = [one for one in asked if again or not _unchanged(one[0])]
    if len(fresh) < _MANY:
        faults = [look(one) for one in fresh]
    else:
        with ThreadPoolExecutor(min(_THREADS, len(fresh)), thread_name_prefix="checking") as threads:
            faults = list(threads.map(look, fresh))
    return [
        Damage(file=str(Path(path).relative_to(table)), reason=fault)
        for (path, _), fault in zip(fresh, faults, strict=True)
        if fault is not None
    ]


def _unchanged(path: str) -> bool:
    try:
        return path in _seen and _seen[path] == _stamp(path)
    except OSError:
        return False


def _stamp(path: Path | str) -> _Stamp:
    # A page looks at thousands of files, and making a Path of a name takes as long as looking.
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino

"""What a disk may hold after a power cut: replays recorded calls, and forgets what no fsync had made sure of.

A file's content and a folder's names are durable apart from each other: fsync of a file keeps its bytes, fsync of the
folder keeps that it is called so. Anything since may be there, not be there, or (bytes) be there in part.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<cqqIII")
SECTOR = 512


class Call(NamedTuple):
    """One recorded call. what : C(reate), W(rite), T(runcate), S(ync of a file), F(sync of a folder), R(ename), L(ink),
    U(nlink), D (mkdir), M(ark)."""

    what: str
    file: int
    offset: int
    path: str
    other: str
    data: bytes


def read_log(log: Path) -> list[Call]:
    raw, at, calls = log.read_bytes(), 0, []
    while at < len(raw):
        what, file, offset, *sizes = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        parts = []
        for size in sizes:
            parts.append(raw[at : at + size])
            at += size
        calls.append(Call(what.decode(), file, offset, parts[0].decode(), parts[1].decode(), parts[2]))
    return calls


@dataclass(eq=False, slots=True)
class _File:
    """durable : bytes that the last fsync covers. pending : writes (offset, data) and cuts (size, None) since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, *change)
        self.pending.clear()

    def after_cut(self, chance: Chance) -> bytes:
        content = bytearray(self.durable)
        for offset, data in self.pending:
            if data is None:
                if chance.kept():
                    _apply(content, offset, None)
                continue
            for start in range(0, len(data), SECTOR) if chance.tears else [0]:
                if chance.kept():
                    _apply(content, offset + start, data[start : start + SECTOR] if chance.tears else data)
        return bytes(content)


_FOLDER = _File()
_Entries = dict[str, "_File | None"]
"""Names and what they lead to; None: the name is gone."""


@dataclass(slots=True)
class Chance:
    """Whether what was not synced is there: seed 0 nothing, 1 everything, 2 any bytes under all names, others any."""

    seed: int
    dice: random.Random

    @classmethod
    def of(cls, seed: int, cut: int) -> Chance:
        return cls(seed, random.Random(f"{seed} {cut}"))

    @property
    def tears(self) -> bool:
        return self.seed >= 2

    def kept(self) -> bool:
        return self.seed == 1 or (self.seed > 1 and self.dice.random() < 0.5)

    def name_kept(self) -> bool:
        return self.seed == 2 or self.kept()


Sync = tuple[str, str]
"""What kind of sync, S or F, and a word in its path."""


@dataclass(frozen=True, slots=True)
class Start:
    """What lies under `root` before the first call; files by inode, each with its path and content."""

    root: str
    folders: tuple[str, ...]
    files: dict[int, tuple[str, bytes]]

    @classmethod
    def of(cls, root: Path) -> Start:
        below = [root, *root.rglob("*")]
        return cls(
            str(root),
            tuple(str(path) for path in below if path.is_dir()),
            {path.stat().st_ino: (str(path), path.read_bytes()) for path in below if path.is_file()},
        )


class Disk:
    """A folder as the calls leave it, one after the other. Begins with what `start` holds, all of it durable.

    without : an fsync that does nothing.
    """

    def __init__(self, start: Start, without: Sync | None = None) -> None:
        self._root, self._without = start.root, without
        self._files = {number: _File(bytearray(content)) for number, (_, content) in start.files.items()}
        self._durable: dict[str, _File] = dict.fromkeys(start.folders, _FOLDER)
        self._durable |= {path: self._files[number] for number, (path, _) in start.files.items()}
        self._now: _Entries = dict(self._durable)
        self._pending: list[_Entries] = []
        self.marks: list[str] = []

    def call(self, call: Call) -> None:
        match call.what:
            case "M":
                self.marks.append(call.path)
            case "C":
                self._files[call.file] = _File()
                self._name({call.path: self._files[call.file]})
            case "W":
                self._files[call.file].pending.append((call.offset, call.data))
            case "T":
                self._files[call.file].pending.append((call.offset, None))
            case "S" | "F" if self._ignored(call):
                return
            case "S":
                self._files[call.file].sync()
            case "F":
                self._sync_names(call.path)
            case "R":
                assert self._now[call.path] is not _FOLDER, f"a folder is renamed: {call.path}"
                self._name({call.path: None, call.other: self._now[call.path]})
            case "L":
                self._name({call.other: self._now[call.path]})
            case "U":
                self._name({call.path: None})
            case "D":
                self._name({call.path: _FOLDER})

    def after_cut(self, chance: Chance) -> dict[str, bytes | None]:
        """Paths below the root, and the bytes of the files (None: a folder), if the power went now."""
        names: _Entries = dict(self._durable)
        for change in self._pending:
            if chance.name_kept():
                names |= change
        there = {path: file for path, file in names.items() if file is not None and self._reached(path, names)}
        contents: dict[int, bytes] = {}
        for file in there.values():
            if file is not _FOLDER and id(file) not in contents:
                contents[id(file)] = file.after_cut(chance)
        # SQLite makes the index of its log anew, and maps it into memory, where no call is seen.
        kept = {path: file for path, file in there.items() if not path.endswith("-shm")}
        return {
            path.removeprefix(self._root).lstrip("/"): None if file is _FOLDER else contents[id(file)]
            for path, file in kept.items()
        }

    def _ignored(self, call: Call) -> bool:
        return self._without is not None and call.what == self._without[0] and self._without[1] in call.path

    def _name(self, change: _Entries) -> None:
        self._now |= change
        self._pending.append(change)

    def _sync_names(self, folder: str) -> None:
        waiting = []
        for change in self._pending:
            mine = {path: file for path, file in change.items() if path.rpartition("/")[0] == folder}
            for path, file in mine.items():
                self._durable.pop(path, None)
                if file is not None:
                    self._durable[path] = file
            if others := {path: file for path, file in change.items() if path not in mine}:
                waiting.append(others)
        self._pending = waiting

    def _reached(self, path: str, names: _Entries) -> bool:
        return all(names.get(folder) is _FOLDER for folder in self._above(path))

    def _above(self, path: str) -> Iterator[str]:
        while path != self._root:
            path = path.rpartition("/")[0]
            yield path


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    size = offset + len(data or b"")
    if data is None and len(content) > offset:
        del content[offset:]
    elif len(content) < size:
        content.extend(bytes(size - len(content)))
    if data is not None:
        content[offset:size] = data

"""Tables as those who only read them share them: opened once for every version, by whoever asks first."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

from pilothouse.data.delta.folder import DeltaFolder

_TABLES_REMEMBERED = 192

_opened: OrderedDict[Path, tuple[int | None, DeltaFolder]] = OrderedDict()
_lock = Lock()


def newest(folder: DeltaFolder) -> DeltaFolder:
    """The table of `folder` at its newest version: the handle of the last call as long as nobody has committed since.

    All of the process share it, so it is neither refreshed nor written through. Raises DamagedFile as `folder.table` does.
    """
    with _lock:
        held = _opened.get(folder.path)
        if held is None or not _is_newest(*held) or not held[1].schema.equals(folder.schema):
            folder.table()
            held = (_inode(folder), folder)
        _opened[folder.path] = held
        _opened.move_to_end(folder.path)
        while len(_opened) > _TABLES_REMEMBERED:
            _opened.popitem(last=False)
    return held[1]


def _is_newest(inode: int | None, folder: DeltaFolder) -> bool:
    """Whether the table is neither a commit further than `folder` nor made anew. The whole log is not looked through."""
    if folder.version is None:
        return not folder.journal.folder.is_dir()
    return inode is not None and _inode(folder) == inode and not folder.journal.entry(folder.version + 1).exists()


def _inode(folder: DeltaFolder) -> int | None:
    """That of the log entry that `folder` stands at; None without a table, and where the entry has been cleaned away."""
    try:
        return None if folder.version is None else folder.journal.entry(folder.version).stat().st_ino
    except FileNotFoundError:
        return None

"""Tables as those who only read them share them: opened once for every version, by whoever asks first."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from pilothouse.data.delta.folder import DeltaFolder

_TABLES_REMEMBERED = 192
_NO_TABLE = ("", 0)

Commit = tuple[str, int]

_opened: OrderedDict[Path, tuple[Commit | None, DeltaFolder]] = OrderedDict()
_lock = Lock()


def newest(folder: DeltaFolder) -> DeltaFolder:
    """The table of `folder` at its newest version: the handle of the last call as long as nobody has committed since.

    All of the process share it, so it is neither refreshed nor written through. Raises DamagedFile as `folder.table` does.
    """
    commit = newest_commit(folder.path)
    with _lock:
        held = _opened.get(folder.path)
        if held is None or commit is None or held[0] != commit or not held[1].schema.equals(folder.schema):
            folder.table()
            held = (commit, folder)
        _opened[folder.path] = held
        _opened.move_to_end(folder.path)
        while len(_opened) > _TABLES_REMEMBERED:
            _opened.popitem(last=False)
    return held[1]


def newest_commit(table: Path) -> Commit | None:
    """Name and inode of a Delta table's newest log entry; the inode, for a table that was made anew.

    A table that nothing has been written to yet has one answer too; None where a log stands without entries.
    """
    log = table / "_delta_log"
    if not log.is_dir():
        return _NO_TABLE
    with os.scandir(log) as entries:
        commits = [(entry.name, entry.inode()) for entry in entries if entry.name.endswith(".json")]
    return max(commits, default=None)

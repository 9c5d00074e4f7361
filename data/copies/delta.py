"""Delta tables copied while others commit to them: one version, and the files that it and its kept log speak of."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pilothouse.data.delta.checks import sha256_in

_LOG = "_delta_log"
_VERSION = re.compile(r"\d{20}")
UNREADABLE = -1
"""The version of a table whose log cannot be read: it is taken as it lies there, for whoever mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A table at one version. files : all that has to be copied for it, absolute."""

    version: int
    files: tuple[Path, ...]


def tables_below(folder: Path) -> list[Path]:
    """Folders of Delta tables below `folder`, those of roll-ups before the others.

    The roll-ups remember which versions of the log they have counted. Taken first, they never know of one that the
    copy of the log has not.
    """
    found = [log.parent for log in folder.rglob(_LOG) if log.is_dir()]
    return sorted(found, key=lambda table: ("rollups" not in table.parts, table))


def pin(table: Path) -> Pinned | None:
    """The newest version of `table`, or None while nothing has been committed.

    Files that it no longer lists but a kept log entry names belong to it too, as long as they are there: the fold reads
    what was added since it last looked, and a recount the version it had reached, even if compaction came since.
    """
    try:
        handle = _open(table)
    except _delta_error():
        return Pinned(version=UNREADABLE, files=tuple(sorted(p for p in table.rglob("*") if p.is_file())))
    if handle is None:
        return None
    version = int(handle.version())
    data = {Path(unquote(uri.removeprefix("file://"))) for uri in handle.file_uris()}
    data |= {path for path in _named(table, version) if path.exists()}
    return Pinned(version=version, files=tuple(sorted(data)) + tuple(_kept_beside(table, version)))


def marks(table: Path, app_ids: Collection[str]) -> dict[str, int]:
    """The marks that `table` holds of those named; none when its log cannot be read."""
    try:
        handle = _open(table)
    except _delta_error():
        return {}
    found = {app_id: handle.transaction_version(app_id) for app_id in app_ids} if handle is not None else {}
    return {app_id: int(mark) for app_id, mark in found.items() if mark is not None}


def name_fits(path: str, sha256: str) -> bool:
    """Whether a file's content is what its name says. True for names that say nothing."""
    said = sha256_in(path)
    return said is None or said == sha256


def _open(table: Path) -> Any:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(table.absolute().as_uri())
    except TableNotFoundError:
        return None


def _delta_error() -> type[Exception]:
    from deltalake.exceptions import DeltaError

    return DeltaError


def _named(table: Path, upto: int) -> Iterator[Path]:
    """Data files that the kept log entries add or take away."""
    for entry in (table / _LOG).glob("*.json"):
        if _VERSION.fullmatch(entry.stem) and int(entry.stem) <= upto:
            for line in entry.read_text().splitlines():
                action = json.loads(line)
                if file := action.get("add") or action.get("remove"):
                    yield table / unquote(file["path"])


def _kept_beside(table: Path, upto: int) -> Iterator[Path]:
    """The log and whatever else stands beside the data, up to a version.

    Left out is the pointer to the last checkpoint, which may be a later one: readers find their way without it.
    """
    for folder in sorted(p for p in table.iterdir() if p.is_dir() and p.name.startswith("_")):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            numbered = _VERSION.match(path.name)
            if path.name != "_last_checkpoint" and (numbered is None or int(numbered[0]) <= upto):
                yield path

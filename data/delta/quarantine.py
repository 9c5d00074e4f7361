"""What was found damaged in a table: a note for each file in `_quarantine`, and the files that were moved there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from datetime import datetime
from pathlib import Path

from pilothouse.data.delta.checks import Damage
from pilothouse.data.store import fsync_folder, write_durably

FOLDER = "_quarantine"
_log = logging.getLogger(__name__)


def note(table: Path, damage: Damage, now: datetime) -> None:
    """Keep in mind that a file is damaged. The file stays where it is: whoever needs it is refused."""
    path = _note_path(table, damage.file)
    if path.exists():
        return
    _log.error("%s of the table %s is damaged: %s", damage.file, table.name, damage.reason)
    write_durably(path, json.dumps({"file": damage.file, "reason": damage.reason, "at": now.isoformat()}).encode())


def set_aside(table: Path, path: Path, reason: str, now: datetime) -> None:
    """Move a torn end of the log, of which nothing is lost, out of the way."""
    folder = table / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    _log.warning("%s of the table %s was set aside: %s", path.name, table.name, reason)
    os.replace(path, folder / f"{now:%Y%m%dT%H%M%S%f}-{path.name}")
    fsync_folder(folder)
    fsync_folder(path.parent)


def damages(table: Path) -> list[Damage]:
    """Every file of the table that was found damaged, by name."""
    notes = [json.loads(path.read_text()) for path in (table / FOLDER).glob("note-*.json")]
    return sorted((Damage(file=n["file"], reason=n["reason"]) for n in notes), key=lambda damage: damage.file)


def forget(table: Path, file: str) -> None:
    """Drop the note: the file has been put back as it was written."""
    _note_path(table, file).unlink(missing_ok=True)


def _note_path(table: Path, file: str) -> Path:
    return table / FOLDER / f"note-{hashlib.sha256(file.encode()).hexdigest()[:16]}.json"

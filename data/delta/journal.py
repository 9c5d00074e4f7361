"""The log of a Delta table on disk: whole and durable before anything is built on it.

delta-rs never calls fsync, so each log entry is synced here after its commit; then its SHA-256 is put beside it, in
`_checks`. So an entry with a checksum was durable once and has to match it for ever. One without was cut off by a crash
before anyone relied on it: if it is whole it is made durable now, if it is torn it is set aside, and its rows still
stand where they came from. `_checks` itself needs no sync: what is missing there is made again by the same rule, and what
does not match the checksum of its own is as good as missing, but for telling that its entry was durable once.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pilothouse.data.delta import checks, quarantine
from pilothouse.data.delta.checks import Damage
from pilothouse.data.errors import CommitsGone, DamagedFile
from pilothouse.data.store import fsync_file, fsync_folder, write_durably
from pilothouse.data.windows import Clock

KEPT_HOURS = 6
"""How long log entries and replaced files stay: a reader or a fold may lag this far behind."""

REOPEN_EVERY = 20
"""Commits after which a handle is opened anew, and a checkpoint written: a kept handle slows down with every commit."""

_CHECKPOINT = ".checkpoint.parquet"


class Journal:
    """The log entries and checkpoints of the table in the folder `table`."""

    def __init__(self, table: Path, clock: Clock) -> None:
        self.table = table
        self.folder = table / "_delta_log"
        self._checks = table / "_checks"
        self._clock = clock

    def entry(self, version: int) -> Path:
        return self.folder / f"{version:020d}.json"

    def checkpoint(self, version: int) -> Path:
        return self.folder / f"{version:020d}{_CHECKPOINT}"

    def settle(self) -> int | None:
        """The newest version, once all that it stands on has been checked and made durable; None without a table.

        Raises DamagedFile when an entry or a checkpoint is missing or is not what was written.
        """
        versions, checkpoints = self._listing()
        # Only a hint, and one that a crash may leave torn: without it delta-rs reads the names.
        (self.folder / "_last_checkpoint").unlink(missing_ok=True)
        base = self._whole_checkpoint(checkpoints)
        newest = max(versions, default=-1 if base is None else base)
        for version in range(0 if base is None else base + 1, newest + 1):
            if not self._settled(version, is_newest=version == newest):
                newest -= 1
        if self._check_path(self.entry(newest + 1)).exists() and not self.entry(newest + 1).exists():
            raise self._damaged(self.entry(newest + 1), "the log entry is missing")
        return newest if newest >= 0 else None

    def settle_after(self, version: int) -> int | None:
        """The newest version, given that `version` was settled; costs next to nothing when there is nothing new.

        None when entries after `version` may have been cleaned away: then only `settle` tells.
        """
        while self.entry(version + 1).exists():
            if not self._settled(version + 1, is_newest=not self.entry(version + 2).exists()):
                return version
            version += 1
        lost = self._check_path(self.entry(version + 1)).exists() and not self.entry(version + 1).exists()
        return None if lost or not self.entry(version).exists() else version

    def keep(self, version: int) -> None:
        """Make the commit just made durable, and its checksum known."""
        path = self.entry(version)
        fsync_file(path)
        self._sync_folders(version)
        self._write_check(path, path.read_bytes())

    def keep_checkpoint(self, version: int) -> None:
        """The same for a checkpoint just made."""
        path = self.checkpoint(version)
        fsync_file(path)
        fsync_folder(self.folder)
        self._write_check(path, path.read_bytes())
        (self.folder / "_last_checkpoint").unlink(missing_ok=True)

    def actions(self, version: int) -> list[dict[str, Any]]:
        """The actions of one commit. Raises CommitsGone when it has been cleaned away, DamagedFile when it is damaged."""
        path = self.entry(version)
        if not path.exists():
            raise CommitsGone(self.table.name, version)
        self._refuse_damage(path)
        return _parsed(path.read_bytes())

    def check_back_from(self, version: int) -> None:
        """Check what opening the table at an older `version` reads. Raises DamagedFile."""
        _, checkpoints = self._listing()
        base = max((v for v in checkpoints if v <= version), default=None)
        if base is not None:
            self._refuse_damage(self.checkpoint(base))
        for between in range(0 if base is None else base + 1, version + 1):
            self._refuse_damage(self.entry(between))

    def damage(self) -> list[Damage]:
        """Every entry and checkpoint that is not what was written, all hashed anew."""
        found, oldest = [], max(self._listing()[1], default=0)
        for check in sorted(self._checks.glob("[0-9]*")):
            path, sha256 = self.folder / check.name, _sha256(check)
            fault = None if sha256 is None else checks.fault_of(path, sha256, again=True)
            # A power cut may undo that the checksum of a cleaned-up entry was deleted.
            cleaned = not path.exists() and int(path.name.partition(".")[0]) < oldest
            if fault is not None and not cleaned:
                found.append(Damage(file=f"{self.folder.name}/{path.name}", reason=fault))
        return found

    def recently_removed(self) -> set[str]:
        """Absolute paths that commits of the last KEPT_HOURS took out of the table."""
        versions, _ = self._listing()
        since = self._clock().timestamp() - KEPT_HOURS * 3600
        young = [v for v in versions if self.entry(v).stat().st_mtime >= since]
        removed = {a["remove"]["path"] for v in young for a in self.actions(v) if "remove" in a}
        return {str(self.table / unquote(path)) for path in removed}

    def clean(self, *, kept_hours: float = KEPT_HOURS) -> None:
        """Drop entries and checkpoints that only readers of versions older than `kept_hours` would need."""
        versions, checkpoints = self._listing()
        since = self._clock().timestamp() - kept_hours * 3600
        base = max((v for v in checkpoints if self.checkpoint(v).stat().st_mtime < since), default=0)
        old = [self.entry(v) for v in versions if v < base] + [self.checkpoint(v) for v in checkpoints if v < base]
        for path in old:
            # The checksum goes first: one without its entry would tell of a loss.
            self._check_path(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _listing(self) -> tuple[list[int], list[int]]:
        """Versions that have an entry, and versions that have a checkpoint."""
        names = [path.name for path in self.folder.glob("[0-9]*")] if self.folder.is_dir() else []
        return (_versions(names, ".json"), _versions(names, _CHECKPOINT))

    def _whole_checkpoint(self, versions: Collection[int]) -> int | None:
        """The newest checkpoint that is whole; one that a crash left torn is set aside."""
        for version in sorted(versions, reverse=True):
            path = self.checkpoint(version)
            if self._has_check(path):
                self._refuse_damage(path)
                return version
            if (reason := _torn_checkpoint(path)) is None:
                self._make_durable(path, version)
                return version
            quarantine.set_aside(self.table, path, reason, self._clock())
        return None

    def _settled(self, version: int, *, is_newest: bool) -> bool:
        """Whether the entry stands; False when it was the torn end of the log, which was set aside."""
        path = self.entry(version)
        if self._has_check(path):
            self._refuse_damage(path)
            return True
        reason = self._torn(path, with_files=is_newest)
        if reason is None:
            self._make_durable(path, version)
            return True
        if not is_newest or self._check_path(path).exists():
            raise self._damaged(path, reason)
        quarantine.set_aside(self.table, path, reason, self._clock())
        return False

    def _torn(self, path: Path, *, with_files: bool) -> str | None:
        """What is wrong with an entry of which no checksum is known.

        with_files : also look for the data files it names; those of an older entry may have been replaced since.
        """
        try:
            actions = _parsed(path.read_bytes())
            added = [action["add"] for action in actions if "add" in action]
        except FileNotFoundError:
            return "the log entry is missing"
        except (ValueError, TypeError, KeyError):
            return "the log entry is torn"
        if not actions:
            return "the log entry is empty"
        short = [add["path"] for add in added if with_files and self._size(add["path"]) != add["size"]]
        return f"it names the data file {short[0]}, which is not whole" if short else None

    def _size(self, file: str) -> int | None:
        path = self.table / unquote(file)
        return path.stat().st_size if path.exists() else None

    def _make_durable(self, path: Path, version: int) -> None:
        # Written anew: a sync that failed once may succeed the next time although nothing reached the disk.
        content = path.read_bytes()
        write_durably(path, content)
        self._sync_folders(version)
        self._write_check(path, content)

    def _sync_folders(self, version: int) -> None:
        fsync_folder(self.folder)
        if version == 0:
            fsync_folder(self.table)
            fsync_folder(self.table.parent)

    def _check_path(self, path: Path) -> Path:
        return self._checks / path.name

    def _has_check(self, path: Path) -> bool:
        return _sha256(self._check_path(path)) is not None

    def _write_check(self, path: Path, content: bytes) -> None:
        self._checks.mkdir(exist_ok=True, mode=0o700)
        self._check_path(path).write_text(_check_of(content))
        checks.remember(path)

    def _refuse_damage(self, path: Path) -> None:
        """Raises DamagedFile when `path` has a checksum and does not match it."""
        sha256 = _sha256(self._check_path(path))
        fault = checks.fault_of(path, sha256) if sha256 is not None and checks.checking() else None
        if fault is not None:
            raise self._damaged(path, fault)

    def _damaged(self, path: Path, reason: str) -> DamagedFile:
        file = f"{self.folder.name}/{path.name}"
        quarantine.note(self.table, Damage(file=file, reason=reason), self._clock())
        return DamagedFile(self.table.name, file, reason)


def _versions(names: Iterable[str], ending: str) -> list[int]:
    return sorted(int(name[: -len(ending)]) for name in names if name.endswith(ending))


def _check_of(content: bytes) -> str:
    """What `_checks` holds of a file: the SHA-256 of its content, and a checksum of that."""
    sha256 = hashlib.sha256(content).hexdigest()
    return f"{sha256} {zlib.crc32(sha256.encode()):08x}"


def _sha256(check: Path) -> str | None:
    """What a file of `_checks` says; None when it is not there, was torn by a crash, or was damaged itself."""
    try:
        sha256, _, own = check.read_bytes().partition(b" ")
    except FileNotFoundError:
        return None
    return sha256.decode() if own == f"{zlib.crc32(sha256):08x}".encode() else None


def _parsed(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def _torn_checkpoint(path: Path) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        return f"the checkpoint is torn: {error}"
    return None

"""Safety copies: taking one, reading one back, and what is known of the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pilothouse.data.copies.manifest import Manifest
from pilothouse.data.copies.put import read_back
from pilothouse.data.copies.take import Taking, Tell
from pilothouse.data.copies.vault import Vault, verified_at
from pilothouse.data.errors import BadBackup, UnknownBackup
from pilothouse.data.state import audit
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, require

TARGET = "workspace"
"""Whose acts backup and restore are, in the audit trail."""

_ACT = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A safety copy. folder : where it stands. point : every row acknowledged before it is in the copy.

    size, files : bytes and number of all files; read : bytes of those that the folder did not hold yet.
    damaged : files that were not what their names say when they were copied. tables : version of each Delta table.
    """

    folder: str
    point: datetime
    finished_at: datetime
    size: int
    files: int
    read: int
    damaged: tuple[str, ...]
    tables: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBackup:
    """What the workspace knows of its newest copy. verified_at : None as long as it has not been read back whole."""

    at: datetime
    actor: str
    folder: str
    point: datetime
    size: int
    damaged: int
    verified_at: datetime | None


def silent(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def back_up(
    workspace: Workspace,
    state: State,
    actor: Actor,
    folder: Path,
    *,
    link: bool = True,
    clock: Clock = utc_now,
    tell: Tell = silent,
) -> Backup:
    """Copy the workspace into `folder` while its service and worker go on; a second time, only what is new.

    link : on one file system, files that never change get a second name instead of a second content. That keeps them
    from being deleted, not from the disk's failing; False copies them.
    Raises NotAllowed, AlreadyExists when the folder holds something else, StoreBusy while another backup writes to it.
    """
    require(state, actor, Right.ADMIN, "back up", TARGET, clock)
    if folder.resolve().is_relative_to(workspace.root):
        raise BadBackup(str(folder), "it would lie inside the workspace and be lost with it")
    with Vault.opened(folder, make=True) as vault:
        taking = Taking(workspace, state, vault, clock, version("pilothouse"), link, tell)
        done = _backup(vault, taking.take(), taking.read)
    details = {"folder": done.folder, "point": done.point.isoformat(), "size": done.size, "damaged": len(done.damaged)}
    with state.write() as conn:
        audit.append(conn, actor=actor.name, act=_ACT, target=TARGET, details=details, at=clock())
    return done


def verify(folder: Path, *, clock: Clock = utc_now, tell: Tell = silent) -> Backup:
    """Read the copy in `folder` back and hash all of it. Raises UnknownBackup, or BadBackup naming what is broken."""
    with Vault.opened(folder, make=False) as vault:
        manifest = manifest_of(vault)
        read_back(vault, manifest, tell)
        vault.note_verified(manifest.point, clock())
        return _backup(vault, manifest, manifest.size)


def manifest_of(vault: Vault) -> Manifest:
    """Raises UnknownBackup or BadBackup."""
    manifest = vault.manifest()
    if manifest is None:
        raise UnknownBackup(vault.root)
    return manifest


def last_backup(state: State) -> LastBackup | None:
    """The newest copy that was made of this workspace; None when there has been none."""
    with state.read() as conn:
        newest = next((row for row in audit.rows(conn, TARGET) if row.act == _ACT), None)
    if newest is None:
        return None
    facts: dict[str, Any] = newest.details
    point = datetime.fromisoformat(facts["point"])
    return LastBackup(
        at=newest.at, actor=newest.actor, folder=facts["folder"], point=point, size=facts["size"],
        damaged=facts["damaged"], verified_at=verified_at(Path(facts["folder"]), point),
    )  # fmt: skip


def _backup(vault: Vault, manifest: Manifest, read: int) -> Backup:
    return Backup(
        folder=str(vault.root), point=manifest.point, finished_at=manifest.finished_at, size=manifest.size,
        files=len(manifest.files), read=read, damaged=manifest.damaged, tables=manifest.tables,
    )  # fmt: skip

"""Putting a copy back: a workspace made of a vault's contents, under its own name only once it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from pilothouse.data.copies.databases import go_on_after, spool_id
from pilothouse.data.copies.delta import marks, tables_below
from pilothouse.data.copies.manifest import KeptFile, Manifest
from pilothouse.data.copies.take import STATE_FILE, Tell
from pilothouse.data.copies.vault import Vault, broken_content, copy
from pilothouse.data.errors import AlreadyExists, BadBackup
from pilothouse.data.state.store import State
from pilothouse.data.state.transfer import refuse_filled, transfer
from pilothouse.data.store import fsync_folder
from pilothouse.data.workspace import Workspace

_NAMED_IN_ERRORS = 3


def read_back(vault: Vault, manifest: Manifest, tell: Tell) -> None:
    """Hash every content. Raises BadBackup naming the files that are missing or are not what they were."""
    broken, done = [], 0
    for file in manifest.files:
        tell(done, manifest.size)
        broken += [said] if (said := broken_content(vault, file)) else []
        done += file.size
    tell(done, manifest.size)
    if broken:
        more = f" (and {len(broken) - _NAMED_IN_ERRORS} more)" if len(broken) > _NAMED_IN_ERRORS else ""
        raise BadBackup(str(vault.root), "; ".join(broken[:_NAMED_IN_ERRORS]) + more)


def refuse_taken(root: Path) -> None:
    """Raises AlreadyExists unless `root` is a folder to be made, or an empty one."""
    if root.exists() and (root.is_file() or any(root.iterdir())):
        raise AlreadyExists(str(root), "Name a new or empty folder: a restore replaces nothing.")


def put_back(vault: Vault, manifest: Manifest, root: Path, state_url: str | None, tell: Tell) -> Workspace:
    """Make the workspace `root` of what stands in the vault.

    state_url : a PostgreSQL database, still empty, that the state is put into; None for the workspace's own file.
    Raises AlreadyExists when `root` or the database is not empty, BadBackup when a content is not what it was.
    """
    refuse_taken(root)
    target = _opened_empty(state_url) if state_url else None
    unfinished = root.with_name(f".{root.name}.restoring-{os.getpid()}")
    try:
        workspace = Workspace.create(unfinished)
        _put_files(vault, manifest, workspace.root, tell)
        _let_spools_go_on(workspace)
        if target is not None and state_url is not None:
            _move_state(workspace, target, state_url)
        _sync_folders(workspace.root)
        os.replace(workspace.root, root)
        fsync_folder(root.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if target is not None:
            target.close()
    return Workspace.open(root)


def _put_files(vault: Vault, manifest: Manifest, root: Path, tell: Callable[[int, int], None]) -> None:
    done = 0
    for file in manifest.files:
        tell(done, manifest.size)
        _put_file(vault, file, root / file.path)
        done += file.size
    tell(done, manifest.size)


def _put_file(vault: Vault, file: KeptFile, path: Path) -> None:
    """Always a copy: a second name for the content would let the workspace change the backup."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        open(vault.path(file.sha256), "rb") as content,
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target,
    ):
        if copy(content, target) != (file.sha256, file.size):
            raise BadBackup(str(vault.root), f"{file.path} has been changed or cut off")
        target.flush()
        os.fsync(target.fileno())
    # Delta tells old log entries by their age.
    os.utime(path, ns=(file.mtime_ns, file.mtime_ns))


def _let_spools_go_on(workspace: Workspace) -> None:
    spools = {path: spool_id(path) for path in workspace.spool.glob("*.sqlite")}
    highest: dict[str, int] = {}
    for table in tables_below(workspace.root / "tables"):
        for name, mark in marks(table, spools.values()).items():
            highest[name] = max(mark, highest.get(name, 0))
    for path in spools:
        go_on_after(path, highest)


def _opened_empty(url: str) -> State:
    state = State.open(url)
    try:
        refuse_filled(state)
    except AlreadyExists:
        state.close()
        raise
    return state


def _move_state(workspace: Workspace, target: State, url: str) -> None:
    """From the copy's file into the database, which the workspace's settings name from now on."""
    file = workspace.root / STATE_FILE
    source = State.open(f"sqlite:///{file}")
    transfer(source, target)
    source.close()
    file.unlink()
    with workspace.settings_file.open("a") as settings:
        settings.write(f"state_url = {msgspec.json.encode(url).decode()}\n")


def _sync_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        fsync_folder(Path(folder))

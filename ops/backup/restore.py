"""A workspace made of a safety copy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilothouse.data.copies.put import put_back, read_back, refuse_taken
from pilothouse.data.copies.take import Tell
from pilothouse.data.copies.vault import Vault
from pilothouse.data.settings import load_settings
from pilothouse.data.state import audit, catalog
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.ops.actors import Actor
from pilothouse.ops.backup.backup import TARGET, manifest_of, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A workspace that was put back. point : every row acknowledged before it is there.

    audit_broken_at : the first audit row that does not fit the chain, None when the trail is whole.
    damaged : files that were damaged already when the copy was made.
    """

    workspace: str
    point: datetime
    models: tuple[str, ...]
    size: int
    files: int
    audit_broken_at: int | None
    damaged: tuple[str, ...]


def restore(
    folder: Path,
    root: Path,
    actor: Actor,
    *,
    state_url: str | None = None,
    clock: Clock = utc_now,
    tell: Tell = silent,
) -> Restored:
    """Make the workspace `root` of the copy in `folder`, after reading all of that back.

    root : a folder that does not exist yet, or is empty. state_url : an empty PostgreSQL database for the state.
    Raises UnknownBackup, BadBackup, or AlreadyExists; nothing is left behind then.
    """
    root = root.resolve()
    refuse_taken(root)
    with Vault.opened(folder, make=False) as vault:
        manifest = manifest_of(vault)
        read_back(vault, manifest, tell)
        workspace = put_back(vault, manifest, root, state_url, tell)
    state = State.of(workspace, load_settings(workspace.settings_file, environ={}))
    details = {"from": str(folder.resolve()), "point": manifest.point.isoformat()}
    with state.write() as conn:
        audit.append(conn, actor=actor.name, act="restore", target=TARGET, details=details, at=clock())
        broken_at = audit.verify(conn)
        models = tuple(model.name for model in catalog.list_models(conn))
    state.close()
    return Restored(
        workspace=str(workspace.root), point=manifest.point, models=models, size=manifest.size,
        files=len(manifest.files), audit_broken_at=broken_at, damaged=manifest.damaged,
    )  # fmt: skip

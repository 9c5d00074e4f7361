"""From a package to a workspace: made on the first start, brought up to date by the package of a later version."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.errors import AlreadyExists
from pilothouse.data.settings import load_settings
from pilothouse.data.state import catalog, deployments
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import SETTINGS_FILE, Workspace
from pilothouse.ops.deploy.contents import Packed, PackedModel, unpack_files

ACTOR = "package"


def unpack(folder: Path, root: Path, clock: Clock = utc_now) -> Workspace:
    """The workspace at `root`, in which the models packed in `folder` are the champions. May be called again.

    A workspace that another package has made keeps its log, and gets this package's versions.
    Raises AlreadyExists where it holds another version under the same number, BadData, BadArtifact.
    """
    packed = Packed.read(folder)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(root):
        workspace = _made(root, packed.settings)
        for each in packed.models:
            unpack_files(folder, workspace, each)
        state = State.of(workspace, load_settings(workspace.settings_file))
        try:
            newest = [_adopt(state, each, clock) for each in packed.models]
        finally:
            state.close()
        if any(newest):
            publish_epoch(workspace.epoch_file, max(newest))
    return workspace


def _made(root: Path, settings: Mapping[str, str]) -> Workspace:
    if (root / SETTINGS_FILE).exists():
        return Workspace.open(root)
    workspace = Workspace.create(root)
    lines = [f"{name} = {_toml(value)}" for name, value in sorted(settings.items())]
    workspace.settings_file.write_text("\n".join(["# Settings of this site; see docs/settings.md.", *lines, ""]))
    return workspace


def _toml(value: str) -> str:
    return value if value.isdigit() else f'"{value}"'


def _adopt(state: State, packed: PackedModel, clock: Clock) -> int:
    """Make the packed version the champion when it is new here; returns the number of the deployment, 0 for none.

    One that is known stays as the people of the site have left it: a restart takes no roll back back.
    """
    name, number, now = packed.model.name, packed.version.version, clock()
    with state.write() as conn:
        new, live = _know(conn, packed), deployments.current(conn, name)
        if live is not None and (not new or live.version == number):
            return 0
        return deployments.append(
            conn, model=name, version=number, expected_epoch=live.seq if live else 0, act="promote", actor=ACTOR,
            reason=f"came with the package of {packed.tag}", clicked_at=now, at=now,
        ).seq  # fmt: skip


def _know(conn: Connection, packed: PackedModel) -> bool:
    """Have the model and the version stand in the state store; whether the version is new there."""
    model, version = packed.model, packed.version
    known = {row.name: row for row in catalog.list_models(conn)}
    if model.name not in known:
        catalog.add_model(conn, model)
    elif known[model.name].profile_id != model.profile_id or known[model.name].signature != model.signature:
        catalog.set_signature(conn, model.name, model.signature, model.profile_id)
    there = {row.version: row for row in catalog.list_versions(conn, model.name)}
    if version.version not in there:
        catalog.add_version(conn, version)
        return True
    if not _same(there[version.version], version):
        raise AlreadyExists(
            f"Another {packed.tag}",
            "Point PILOTHOUSE_WORKSPACE to an empty folder, or register it under its own number.",
        )
    return False


def _same(one: VersionRow, other: VersionRow) -> bool:
    return one.artifact_sha256 == other.artifact_sha256 and one.onnx_sha256 == other.onnx_sha256


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Workers start together; one of them unpacks, and the others find it done."""
    handle = os.open(root / ".unpacking", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

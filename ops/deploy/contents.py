"""What a package holds of a workspace: a model as it stands, one version of it, and the files that both lean on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pilothouse.data.errors import BadData
from pilothouse.data.rollups.profile import profile_before
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

FILE = "packed.json"
_STORE, _REFERENCES = "store", "references"
_SHA256 = re.compile(rb'"([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedModel:
    """A model and the version of it that answers. Of how it was trained it says nothing that points elsewhere."""

    model: ModelRow
    version: VersionRow

    @property
    def tag(self) -> str:
        return f"{self.model.name} version {self.version.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The models of a package, and the settings that its figures rest on."""

    models: tuple[PackedModel, ...]
    settings: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Packed:
        """What `write` has put into `folder`. Raises BadData when it is not there, or is something else."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise BadData(f"{folder} does not hold what was packed: {error}. Unpack the Bento again.") from error

    def write(self, folder: Path, workspace: Workspace) -> None:
        """Copy everything into `folder`, the same bytes each time. Raises BadArtifact for one that is not whole."""
        for part in (_STORE, _REFERENCES):
            (folder / part).mkdir(parents=True)
        store = Store(workspace.store)
        for packed in self.models:
            for sha256 in _files_of(packed.version, store):
                (folder / _STORE / sha256).write_bytes(store.read(sha256))
            _copy_references(packed.model, workspace, folder / _REFERENCES)
        text = msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1)
        (folder / FILE).write_bytes(text)


def packed_model(handle: ModelHandle, version: int) -> PackedModel:
    """`version` of a model, ready to be packed. Raises UnknownVersion, or NotServedHere for one without an artifact."""
    row = handle.version(version)
    row.artifact  # noqa: B018  (raises)
    return PackedModel(model=handle.row, version=replace(row, run_id=None, snapshot_sha256=None))


def unpack_files(folder: Path, workspace: Workspace, packed: PackedModel) -> None:
    """Put the files of a packed model from `folder` into the workspace; those that are there stay."""
    store = Store(workspace.store)
    for sha256 in _files_of(packed.version, Store(folder / _STORE)):
        store.put(Store(folder / _STORE).read(sha256))
    name = packed.model.name
    for profile in sorted((folder / _REFERENCES / name).iterdir()):
        target = workspace.reference(name, profile.name)
        if not target.exists():
            shutil.copytree(profile, target)


def _files_of(version: VersionRow, store: Store) -> list[str]:
    """SHA-256 of all that the version's row names and the store holds: its artifact, its ONNX form."""
    named = {found.decode() for found in _SHA256.findall(msgspec.json.encode(version))}
    return sorted(sha256 for sha256 in named if store.path(sha256).exists() or sha256 == version.artifact_sha256)


def _copy_references(model: ModelRow, workspace: Workspace, target: Path) -> None:
    """The reference profile, and those before it that it extends."""
    profile: str | None = model.profile_id
    while profile is not None:
        folder = workspace.reference(model.name, profile)
        if folder.is_dir():
            shutil.copytree(folder, target / model.name / profile)
        profile = profile_before(folder)

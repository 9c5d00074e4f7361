"""What a safety copy says of itself: `backup.json`, sealed with a checksum of its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from pilothouse.data.errors import BadBackup

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file of the workspace. path : relative, with slashes. size : bytes. mtime_ns : as it was in the workspace."""

    path: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A copy of a workspace.

    point : every row acknowledged and every act done before it is in the copy; some later ones may be.
    made_by : the version of Pilothouse. state : the database that the state was taken from.
    tables : the version at which each Delta table was taken, by its path.
    damaged : files whose content was not what their own names say when they were copied.
    """

    format: int
    point: datetime
    finished_at: datetime
    made_by: str
    state: str
    tables: dict[str, int]
    files: tuple[KeptFile, ...]
    damaged: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, with the SHA-256 of all else in it as `sha256`."""
    facts: dict[str, Any] = msgspec.to_builtins(manifest)
    return msgspec.json.format(msgspec.json.encode({"sha256": _digest(facts), **facts}), indent=1)


def decode(content: bytes, name: str) -> Manifest:
    """The manifest in `content`. Raises BadBackup when it is not whole, or of a later format."""
    try:
        facts = msgspec.json.decode(content, type=dict[str, Any])
        sealed = facts.pop("sha256", None)
    except msgspec.MsgspecError:
        raise BadBackup(name, "its manifest cannot be read") from None
    if sealed != _digest(facts):
        raise BadBackup(name, "its manifest has been changed or is incomplete")
    if facts.get("format") != FORMAT:
        raise BadBackup(name, f"its format is {facts.get('format')}, and this Pilothouse reads {FORMAT}")
    manifest = msgspec.convert(facts, Manifest)
    # The checksum is no signature: a path from the file must still not lead out of the workspace.
    if wrong := [file.path for file in manifest.files if not _harmless(file)]:
        raise BadBackup(name, f"it names a file that no workspace has: {wrong[0][:80]!r}")
    return manifest


def _harmless(file: KeptFile) -> bool:
    parts = file.path.split("/")
    return not ({"", ".", ".."} & set(parts) or "\0" in file.path) and bool(_SHA256.fullmatch(file.sha256))


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()

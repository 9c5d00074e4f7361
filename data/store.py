"""Content-addressed files: what goes in is named by its SHA-256, what comes out has been hashed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pilothouse.data.errors import BadArtifact


def fsync_file(path: Path) -> None:
    """Make the content of the file at `path` durable, whoever wrote it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: without it a renamed file may be gone after a power cut."""
    fsync_file(folder)


def write_durably(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name, sync, rename, sync the folder: the name holds all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    fsync_folder(path.parent)


@dataclass(frozen=True, slots=True)
class Store:
    """Artifacts, training snapshots and reports under `root`, each in a file named by the SHA-256 of its bytes."""

    root: Path

    def path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise BadArtifact(sha256, "that is not a SHA-256")
        return self.root / sha256

    def put(self, content: bytes) -> str:
        """Keep `content`; returns its SHA-256. Keeping the same bytes twice costs nothing."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.path(sha256).exists():
            write_durably(self.path(sha256), content)
        return sha256

    def read(self, sha256: str) -> bytes:
        """The bytes named `sha256`, hashed after reading. Raises BadArtifact when they are gone or are other bytes."""
        try:
            content = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise BadArtifact(sha256, "the file is missing from the store") from None
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise BadArtifact(sha256, f"the file's content has the SHA-256 {found[:12]}")
        return content

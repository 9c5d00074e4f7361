"""The folder of a safety copy: contents under their SHA-256, and the manifest that says which file each of them is.

The manifest is replaced last, so that it never names what is not there; what it no longer names is removed after it.
A content that is there already is not written again: the second copy into the same folder costs what is new.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from pilothouse.data.copies.manifest import KeptFile, Manifest, decode, encode
from pilothouse.data.errors import AlreadyExists, BadBackup, StoreBusy, UnknownBackup
from pilothouse.data.store import fsync_folder, write_durably

MANIFEST = "backup.json"
_CONTENTS, _LOCK, _VERIFIED, _SCRATCH = "contents", ".lock", "verified.json", ".scratch-"
_CHUNK = 1 << 20
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


class Vault:
    """A folder with one safety copy. Made by `opened`, which keeps others out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    @contextmanager
    def opened(cls, root: Path, *, make: bool) -> Iterator[Vault]:
        """The vault at `root`, for this process alone. make : a new or empty folder will do.

        Raises UnknownBackup when there is none, AlreadyExists when the folder holds something else, StoreBusy while
        another process uses it.
        """
        path = root.resolve()
        if make:
            _make(path)
        elif not (path / MANIFEST).is_file():
            raise UnknownBackup(root)
        with open(path / _LOCK, "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusy(f"The backup in {root}") from None
            for left in path.glob(f"{_SCRATCH}*"):
                shutil.rmtree(left)
            yield cls(path)

    def manifest(self) -> Manifest | None:
        """What stands here, or None in a new vault. Raises BadBackup."""
        try:
            return decode((self.root / MANIFEST).read_bytes(), str(self.root))
        except FileNotFoundError:
            return None

    def path(self, sha256: str) -> Path:
        """Where a content stands; in folders of its first two digits, since some file systems slow down."""
        return self.root / _CONTENTS / sha256[:2] / sha256

    def holds(self, file: KeptFile) -> bool:
        """Whether its content is here, by name and size."""
        try:
            return self.path(file.sha256).stat().st_size == file.size
        except FileNotFoundError:
            return False

    def keep(self, source: Path, name: str, *, link: bool) -> KeptFile:
        """Take the file `source` in, as `name`. link : it never changes, so a second name for it will do.

        Raises FileNotFoundError when it is gone.
        """
        stat = source.stat()
        sha256, size = self._linked(source) if link else self._copied(source)
        return KeptFile(path=name, sha256=sha256, size=size, mtime_ns=stat.st_mtime_ns)

    def commit(self, manifest: Manifest) -> None:
        """Make `manifest` what stands here, durably, and remove what it does not name."""
        for folder in (self.root / _CONTENTS).iterdir():
            fsync_folder(folder)
        fsync_folder(self.root / _CONTENTS)
        write_durably(self.root / MANIFEST, encode(manifest))
        self._sweep({file.sha256 for file in manifest.files})

    def note_verified(self, point: datetime, at: datetime) -> None:
        """Remember when the copy of `point` was read back whole."""
        write_durably(self.root / _VERIFIED, msgspec.json.encode({"point": point, "at": at}))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what has to be made before it can be kept."""
        with tempfile.TemporaryDirectory(dir=self.root, prefix=_SCRATCH) as folder:
            yield Path(folder)

    def _linked(self, source: Path) -> tuple[str, int]:
        with open(source, "rb") as file:
            sha256, size = digest(file)
            target = self._place(sha256)
            try:
                os.link(source, target)
            except FileExistsError:
                return sha256, size
            except OSError as error:
                if error.errno not in _CANNOT_LINK:
                    raise
                return self._copied(source)
            os.fsync(file.fileno())
        return sha256, size

    def _copied(self, source: Path) -> tuple[str, int]:
        contents = self.root / _CONTENTS
        handle, temporary = tempfile.mkstemp(dir=contents, prefix=".")
        try:
            with open(source, "rb") as origin, os.fdopen(handle, "wb") as file:
                sha256, size = copy(origin, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._place(sha256))
        except BaseException:
            os.unlink(temporary)
            raise
        return sha256, size

    def _place(self, sha256: str) -> Path:
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        return target

    def _sweep(self, named: set[str]) -> None:
        for path in (self.root / _CONTENTS).rglob("*"):
            if path.is_file() and path.name not in named:
                path.unlink()


def verified_at(root: Path, point: datetime) -> datetime | None:
    """When the copy of `point` in the folder `root` was last read back whole; None when never, or when it is gone."""
    try:
        said = msgspec.json.decode((root / _VERIFIED).read_bytes(), type=dict[str, datetime])
    except (FileNotFoundError, PermissionError, msgspec.MsgspecError):
        return None
    return said.get("at") if said.get("point") == point else None


def broken_content(vault: Vault, file: KeptFile) -> str | None:
    """What is wrong with the content of `file`, read back; None when it is what the manifest says."""
    try:
        with open(vault.path(file.sha256), "rb") as content:
            sha256, size = digest(content)
    except FileNotFoundError:
        return f"{file.path} is missing"
    return None if (sha256, size) == (file.sha256, file.size) else f"{file.path} has been changed or cut off"


def digest(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and length of what is left in `file`."""
    found, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
    return found.hexdigest(), size


def copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    """Copy what is left in `source`; SHA-256 and length of it."""
    found, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        found.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return found.hexdigest(), size


def _make(path: Path) -> None:
    """The folders of a new vault. A folder with anything else in it is left alone."""
    if path.is_file():
        raise BadBackup(str(path), "it is a file; name a folder")
    known = {MANIFEST, _CONTENTS, _LOCK, _VERIFIED}
    if path.is_dir() and any(p.name not in known and not p.name.startswith(".") for p in path.iterdir()):
        raise AlreadyExists(f"{path}, and it holds other things,", "Name a new folder, or one that holds a backup.")
    (path / _CONTENTS).mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(path, 0o700)

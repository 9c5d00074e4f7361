"""Wheels of what is installed here, whether from a wheel or in place from its sources. The same files, the same bytes."""

from __future__ import annotations

import base64
import hashlib
import importlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from pilothouse.data.errors import BadData

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_TOLD = ("METADATA", "entry_points.txt", "top_level.txt")
_LICENSES = "licenses"
_UNWANTED = frozenset({"__pycache__", "client"})
"""Folders of the sources that are no part of the package: `ops/client` is a distribution of its own."""


def write_wheel(name: str, package: str, folder: Path) -> Path:
    """Write the wheel of the installed distribution `name`, whose one package is `package`, to `folder`.

    It is put together from the installation itself, which needs no build tools, no network and no checkout.
    Raises BadData when the installation is incomplete.
    """
    installed = distribution(name)
    stem = f"{name.replace('-', '_')}-{installed.version}"
    content = dict(_package(package)) | dict(_told(installed, f"{stem}.dist-info"))
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},{_digest(data)},{len(data)}" for path, data in sorted(content.items())]
    content[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(content.items()):
            entry = zipfile.ZipInfo(path, _EARLIEST)
            entry.external_attr, entry.compress_type = _MODE, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def _package(package: str) -> Iterator[tuple[str, bytes]]:
    """The package's files by their path in the wheel. In place, its folders are links, which are followed."""
    module = importlib.import_module(package)
    if module.__file__ is None:
        raise BadData(f"The package {package} is not installed as files. Install it with pip.")
    root = Path(module.__file__).parent
    for path in _files(root):
        yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _UNWANTED and path.suffix != ".egg-info":
                yield from _files(path)
        elif path.suffix != ".pyc":
            yield path


def _told(installed: Distribution, folder: str) -> Iterator[tuple[str, bytes]]:
    """What the installation says of itself, without what belongs to this machine."""
    for name in _TOLD:
        text = installed.read_text(name)
        if text is not None:
            yield f"{folder}/{name}", text.encode()
    yield f"{folder}/WHEEL", b"Wheel-Version: 1.0\nGenerator: pilothouse\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    for file in installed.files or ():
        if _LICENSES in file.parts and file.parts[0].endswith(".dist-info"):
            yield f"{folder}/{'/'.join(file.parts[1:])}", file.read_binary()


def _digest(data: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()}"

"""A team's own code: an archive of modules that is imported from memory, apart from everything else in the process.

Two versions of a model may come with different code under the same names, and both may be loaded at once. So the
modules of an archive stand in `sys.modules` only while something is loaded with them, and what they import of their own
later, inside a function, is still found in their archive.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from pilothouse.data.errors import BadCode, UnreviewedCode

MAX_BYTES = 64 * 2**20
"""What an archive may hold when it is unpacked."""
_MAX_FILES = 5_000
_COMPILED = frozenset({".so", ".pyd", ".dll", ".dylib"})
_PY = ".py"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
_turn = threading.RLock()
"""Held while modules of an archive stand in `sys.modules`: those of one at a time."""


def read_code(path: Path) -> bytes:
    """The archive in the file at `path`: a wheel or a zip file as it is, a single module as an archive of its own.

    Raises BadCode for a file that is no archive of pure Python modules.
    """
    if not path.is_file():
        raise BadCode(path.name, "there is no such file")
    content = path.read_bytes()
    if path.suffix == _PY:
        content = packed({path.name: content})
    files_of(content, path.name)
    return content


def packed(files: dict[str, bytes]) -> bytes:
    """A zip archive of `files`: the same files give the same bytes on every day."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DAY), files[name], zipfile.ZIP_DEFLATED)
    return made.getvalue()


def packed_folder(folder: Path) -> bytes:
    """A zip archive of the files in `folder`. Raises BadCode when there is none, or it holds a link or too much."""
    if not folder.is_dir():
        raise BadCode(str(folder), "there is no such folder")
    found = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    if links := [path.name for path in found if path.is_symlink()]:
        raise BadCode(str(folder), f"it holds links ({', '.join(links[:3])}), which may lead anywhere")
    if sum(path.stat().st_size for path in found) > MAX_BYTES:
        raise BadCode(str(folder), f"it holds more than {MAX_BYTES:,} bytes")
    return packed({path.relative_to(folder).as_posix(): path.read_bytes() for path in found})


def unpack(content: bytes, folder: Path) -> None:
    """Write the files of an archive that `packed_folder` has made into `folder`. Raises BadCode."""
    for name, body in files_of(content, "data", modules=False).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)


def files_of(content: bytes, name: str, *, modules: bool = True) -> dict[str, bytes]:
    """The files of an archive by their paths. modules : whether it has to hold some. Raises BadCode."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_entries(entries, name)
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise BadCode(name, "it is no wheel, zip file or .py module that can be read") from error
    if modules:
        _check_modules(files, name)
    return files


def _check_entries(entries: list[zipfile.ZipInfo], name: str) -> None:
    if len(entries) > _MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise BadCode(name, f"it holds more than {_MAX_FILES:,} files or {MAX_BYTES:,} bytes")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise BadCode(name, f"it holds the path {entry.filename[:80]!r}, which leads out of it")


def _check_modules(files: dict[str, bytes], name: str) -> None:
    if compiled := sorted(file for file in files if PurePosixPath(file).suffix in _COMPILED):
        raise BadCode(name, f"it holds compiled code ({compiled[0]}). Install that where the service runs instead")
    names = _modules_in(files)
    if not names:
        raise BadCode(name, "it holds no Python module")
    if taken := sorted(names & {*sys.stdlib_module_names, "pilothouse"}):
        raise BadCode(name, f"its module {taken[0]} would stand in the place of one that the service needs")


def top_names(content: bytes, name: str) -> frozenset[str]:
    """Names by which the modules and packages of an archive are imported. Raises BadCode."""
    return _modules_in(files_of(content, name))


def _modules_in(files: dict[str, bytes]) -> frozenset[str]:
    return frozenset(PurePosixPath(file).parts[0].removesuffix(_PY) for file in files if file.endswith(_PY))


def reviewed(content: bytes, name: str, told: str | None) -> str:
    """SHA-256 of the archive, once somebody has said that she has looked at it, by naming the beginning of that hash.

    Raises UnreviewedCode listing what is in it.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if not told or len(told) < UnreviewedCode.DIGITS or not sha256.startswith(told):
        sizes = {file: len(body) for file, body in files_of(content, name).items() if file.endswith(_PY)}
        raise UnreviewedCode(name, sha256, sizes)
    return sha256


class OwnCode:
    """The modules of one archive. An instance lives as long as anything that it has loaded."""

    def __init__(self, content: bytes, name: str) -> None:
        """Nothing is imported yet. Raises BadCode."""
        files = files_of(content, name)
        self.names = _modules_in(files)
        self._modules: dict[str, ModuleType] = {}
        self._finder = _Finder(
            files, hashlib.sha256(content).hexdigest(), vars(builtins) | {"__import__": self._import}
        )

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the archive's modules found by their names, before any others, until the block ends."""
        with _turn:
            others = self._taken_out()
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self._finder)
            try:
                yield
            finally:
                sys.meta_path.remove(self._finder)
                self._modules |= self._taken_out()
                sys.modules.update(others)

    def find(self, entry: str) -> Any:
        """The object that `entry`, a `module:object`, names. Raises whatever importing it raises."""
        module, _, name = entry.partition(":")
        with self.in_place():
            builtins.__import__(module)
            found: Any = sys.modules[module]
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def _taken_out(self) -> dict[str, ModuleType]:
        """What stands in `sys.modules` under the archive's names, which is taken out of there."""
        ours = [name for name in sys.modules if name.partition(".")[0] in self.names]
        return {name: sys.modules.pop(name) for name in ours}

    def _import(self, name: str, *told: Any, **more: Any) -> Any:
        """`import`, as the archive's own modules use it."""
        relative = more.get("level") or (len(told) > 3 and told[3])
        if not relative and name.partition(".")[0] not in self.names:
            return builtins.__import__(name, *told, **more)
        with self.in_place():
            return builtins.__import__(name, *told, **more)


class _Finder(MetaPathFinder, InspectLoader):
    """Finds and loads the modules in `files`; they see `known` as their builtins."""

    def __init__(self, files: dict[str, bytes], sha256: str, known: dict[str, Any]) -> None:
        self._files, self._root, self._known = files, f"code-{sha256[:12]}", known
        self._folders = {str(parent) for file in files if file.endswith(_PY) for parent in PurePosixPath(file).parents}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        file = self._file(fullname)
        place = fullname.replace(".", "/")
        if file is None and place not in self._folders:
            return None
        origin = f"{self._root}/{file or place}"
        spec = ModuleSpec(fullname, self, origin=origin, is_package=self.is_package(fullname))
        spec.has_location = True
        return spec

    def is_package(self, fullname: str) -> bool:
        file = self._file(fullname)
        return file is None or file.endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        file = self._file(fullname)
        return "" if file is None else self._files[file].decode()

    def get_data(self, path: str) -> bytes:
        """What `pkgutil.get_data` reads beside a module."""
        name = path.removeprefix(f"{self._root}/")
        if name not in self._files:
            raise FileNotFoundError(name)
        return self._files[name]

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._known
        super().exec_module(module)

    def _file(self, fullname: str) -> str | None:
        place = fullname.replace(".", "/")
        return next((file for file in (f"{place}/__init__.py", f"{place}.py") if file in self._files), None)

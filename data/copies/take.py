"""Taking a copy of a workspace whose service and worker go on writing.

The order makes it whole. A row moves from a spool to a table, so spools come first: sealed in between, it is in the
table, and the mark that came with it keeps it from being sealed again. Roll-ups come before the log that they count
(`delta.py`). The state comes after the log, so that it knows every model and version of which there are rows; what it
names in the store and among the references was there before it was named, so those come last.

The books of the jobs are left out: every finished step is in the state, and a run without books goes on from there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pilothouse.data.copies.databases import copy_sqlite
from pilothouse.data.copies.delta import UNREADABLE, name_fits, pin, tables_below
from pilothouse.data.copies.manifest import FORMAT, KeptFile, Manifest
from pilothouse.data.copies.vault import Vault
from pilothouse.data.errors import StoreBusy
from pilothouse.data.state.store import State
from pilothouse.data.state.transfer import transfer
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace

Tell = Callable[[int, int], None]
"""(bytes done, bytes in all), from time to time."""

STATE_FILE = "state.sqlite"
_ATTEMPTS = 3
_UNCHANGING = ("tables/", "store/")
_NOT_COPIED = frozenset({"run", "bento", "spool"})
_BY_ITSELF = frozenset({STATE_FILE, "jobs.sqlite", "pilothouse.toml"})
_PASSING = (".lock", "-wal", "-shm", "-journal")
_STORE_URL = re.compile(r"^\s*(state_url|jobs_url)\s*=.*\n?", re.M)


@dataclass(slots=True)
class _Item:
    """A file on its way. `must`: without it the copy is not whole, so its vanishing means to look anew."""

    source: Path
    name: str
    link: bool
    must: bool = True

    @property
    def size(self) -> int:
        return self.source.stat().st_size


@dataclass(slots=True)
class Taking:
    """One copy being taken. link : files that never change are given a second name in the vault where that is possible.

    version : of Pilothouse, for the manifest.
    """

    workspace: Workspace
    state: State
    vault: Vault
    clock: Clock
    version: str
    link: bool
    tell: Tell
    read: int = 0
    """Bytes that had to be read, since the vault did not hold them yet."""
    _known: dict[str, KeptFile] = field(default_factory=dict)

    def take(self) -> Manifest:
        """Take it and make it what stands in the vault. Raises StoreBusy when files keep vanishing."""
        before = self.vault.manifest()
        self._known = {file.path: file for file in before.files} if before else {}
        for _ in range(_ATTEMPTS):
            with self.vault.scratch() as scratch:
                try:
                    manifest = self._attempt(scratch)
                except FileNotFoundError:
                    # An erasure, or a clean-up of files that were old already: what was kept so far is not read again.
                    continue
                self.vault.commit(manifest)
                return manifest
        raise StoreBusy("The workspace (files vanish faster than they are copied)")

    def _attempt(self, scratch: Path) -> Manifest:
        point = self.clock()
        items = list(self._spools(scratch))
        versions: dict[str, int] = {}
        for table in tables_below(self.workspace.root / "tables"):
            if (pinned := pin(table)) is not None:
                versions[self._name(table)] = pinned.version
                items += [_Item(path, self._name(path), self.link) for path in pinned.files]
        items += [self._state(scratch), self._settings(scratch), *self._rest(scratch, versions)]
        files = self._keep(items)
        return Manifest(
            format=FORMAT, point=point, finished_at=self.clock(), made_by=self.version,
            state=self.state.engine.dialect.name, tables=versions, files=files,
            damaged=_damaged(files, versions),
        )  # fmt: skip

    def _spools(self, scratch: Path) -> Iterator[_Item]:
        for path in sorted(self.workspace.spool.glob("*.sqlite")):
            if not path.name.startswith("."):
                yield self._database(path, scratch)

    def _database(self, path: Path, scratch: Path) -> _Item:
        """A copy of a SQLite file, made now."""
        copy = scratch / f"{len(list(scratch.iterdir()))}.sqlite"
        copy_sqlite(path, copy)
        return _Item(copy, self._name(path), link=True)

    def _state(self, scratch: Path) -> _Item:
        """The state, always as a SQLite file: so a copy can be put back into either database."""
        file = self.workspace.root / STATE_FILE
        if self.state.engine.dialect.name == "sqlite":
            return self._database(file, scratch)
        copy = scratch / STATE_FILE
        target = State.open(f"sqlite:///{copy}")
        transfer(self.state, target)
        target.close()
        return _Item(copy, self._name(file), link=True)

    def _settings(self, scratch: Path) -> _Item:
        """Without the databases: no password travels, and a restored workspace does not write to the old ones."""
        copy = scratch / self.workspace.settings_file.name
        copy.write_text(_STORE_URL.sub("", self.workspace.settings_file.read_text()))
        return _Item(copy, copy.name, link=True)

    def _rest(self, scratch: Path, tables: dict[str, int]) -> Iterator[_Item]:
        """Everything else: the store, references, keys, whatever a later version keeps beside them."""
        for folder, folders, names in os.walk(self.workspace.root):
            here = self._name(Path(folder))
            folders[:] = [f for f in folders if not self._left_out(f"{here}/{f}".removeprefix("./"), tables)]
            for name in names:
                path = Path(folder, name)
                if name.startswith(".") or name.endswith(_PASSING) or (here == "." and name in _BY_ITSELF):
                    continue
                if name.endswith(".sqlite"):
                    yield self._database(path, scratch)
                else:
                    unchanging = self._name(path).startswith(_UNCHANGING)
                    yield _Item(path, self._name(path), self.link and unchanging, must=False)

    def _left_out(self, folder: str, tables: dict[str, int]) -> bool:
        return folder in _NOT_COPIED or folder in tables or folder.rpartition("/")[2].startswith(".")

    def _keep(self, items: list[_Item]) -> tuple[KeptFile, ...]:
        total, done, kept = sum(_size(item) for item in items), 0, []
        for item in items:
            self.tell(done, total)
            if (file := self._kept(item)) is not None:
                kept.append(file)
                done += file.size
        self.tell(total, total)
        return tuple(sorted(kept, key=lambda file: file.path))

    def _kept(self, item: _Item) -> KeptFile | None:
        try:
            known, stat = self._known.get(item.name), item.source.stat()
            unchanged = known and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
            if known and unchanged and item.name.startswith(_UNCHANGING) and self.vault.holds(known):
                return known
            file = self.vault.keep(item.source, item.name, link=item.link)
        except FileNotFoundError:
            if item.must:
                raise
            return None
        self._known[item.name] = file
        self.read += file.size
        return file

    def _name(self, path: Path) -> str:
        return path.relative_to(self.workspace.root).as_posix()


def _damaged(files: tuple[KeptFile, ...], versions: dict[str, int]) -> tuple[str, ...]:
    changed = [file.path for file in files if not name_fits(file.path, file.sha256)]
    return tuple(changed + [table for table, version in versions.items() if version == UNREADABLE])


def _size(item: _Item) -> int:
    try:
        return item.size
    except FileNotFoundError:
        if item.must:
            raise
        return 0

"""What an import has decided, kept until it is done: one that was broken off goes on with the very same reading."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pilothouse.data.errors import ImportBrokenOff
from pilothouse.data.names import checked_name
from pilothouse.data.store import write_durably
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.mapping import ColumnMap
from pilothouse.ops.imports.plan import Plan, Reading
from pilothouse.ops.imports.sources import CHUNK_ROWS
from pilothouse.ops.imports.values import Style


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReading:
    """How one source is read."""

    name: str
    mapping: ColumnMap
    style: Style
    formats: dict[str, str]

    def digest(self) -> str:
        said = [self.mapping.digest(), msgspec.to_builtins(self.style), sorted(self.formats.items())]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One import of given bytes. source : digest of those of the predictions and of the labels."""

    model: str
    source: str
    labels_source: str
    predictions: KeptReading
    labels: KeptReading | None
    version: int
    begun_at: datetime
    registered: str = ""
    done: bool = False

    @property
    def import_id(self) -> str:
        """The same for the same bytes read in the same way: its marks in the tables say how far it is."""
        said = [
            self.source, self.labels_source, self.predictions.digest(), self.labels.digest() if self.labels else "",
            self.version, CHUNK_ROWS,
        ]  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]

    @property
    def tag(self) -> str:
        """What the ids made for its rows begin with, whichever way they are read."""
        return f"import-{self.source[:12]}"


class Records:
    """The records of one model's imports: a small file each, in the workspace."""

    def __init__(self, workspace: Workspace, model: str) -> None:
        self._folder = workspace.root / "imports" / checked_name(model)

    @property
    def folder(self) -> Path:
        """Made on first use."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder

    def find(self, source: str, labels_source: str) -> Record | None:
        """The newest record of these bytes."""
        file = self._file(source, labels_source)
        return msgspec.json.decode(file.read_bytes(), type=Record) if file.exists() else None

    def version_of(self, source: str) -> int | None:
        """The version that rows of these bytes were given before, with whatever labels: a later champion's rows they
        are not."""
        for file in sorted(self._folder.glob("*.json")):
            record = msgspec.json.decode(file.read_bytes(), type=Record)
            if record.source == source:
                return record.version
        return None

    def keep(self, record: Record) -> None:
        content = msgspec.json.format(msgspec.json.encode(record), indent=1)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(self._file(record.source, record.labels_source), content)

    def _file(self, source: str, labels_source: str) -> Path:
        both = hashlib.sha256(f"{source}/{labels_source}".encode()).hexdigest()
        return self._folder / f"{both[:32]}.json"


def kept(reading: Reading) -> KeptReading:
    return KeptReading(
        name=reading.source.name, mapping=reading.mapping, style=reading.style, formats=dict(reading.formats)
    )


def unfinished(found: Record | None, source: str, *, resume: bool) -> Record | None:
    """The record to go on with. Raises ImportBrokenOff when there is one and nobody asked to."""
    if found is None or found.done:
        return None
    if not resume:
        raise ImportBrokenOff(source, found.model)
    return found


def as_recorded(plan: Plan, record: Record) -> Plan:
    """`plan` with every reading as the record has it."""
    predictions = _as_kept(plan.predictions, record.predictions)
    labels = _as_kept(plan.labels, record.labels) if plan.labels and record.labels else plan.labels
    return replace(plan, predictions=predictions, labels=labels, version=record.version)


def _as_kept(reading: Reading, said: KeptReading) -> Reading:
    formats: Mapping[str, Any] = said.formats
    return replace(reading, mapping=said.mapping, style=said.style, formats=formats)

"""Segments: the columns by whose values rows and outcomes are counted, and the values that are told apart.

The values are fixed once, by the commonest of the reference (or of the log, for a column chosen later), so that counts
of any two days can be added up. A column that was watched before keeps its values when it is watched again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from pilothouse.data.errors import UnknownColumn
from pilothouse.data.rollups.bins import Bins, CategoryBins, NumberBins, numbers, texts
from pilothouse.data.signature import NUMERIC, Kind, Signature
from pilothouse.data.store import write_durably

FILE = "segments.json"
TOLD_APART = 50
"""Values of a column that have counts of their own; all others share one."""
_TENTHS = 10


class Rest:
    """What a segment is called that is no value of its own."""

    OTHER = "other"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentColumn:
    """A column to tell segments apart by. stored : its name in the log. bins : which slot a value falls into."""

    name: str
    stored: str
    kind: Kind
    bins: Bins

    @classmethod
    def of(cls, signature: Signature, model: str, name: str, values: pl.Series) -> SegmentColumn:
        """The column `name` as `values` have it: its 50 commonest; of numbers with more, tenths. Raises UnknownColumn."""
        found = next((c for c in signature.columns if c.name == name), None)
        if found is None:
            raise UnknownColumn(model, name, [c.name for c in signature.columns])
        return cls(name=name, stored=found.column, kind=found.kind, bins=_bins(found.kind, values))

    def labels(self) -> list[tuple[str, bool]]:
        """What each slot is called, and whether that is a value (or a span of them), by slot."""
        values = self.bins.values if isinstance(self.bins, CategoryBins) else ()
        if isinstance(self.bins, NumberBins):
            return [*_spans(self.bins), (Rest.MISSING, False)]
        return [*((v, True) for v in values), (Rest.OTHER, False), (Rest.OTHER, False), (Rest.MISSING, False)]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "stored": self.stored, "kind": self.kind, "bins": self.bins.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SegmentColumn:
        kind = Kind(value["kind"])
        bins: Bins = (NumberBins if kind in NUMERIC else CategoryBins).from_json(value["bins"])
        return cls(name=value["name"], stored=value["stored"], kind=kind, bins=bins)


Segments = tuple[SegmentColumn, ...]


def load_segments(folder: Path) -> Segments:
    """The columns that are watched, of the profile in `folder`."""
    value = _read(folder)
    return tuple(column for column in value[1] if column.name in value[0])


def save_segments(folder: Path, columns: Sequence[SegmentColumn]) -> Segments:
    """Watch `columns` and no others from now on; returns them with the values they have had before, if they had any."""
    _, known = _read(folder)
    before = {(column.name, column.stored): column for column in known}
    watched = tuple(before.get((column.name, column.stored), column) for column in columns)
    names = {column.name for column in watched}
    kept = [*watched, *(column for column in known if column.name not in names)]
    content = {"watched": [column.name for column in watched], "columns": [column.to_json() for column in kept]}
    write_durably(folder / FILE, msgspec.json.encode(content))
    return watched


def segments_number(segments: Segments) -> int:
    """What stands for the watched columns and their values among the marks of a Delta table; 0 for none."""
    content = msgspec.json.encode([column.to_json() for column in segments])
    return zlib.crc32(content) if segments else 0


def named(segment: SegmentColumn, slot: int, measure: str) -> str:
    """How roll-ups name a measure of one segment.

    >>> bins = CategoryBins(values=("UA", "AA"), others=None)
    >>> column = SegmentColumn(name="carrier", stored="x_carrier", kind=Kind.CATEGORY, bins=bins)
    >>> named(column, 1, "score")
    'score 1 carrier'
    """
    return f"{measure} {slot} {segment.name}"


def _read(folder: Path) -> tuple[list[str], list[SegmentColumn]]:
    if not (folder / FILE).exists():
        return [], []
    value = msgspec.json.decode((folder / FILE).read_bytes())
    return value["watched"], [SegmentColumn.from_json(column) for column in value["columns"]]


def _bins(kind: Kind, values: pl.Series) -> Bins:
    if kind not in NUMERIC:
        return CategoryBins(values=CategoryBins.of(texts(values)).values[:TOLD_APART], others=None)
    found = NumberBins.of(numbers(values))
    if len(found.lefts) <= TOLD_APART and found.discrete:
        return found
    finite = numbers(values)[np.isfinite(numbers(values))]
    lefts = np.unique(np.quantile(finite, np.arange(_TENTHS) / _TENTHS, method="lower"))
    return NumberBins(lefts=lefts, top=found.top, discrete=False)


def _spans(bins: NumberBins) -> Iterable[tuple[str, bool]]:
    """Below, each bin, above: in the order of slots."""
    lefts = [f"{left:g}" for left in bins.lefts]
    yield f"below {lefts[0]}", True
    for left, right in zip(lefts, [*lefts[1:], f"{bins.top:g}"], strict=True):
        yield (left if bins.discrete else f"{left} to {right}"), True
    yield f"above {bins.top:g}", True

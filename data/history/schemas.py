"""How the columns of a log changed: told by the data files themselves, so it survives every cleaning of table logs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.history.results import Change, SchemaChange
from pilothouse.data.limits import check_limit
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Window

_OWN = ("x_", "c_")
_MAY_BE_EMPTY = 512
"""Bytes up to which a column of a file is looked into."""


def schema_changes(folder: DeltaFolder, signature: Signature, window: Window) -> tuple[SchemaChange, ...]:
    """Features and context columns that came or went on a UTC day of `window`, oldest first.

    A column is there on the days on which at least one row has a value for it: a compaction gives old rows every later
    column, but no values. Of the data files little more than the footers is read.
    """
    held = _columns_of_days(folder)
    if not held:
        return ()
    found = [change for name in sorted({n for names in held.values() for n in names}) for change in _of(name, held)]
    told = {c.column: c.name for c in signature.logged}
    columns = Counter(_name(column, told) for column in {n for names in held.values() for n in names})
    several = {name for name, count in columns.items() if count > 1}
    changes = _joined([replace(change, column=_name(change.column, told)) for change in found], several)
    return tuple(sorted((c for c in changes if c.at in window), key=lambda c: (c.at, c.column)))


def _columns_of_days(folder: DeltaFolder) -> dict[str, set[str]]:
    """The columns with a value on each day, oldest day first."""
    held: dict[str, set[str]] = {}
    for path in folder.files():
        check_limit()
        held.setdefault(Path(path).parent.name.removeprefix("day="), set()).update(_columns_with_values(path))
    return dict(sorted(held.items()))


@lru_cache(maxsize=4096)
def _columns_with_values(path: str) -> frozenset[str]:
    """Of a data file, which never changes under its name."""
    file = pq.ParquetFile(path)
    sizes: dict[str, int] = {}
    for group in (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)):
        for column in (group.column(place) for place in range(group.num_columns)):
            if column.path_in_schema.startswith(_OWN):
                name = column.path_in_schema
                sizes[name] = max(sizes.get(name, 0), column.total_uncompressed_size)
    # Nulls alone take a few bytes however many they are, and the files keep no statistics of these columns.
    small = file.read([name for name, size in sizes.items() if size <= _MAY_BE_EMPTY])
    empty = {name for name in small.column_names if small[name].null_count == small.num_rows}
    return frozenset(sizes.keys() - empty)


def _of(column: str, held: dict[str, set[str]]) -> Iterator[SchemaChange]:
    days = list(held)
    there = [day for day in days if column in held[day]]
    if there[0] != days[0]:
        yield SchemaChange(at=_midnight(there[0]), column=column, kind=Change.NEW, detail="first values on this day")
    if there[-1] != days[-1]:
        after = days[days.index(there[-1]) + 1]
        yield SchemaChange(
            at=_midnight(after), column=column, kind=Change.DROPPED, detail=f"last values on {there[-1]}"
        )


def _name(column: str, told: dict[str, str]) -> str:
    """What people call a column. One that the signature no longer has is told by its spelling: see Feature.column."""
    spelt = re.fullmatch(r"[xc]_(.+?)(?:__\d+)?", column)
    return told.get(column) or (spelt[1] if spelt else column)


def _joined(changes: list[SchemaChange], several: set[str]) -> Iterator[SchemaChange]:
    """What came under a name that has `several` columns has changed its type: one change, and no drop beside it."""
    retyped = {change.column for change in changes if change.kind is Change.NEW} & several
    for name in retyped:
        come = max((c for c in changes if c.column == name and c.kind is Change.NEW), key=lambda c: c.at)
        gone = [c.detail for c in changes if c.column == name and c.kind is Change.DROPPED]
        as_before = f"{gone[-1]} as before" if gone else "other versions go on as before"
        detail = f"values of another type since this day; {as_before}"
        yield SchemaChange(at=come.at, column=name, kind=Change.RETYPED, detail=detail)
    yield from (change for change in changes if change.column not in retyped)


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)

"""Readers share what they open: one handle for every version of a table, and never an old one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from pilothouse.data.delta import DeltaFolder, newest

SCHEMA = pa.schema([("day", pa.string()), ("n", pa.int64())])


def folder(path: Path, schema: pa.Schema = SCHEMA) -> DeltaFolder:
    return DeltaFolder(path / "table", schema, ("day",))


def append(path: Path, seq: int) -> None:
    folder(path).append(pa.table({"day": ["2026-03-01"], "n": [seq]}, SCHEMA), {"writer": seq})


def test_a_table_is_opened_once_for_each_version(tmp_path: Path) -> None:
    assert newest(folder(tmp_path)).table() is None
    append(tmp_path, 1)
    first = newest(folder(tmp_path))
    assert newest(folder(tmp_path)) is first
    append(tmp_path, 2)
    second = newest(folder(tmp_path))
    assert (first.mark("writer"), second.mark("writer")) == (1, 2)
    assert len(first.files()) == 1
    assert len(second.files()) == 2


def test_a_table_made_anew_and_one_with_other_columns_are_others(tmp_path: Path) -> None:
    append(tmp_path, 1)
    first = newest(folder(tmp_path))
    wider = newest(folder(tmp_path, SCHEMA.append(pa.field("more", pa.float64()))))
    assert wider is not first
    assert wider.schema.names == ["day", "n", "more"]
    shutil.rmtree(tmp_path / "table")
    assert newest(folder(tmp_path)).table() is None

"""The index of rows: it sends to every row that a scan would find, and a damaged or missing side file costs only time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.integration.history.conftest import SIGNATURE, Book, _conformed, book

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.entries import canonical_key
from pilothouse.data.log.lookup import labels_about, rows_told_of
from pilothouse.data.log.places import RowIndex, index_of, pairs_of, read_rows
from pilothouse.data.log.tables import compact_log, prediction_folder

__all__ = ["book"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ODD = 'a "quoted", {braced}: \\ and ünïcode'


@pytest.fixture
def folder(book: Book) -> DeltaFolder:
    """Four files of 50 rows; row n has the id `r<n>` and the keys flight n and gate n modulo 5, row 7 an odd one too."""
    table = prediction_folder(book.workspace, "flights", SIGNATURE)
    for file in range(4):
        numbers = range(file * 50, file * 50 + 50)
        frame = pl.DataFrame(
            {
                "prediction_id": [f"r{n}" for n in numbers],
                "keys": [keys_of(n) for n in numbers],
                "at": [NOON + timedelta(seconds=n) for n in numbers],
                "logged_at": [NOON] * 50, "version": 1, "role": "champion", "status": "ok", "spool": "t",
                "day": NOON.date(),
            }
        )  # fmt: skip
        table.append(_conformed(frame, table.schema), {"t": file + 1})
    return table


def keys_of(n: int) -> str | None:
    return None if n % 10 == 9 else canonical_key({"flight": n, "gate": n % 5, **({"odd": ODD} if n == 7 else {})})


def found(table: DeltaFolder, ids: list[str], keys: list[str]) -> list[str]:
    rows = rows_told_of(table, table.files(), ["prediction_id"], ids, keys)
    return sorted(rows["prediction_id"].to_list())


def test_rows_are_found_by_id_and_by_every_pair_of_a_key(folder: DeltaFolder) -> None:
    assert found(folder, ["r3", "r120", "nobody"], []) == ["r120", "r3"]
    assert found(folder, [], [canonical_key({"flight": 57})]) == ["r57"]
    assert found(folder, [], [canonical_key({"flight": 57, "gate": 2})]) == ["r57"]
    assert found(folder, [], [canonical_key({"flight": 57, "gate": 3})]) == []
    assert found(folder, [], [canonical_key({"odd": ODD})]) == ["r7"]
    assert found(folder, [], [canonical_key({"gate": 4})]) == sorted(f"r{n}" for n in range(200) if n % 10 == 4)
    assert found(folder, ["r3"], [canonical_key({"flight": "57"})]) == ["r3"]


def test_pairs_stand_as_in_canonical_json() -> None:
    key = canonical_key({"b": ODD, "a": -1.5, "c": 12.0})
    assert "{" + ",".join(pairs_of(key)) + "}" == key
    assert pairs_of("{}") == []


def test_labels_that_speak_of_part_of_a_key_are_found(book: Book) -> None:
    from pilothouse.data.log.tables import label_folder

    labels = label_folder(book.workspace, "flights", SIGNATURE)
    told = [canonical_key(k) for k in ({"flight": 1}, {"gate": 2}, {"flight": 1, "gate": 2}, {"flight": 3})]
    frame = pl.DataFrame(
        {"key": told, "label": [1.0] * 4, "observed_at": [NOON] * 4, "recorded_at": [NOON] * 4, "spool": "t",
         "day": NOON.date()}
    )  # fmt: skip
    labels.append(_conformed(frame, labels.schema), {"t": 1})
    asked = [canonical_key({"flight": 1, "gate": 2, "tail": "N1"})]
    rows = labels_about(labels, labels.files(), ["key"], [], asked)
    assert rows is not None
    assert rows["key"].to_list() == told[:3]


@pytest.mark.parametrize("harm", ["cut", "zeros", "gone", "other"])
def test_a_damaged_side_file_is_made_again(folder: DeltaFolder, tmp_path: Path, harm: str) -> None:
    files = folder.files()
    RowIndex(tmp_path).with_values(files, "prediction_id", ["r3"])
    for side in tmp_path.rglob("*.places"):
        content = side.read_bytes()
        harmed = {"cut": content[:-5], "zeros": bytes(len(content)), "gone": b"", "other": content[::-1]}[harm]
        side.write_bytes(harmed) if harmed else side.unlink()
    places = RowIndex(tmp_path).with_values(files, "prediction_id", ["r3"])
    assert read_rows(places, ["prediction_id"], folder.schema)["prediction_id"].to_list() == ["r3"]


def test_many_rows_of_a_file_are_read_in_one_go_and_lacking_columns_are_null(folder: DeltaFolder) -> None:
    (path, *_) = folder.files()
    wide = folder.schema.append(_field("c_new"))
    rows = read_rows({path: np.arange(5, 45, dtype=np.uint32)}, ["prediction_id", "c_new"], wide)
    assert (rows.height, rows["c_new"].null_count()) == (40, 40)


def test_side_files_go_with_the_files_they_were_made_of(book: Book, folder: DeltaFolder) -> None:
    found(folder, ["r3"], [])
    sides = book.workspace.run / "index" / "predictions" / "flights"
    assert len(list(sides.rglob("*.places"))) == 4
    compact_log(book.workspace, "flights", SIGNATURE, crowded=1)
    assert list(sides.rglob("*.places")) == []
    folder.refresh()
    assert found(folder, ["r3"], []) == ["r3"]
    assert index_of(folder) is index_of(prediction_folder(book.workspace, "flights", SIGNATURE))


def _field(name: str):
    import pyarrow as pa

    return pa.field(name, pa.string())

"""A preflight finds the versions that would not answer as before, and names no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import StepFailed
from pilothouse.data.state import catalog
from pilothouse.data.state.catalog import Recorded, VersionRow
from pilothouse.ops.house import House
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.runtimes.agree import Agreement
from pilothouse.ops.runtimes.recorded import record, reference_rows, rescored
from pilothouse.ops.scoring import Scored, load_original


class Shifted:
    """An original that has come to answer a little otherwise."""

    def __init__(self, house: House, version: VersionRow, by: float) -> None:
        self._original, self._by = load_original(house.store, version), by

    def score(self, columns: pl.DataFrame) -> Scored:
        found = self._original.score(columns)
        assert found.score is not None
        return replace(found, score=[score + self._by for score in found.score])


def write(house: House, version: VersionRow) -> None:
    with house.state.write() as conn:
        catalog.set_examined(conn, version)


def compared(house: House, version: VersionRow, by: float) -> Agreement:
    assert version.recorded is not None
    folder = house.workspace.reference(MODEL, version.recorded.profile_id)
    rows = reference_rows(folder, version.signature)
    assert rows is not None
    return rescored(house.store, version.recorded, Shifted(house, version, by), rows, version.signature)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return make_small(tmp_path / "w")


def test_a_registered_version_is_recorded_and_a_shift_is_measured(house: House) -> None:
    version = house[MODEL].version(1)
    assert version.recorded is not None
    assert version.recorded.rows == 1000
    assert compared(house, version, 0.0) == Agreement(rows=1000, largest=0.0, beyond=0, other_class=0)
    found = compared(house, version, 0.002)
    assert (found.largest, found.beyond) == (pytest.approx(0.002), 1000)
    house.close()


def test_a_row_that_was_erased_is_not_compared(house: House) -> None:
    version = house[MODEL].version(1)
    folder = house.workspace.reference(MODEL, house[MODEL].row.profile_id)
    kept = pl.read_parquet(folder / "sample.parquet")
    kept.filter(pl.col("x_purpose") != "home").write_parquet(folder / "sample.parquet")
    assert compared(house, version, 0.0).rows == kept.filter(pl.col("x_purpose") != "home").height
    house.close()


def test_versions_that_would_answer_otherwise_are_named(house: House, tmp_path: Path) -> None:
    first = house[MODEL].version(1)
    model = load_original(house.store, first).model
    second, third, fourth = (house.add_version(MODEL, model) for _ in range(3))
    # What would an upgrade do? The second answers otherwise than it was recorded; the fourth was never recorded.
    rows = reference_rows(house.workspace.reference(MODEL, house[MODEL].row.profile_id), first.signature)
    assert rows is not None
    shifted = record(house.store, Shifted(house, second, 0.01), rows, house[MODEL].row.profile_id)
    write(house, replace(second, recorded=shifted))
    write(house, replace(third, recorded=Recorded(sha256="0" * 64, profile_id=shifted.profile_id, rows=1000)))
    write(house, replace(fourth, recorded=None))
    root = str(house.workspace.root)
    result = CliRunner().invoke(app, ["preflight", MODEL, "--workspace", root])
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0] == "loans version 1 (champion): same, 1,000 rows at most 0.0e+00 apart"
    assert "version 4: not recorded: nothing was recorded of it" in lines[1]
    assert "version 3: fails: " in lines[2]
    assert "the file is missing from the store" in lines[2]
    assert lines[3].startswith("loans version 2: differs, 1,000 rows at most 1.0e-02 apart")
    assert lines[3].endswith("the original differs on 1,000 of 1,000 rows by more than 1e-05")
    recorded = CliRunner().invoke(app, ["preflight", "--record", "--workspace", root])
    assert recorded.stdout == "loans version 4: recorded\n"
    assert house[MODEL].version(4).recorded == first.recorded
    house.close()


def test_a_conversion_that_takes_too_long_is_ended(house: House) -> None:
    children = Children(house.store.root, within_s={"convert": 0.05})
    with pytest.raises(StepFailed, match=r"it was not done within 0\.05 s"):
        children.run("here", "convert", {}, dict, lambda _: None)
    house.close()


def test_a_version_from_before_there_were_conversions_is_converted_later(tmp_path: Path) -> None:
    house = make_small(tmp_path / "w")
    assert house[MODEL].version(1).conversion is None
    house.workspace.settings_file.write_text("")
    house.close()
    result = CliRunner().invoke(app, ["convert", MODEL, "1", "--workspace", str(house.workspace.root)])
    assert (result.exit_code, result.exception) == (0, None)
    assert result.stdout.startswith("loans version 1: ONNX, at most ")
    version = house[MODEL].version(1)
    assert version.answers_with == "onnx"
    assert house.audit()[0].act == "convert"
    rows = reference_rows(house.workspace.reference(MODEL, house[MODEL].row.profile_id), version.signature)
    assert rows is not None
    assert np.isfinite(house[MODEL].predict(rows)["score"].to_numpy()).all()
    house.close()

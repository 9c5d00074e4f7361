"""Damage is found by hashing, named with what it held, and given up only on purpose."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import DamagedFile, NothingDamaged
from pilothouse.data.log.scrub import scrub
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.rollups.gaps import lacks_rows
from pilothouse.data.rollups.store import rollup_folder
from pilothouse.ops.house import House

DAYS = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3)]


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = make_small(tmp_path_factory.mktemp("three") / "house")
    frame = planted(30, seed=4).drop("failed")
    for day in DAYS:
        at = pl.Series("at", [day] * 30)
        house[MODEL].log(frame.with_columns(at, prediction=0, score=pl.Series(np.linspace(0, 1, 30))), version=1)
        house.catch_up()
    house.close()
    return house.workspace.root


@pytest.fixture
def house(three_days: Path, tmp_path: Path) -> House:
    return House.open(shutil.copytree(three_days, tmp_path / "house"))


def files_of(house: House) -> list[Path]:
    return [Path(p) for p in prediction_folder(house.workspace, MODEL, house[MODEL].signature).files(check=False)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_files_looked_at_longest_ago_come_first(house: House) -> None:
    def look(now: datetime, budget: int | None) -> int:
        return scrub(house.workspace, MODEL, house[MODEL].signature, now, budget=budget).files

    rounds = [scrub(house.workspace, MODEL, house[MODEL].signature, DAYS[0], budget=1) for _ in range(2)]
    assert [report.files for report in rounds] == [1, 1]
    assert rounds[1].oldest is None
    everything = scrub(house.workspace, MODEL, house[MODEL].signature, DAYS[1])
    assert (everything.files, everything.oldest, everything.damage) == (everything.of, DAYS[1], ())
    assert look(DAYS[2], 1) == 1


def test_damage_is_named_with_what_it_held_and_what_to_do(house: House) -> None:
    second = files_of(house)[1]
    flip(second)
    result = CliRunner().invoke(app, ["verify", MODEL, "-w", str(house.workspace.root)])
    said = " ".join(result.output.split())
    assert result.exit_code == 6
    assert f"It holds 30 rows of {DAYS[1]:%Y-%m-%d}" in said
    assert f"pilothouse quarantine drop {MODEL} {second.name}" in said


def test_a_damaged_file_is_refused_until_it_is_dropped(house: House) -> None:
    second = files_of(house)[1]
    flip(second)
    assert len(house[MODEL].verify().damage) == 1
    with pytest.raises(DamagedFile):
        house[MODEL].prediction_log.predictions()
    lost = house[MODEL].drop_damaged(second.name, reason="no backup")
    assert (lost.rows, lost.period) == (30, f"{DAYS[1]:%Y-%m-%d}")
    assert house[MODEL].prediction_log.predictions().height == 60
    assert house[MODEL].log_state.damage == ()
    assert lacks_rows(rollup_folder(house.workspace, MODEL), DAYS[1].date())
    assert house[MODEL].audit(1)[0].details["rows"] == 30


def test_a_missing_file_can_be_given_up_too(house: House) -> None:
    gone = files_of(house)[0]
    gone.unlink()
    assert [d.reason for d in house[MODEL].verify().damage] == ["the file is missing"]
    house[MODEL].drop_damaged(gone.name, reason="no backup")
    assert house[MODEL].prediction_log.predictions().height == 60


def test_a_whole_file_is_not_dropped(house: House) -> None:
    with pytest.raises(NothingDamaged, match="is known to be damaged"):
        house[MODEL].drop_damaged(files_of(house)[0].name, reason="by mistake")

"""The log page: whole, damaged, empty; what is kept is changed and an entity erased from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.policies import LogPolicy
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

EVE = "eve-5b1e-unmistakable"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = make_small(tmp_path_factory.mktemp("logged") / "workspace")
    frame = planted(60, seed=6).drop("failed").with_columns(
        pl.Series("id", [f"loan-{n}" for n in range(60)]), pl.Series("entity_id", [EVE, "adam"] * 30),
        prediction=0, score=pl.Series(np.linspace(0, 1, 60)),
    )  # fmt: skip
    house[MODEL].log(frame, version=1)
    house[MODEL].set_class("purpose", "sensitive")
    house.catch_up()
    house.close()
    return house.workspace.root


@pytest.fixture
def workspace(logged: Path, tmp_path: Path) -> Iterator[Path]:
    copy = Path(shutil.copytree(logged, tmp_path / "workspace"))
    with dashboard_of(copy):
        yield copy


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    with dashboard_of(Workspace.create(tmp_path / "empty").root):
        app = open_page("log")
        assert not app.exception
        assert "No model is registered yet" in words(app)


def test_a_whole_log_is_said_to_be_whole(workspace: Path) -> None:
    app = open_page("log", model=MODEL)
    assert not app.exception
    said = words(app)
    assert "Yes. 60 rows are sealed, and no damage is known." in said
    assert "Single rows are kept for ever" in said
    assert "sensitive" in said


def test_damage_is_said_here_and_on_the_fleet_page(workspace: Path) -> None:
    house = House.open(workspace)
    (path,) = prediction_folder(house.workspace, MODEL, house[MODEL].signature).files()
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)
    assert len(house[MODEL].verify().damage) == 1
    app = open_page("log", model=MODEL)
    assert not app.exception
    assert "1 file of this log cannot be read" in words(app)
    assert "pilothouse quarantine drop" in words(app)
    assert "pilothouse quarantine drop" in words(open_page("fleet"))


def test_the_dialog_says_what_the_policy_would_let_go(workspace: Path) -> None:
    House.open(workspace)[MODEL].set_log_policy(LogPolicy(keep_days=30))
    app = open_page("log", model=MODEL)
    assert "Single rows go after 30 days" in words(app)
    app.button(key="keep").click().run()
    assert not app.exception
    assert "Nothing would go now." in words(app)
    assert app.button(key="keep-confirm").disabled


def test_the_erasure_dialog_says_what_it_does_and_its_receipt_is_shown(workspace: Path) -> None:
    app = open_page("log", model=MODEL)
    app.button(key="erase").click().run()
    assert not app.exception
    assert "It cannot be undone" in words(app)
    receipt = House.open(workspace)[MODEL].erase(EVE, reason="asked for")
    said = words(open_page("log", model=MODEL))
    assert receipt.entity[:12] in said
    assert EVE not in said

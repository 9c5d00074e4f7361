"""The log page: whole, damaged, empty; what is kept is changed and an entity erased from it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted

from pilothouse.app.house import House as NotebookHouse
from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.policies import LogPolicy
from pilothouse.data.rollups.store import Cursor, replace_rows, rollup_folder
from pilothouse.data.workspace import Workspace
from pilothouse.ops.figures import rebuild_figures, recount_day
from pilothouse.ops.house import House
from pilothouse.ops.worker import Worker

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


def test_the_last_recount_is_said_and_another_is_started(workspace: Path) -> None:
    app = open_page("log", model=MODEL)
    assert "Never recounted yet." in words(app)
    app.button(key="recount").click().run()
    assert not app.exception
    assert re.search(r"was recounted just now: all [\d,]+ cells agree with the rows", words(app))


def test_a_day_that_differs_is_said_with_what_differs_and_is_the_one_to_recount(workspace: Path) -> None:
    house = House.open(workspace)
    honest = recount_day(house[MODEL])
    spoil_one_bin(rollup_folder(house.workspace, MODEL), "amount")
    spoilt = recount_day(house[MODEL])
    assert spoilt.day == honest.day
    assert (spoilt.differing, spoilt.where) == (2, ("feature amount",))
    app = open_page("log", model=MODEL)
    said = words(app)
    assert f"the figures of {spoilt.day} differ from them" in said
    assert "2 of " in said
    assert "cells differ from the rows, in feature amount. Put it right with" in said
    rebuild_figures(house[MODEL])
    button = app.button(key="recount")
    assert button.label == f"Recount {spoilt.day} again"
    button.click().run()
    assert "cells agree with the rows" in words(app)
    assert "Yes. 60 rows are sealed" in words(app)


def test_the_workers_recount_is_noted_too(workspace: Path) -> None:
    house = House.open(workspace)
    worker = Worker(house.workspace, house.settings)
    worker.upkeep.recount()
    worker.stop()
    found = house[MODEL].log_state.recounted
    assert found is not None
    assert found.found.differing == 0


def spoil_one_bin(folder: DeltaFolder, feature: str) -> None:
    """Put one row too many into the first slot of a feature, in the hours and in the days."""
    rows = pl.concat(
        [
            pl.read_parquet(file, hive_partitioning=False).with_columns(period=pl.lit(folder.partition_value(file)))
            for file in folder.files()
        ]
    )
    spoilt = (pl.col("feature") == feature) & (pl.col("part") == "feature")
    more = pl.concat_list(pl.col("n").list.first() + 1, pl.col("n").list.slice(1))
    table = (
        rows.with_columns(pl.when(spoilt).then(more).otherwise("n").alias("n")).select(folder.schema.names).to_arrow()
    )
    replace_rows(folder, table.cast(folder.schema), None, Cursor.of(folder).marks())


def test_hidden_values_are_shown_to_who_says_why(workspace: Path) -> None:
    House.open(workspace)[MODEL].set_class("amount", "sensitive")
    House.open(workspace)[MODEL].set_class("purpose", "masked")
    app = open_page("model", model=MODEL)
    assert not app.exception
    assert "amount" not in app.selectbox(key="feature").options
    app.selectbox(key="feature").set_value("purpose").run()
    assert "••• 1" in pictures(app)
    assert "home" not in pictures(app)
    confirm(app, reason="")
    assert "Unmasking columns needs a reason" in words(app)
    assert "home" not in pictures(app)
    confirm(app, reason="a complaint")
    assert not app.exception
    assert "Hidden values are shown to you until" in words(app)
    assert "home" in pictures(app)
    assert "amount" in app.selectbox(key="feature").options
    row = House.open(workspace)[MODEL].audit(1)[0]
    assert (row.act, row.details["reason"]) == ("unmask", "a complaint")
    app.button(key="hide").click().run()
    assert "home" not in pictures(app)


def confirm(app: AppTest, *, reason: str) -> None:
    """Open the dialog and answer it. AppTest runs the whole page, so the dialog has to be opened by every run."""
    app.button(key="unmask").click().run()
    app.button(key="unmask").click()
    app.text_input(key="unmask-reason").set_value(reason)
    app.button(key="unmask-confirm").click().run()


def pictures(app: AppTest) -> str:
    """All figures of the page, as JSON."""
    return "\n".join(element.proto.spec for element in app.get("plotly_chart"))


def test_batches_are_listed(workspace: Path) -> None:
    assert "Batches" not in words(open_page("log", model=MODEL))
    house = NotebookHouse.open(workspace)
    house[MODEL].score(planted(40, seed=7).drop("failed"))
    house.close()
    app = open_page("log", model=MODEL)
    assert not app.exception
    assert re.search(r"the frame.*v1.*40.*40.*0", words(app), re.DOTALL)

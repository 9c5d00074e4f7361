"""Canary and shadow on the page Releases and on the command line: tried with a click, shown, and ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.ops import artifacts
from pilothouse.ops.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house whose model has a champion, and version 2."""
    made = make_small(tmp_path / "workspace")
    version = made[MODEL].versions[0]
    made.add_version(MODEL, artifacts.load(made.store.read(version.artifact), version.trusted_types))
    with dashboard_of(made.workspace.root):
        yield made
    made.close()


def opened(key: str) -> AppTest:
    """The page with a dialog open. AppTest runs the whole page, so the button that opens it is pressed in every run."""
    app = open_page("releases", model=MODEL)
    app.button(key=key).click().run()
    app.button(key=key).click()
    return app


def test_a_canary_is_started_changed_and_ended_with_a_click(house: House) -> None:
    app = opened("canary-2")
    app.button(key="canary-confirm").click().run()
    assert "needs a reason" in words(app)
    app = opened("canary-2")
    app.selectbox(key="canary-share").set_value("5%")
    app.text_input(key="canary-reason").set_value("try it")
    app.button(key="canary-confirm").click().run()
    assert not app.exception
    (trial,) = house[MODEL].trials
    assert (trial.version, trial.basis_points, trial.reason) == (2, 500, "try it")
    shown = words(open_page("releases", model=MODEL))
    assert "Canary 5%" in shown
    assert "Too few rows: 0 answered" in shown
    assert "canary started with 5%" in shown
    app = opened("end-canary-2")
    app.text_input(key="end-trial-reason").set_value("enough")
    app.button(key="end-trial-confirm").click().run()
    assert house[MODEL].trials == ()
    assert "On trial" not in words(open_page("releases", model=MODEL))


def test_a_shadow_is_started_with_a_click_and_says_that_nobody_has_asked_yet(house: House) -> None:
    app = opened("shadow-2")
    app.text_input(key="shadow-reason").set_value("look at it")
    app.button(key="shadow-confirm").click().run()
    assert not app.exception
    assert "It has been asked about no row yet." in words(open_page("releases", model=MODEL))


def test_the_commands_say_and_do_the_same(house: House) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, [*words, "--workspace", str(house.workspace.root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "loans has no canary. Start one with: pilothouse canary loans VERSION" in run("canary", MODEL)
    assert "loans has no shadow." in run("shadow", MODEL)
    assert "canary started with 12.5%, version 2" in run("canary", MODEL, "2", "--share", "12.5%", "--reason", "r")
    assert "shadow started, version 2" in run("shadow", MODEL, "2", "--reason", "r")
    assert "champion v1" in run("canary", MODEL)
    said = json.loads(run("releases", MODEL, "--json"))
    assert [(t["kind"], t["version"], t["basis_points"]) for t in said["trials"]] == [
        ("canary", 2, 1250), ("shadow", 2, 10000)
    ]  # fmt: skip
    assert said["epoch"] == 3
    assert json.loads(run("canary", MODEL, "--json"))["canary"]["rows"] == 0
    assert "canary ended, version 2" in run("canary", MODEL, "--end", "--reason", "r")
    assert "shadow ended, version 2" in run("shadow", MODEL, "2", "--end", "--reason", "r")
    proof = json.loads(run("releases", MODEL, "--proof", "1", "--json"))
    assert proof["deployment"]["version"] == 1
    assert "From click to flip" in run("releases", MODEL, "--proof", "1")

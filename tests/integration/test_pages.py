"""The pages of a workspace where little has happened yet: each says the right sentence, and none stumbles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.dashboard import PAGES, dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.history import counting
from pilothouse.data.workspace import Workspace


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[None]:
    with dashboard_of(Workspace.create(tmp_path / "empty").root):
        yield


@pytest.fixture(scope="module")
def silent_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that nobody has asked anything yet."""
    house = make_small(tmp_path_factory.mktemp("silent") / "workspace")
    house.close()
    return house.workspace.root


@pytest.fixture(scope="module")
def asked_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model has been asked; no label has come."""
    house = make_small(tmp_path_factory.mktemp("asked") / "workspace")
    loans = house[MODEL]
    loans.predict(planted(400, seed=3).drop("failed"), log=True)
    house.catch_up()
    house.close()
    return house.workspace.root


@pytest.fixture
def silent(silent_workspace: Path) -> Iterator[None]:
    with dashboard_of(silent_workspace):
        yield


@pytest.fixture
def asked(asked_workspace: Path) -> Iterator[None]:
    with dashboard_of(asked_workspace):
        yield


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_workspace_says_how_to_begin(empty: None, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    said = words(app)
    assert "No model is registered yet" in said
    assert "pilothouse register NAME --model FILE" in said


SILENT = {
    "fleet": "there are no data yet to judge the model by",
    "model": "There are no predictions in this range.",
    "performance": "There are no predictions in this range.",
    "drift": "No predictions in this range.",
    "quality": "No rows in this range, so no rule can be checked.",
    "segments": "There are no predictions in this range.",
    "explain": "there is nothing to explain yet.",
    "releases": f"Version 1 is the champion of {MODEL} since",
    "retrain": f"{MODEL} has not been retrained here yet.",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_model_that_nobody_has_asked(silent: None, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    assert SILENT[page] in words(app)


def test_it_says_where_rows_are_sent_to(silent: None) -> None:
    said = words(open_page("model"))
    assert f"/models/{MODEL}/predict" in said
    assert "Start the service with" in said


def test_a_log_without_rows_is_not_scanned_hour_by_hour(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fourteen days are 336 hours, and each scan opens a connection: the pages ended at the limit of a question."""

    def no_scan(*_: object, **__: object) -> None:
        raise AssertionError("the log was scanned")

    monkeypatch.setattr(counting, "outcomes_between", no_scan)
    said = words(open_page("model"))
    assert "Latest rows" in said


ASKED = SILENT | {
    "model": "Predictions arrive, labels do not yet.",
    "explain": "The newest predictions",
    "performance": "Predictions arrive, labels do not yet.",
    "drift": "features differ from the reference by more than chance",
    "quality": "rules hold, each for at least 99.0% of the rows.",
    "segments": "Too few labels to compare segments yet.",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_model_without_labels(asked: None, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    assert ASKED[page] in words(app)


def test_every_range_and_step_is_drawn_or_says_why_not(asked: None) -> None:
    for chosen in (
        "24h",
        "8w",
        "2020-01-01~2020-01-08",
        "2030-01-01~2030-01-02T07:00",
        "0001-01-01~9999-12-31",
        "junk",
    ):
        app = open_page("model", range=chosen)
        assert not app.exception, chosen
    for step in ("hour", "day", "week"):
        app = open_page("model")
        app.button_group(key="step").set_value(step)
        app.run()
        assert not app.exception, step


def test_an_unknown_model_or_run_in_the_address_does_not_break_a_page(asked: None) -> None:
    assert not open_page("model", model="nobody").exception
    app = open_page("retrain", run="no-such-run")
    assert not app.exception
    assert "is not known here" in words(app)

"""A regression and a model of four classes on every page and through every command: in their own words, never in binary ones."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.dashboard import PAGES, dashboard_of, open_page, words
from tests.support.tasks import RENTS, TRIAGE, make_tasks
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.app.house import House

ONLY_BINARY = ("positive class", "positive row", "ROC AUC by", "Its ROC AUC", "Score PSI", "threshold of", "Came true")
WINDOW = ("--window", "6w")
AREAS = {RENTS: ("district", "furnished", "agency"), TRIAGE: ("complaint", "ambulance", "ward")}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House.open(make_tasks(tmp_path_factory.mktemp("tasks") / "house").workspace.root)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shown(house: House) -> Iterator[None]:
    with dashboard_of(house.workspace.root):
        yield


SAYS = {
    RENTS: {
        "fleet": "Mean absolute error 134.0",
        "model": "Mean absolute error by",
        "drift": "Mean absolute error rose by",
        "performance": "Mean absolute error was",
        "segments": "Nobody is selected by a number, so parity and odds are not asked of it.",
        "quality": "rules hold",
        "explain": "The newest predictions",
        "releases": "Only binary models are retrained and judged here so far.",
        "retrain": "Only binary models are retrained and judged here so far.",
    },
    TRIAGE: {
        "fleet": "below its reference",
        "model": "Macro F1 by",
        "drift": "Accuracy fell by",
        "performance": "Accuracy was",
        "segments": "Nobody is selected by one of several classes",
        "quality": "rules hold",
        "explain": "The newest predictions",
        "releases": "Only binary models are retrained and judged here so far.",
        "retrain": "Only binary models are retrained and judged here so far.",
    },
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_every_page_speaks_of_the_task_of_the_model(shown: None, name: str, page: str) -> None:
    app = open_page(page, model=name, range="6w")
    assert not app.exception
    said = words(app)
    assert SAYS[name][page] in said
    assert [binary for binary in ONLY_BINARY if binary in said] == []


@pytest.mark.parametrize(
    ("name", "views"),
    [
        (RENTS, {"Errors": "prediction − label", "Estimated": "is estimated at", "All metrics": "sMAPE"}),
        (TRIAGE, {"Classes": "came out urgent", "All metrics": "Weighted ROC AUC"}),
    ],
)
def test_every_view_of_performance_is_drawn(shown: None, name: str, views: dict[str, str]) -> None:
    app = open_page("performance", model=name, range="6w")
    for view, expected in views.items():
        app.button_group(key="behind").set_value(view)
        app.run()
        assert not app.exception
        assert expected in words(app), view
    app.toggle(key="exact").set_value(True)
    app.run()
    assert not app.exception
    assert "Counted row by row." in words(app)


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_what_waits_behind_buttons_is_shown(shown: None, name: str) -> None:
    first, second, _ = AREAS[name]
    app = open_page("segments", model=name, range="6w")
    app.selectbox(key="segment").set_value(first)
    app.selectbox(key="segment-and").set_value(second)
    next(button for button in app.button if button.label == "Find weak segments").click()
    app.run()
    assert not app.exception
    assert f"By {first} and {second}" in words(app)
    assert "looked at on one half" in words(app)
    app = open_page("model", model=name, range="6w")
    app.button(key="plan-open").click().run()
    assert not app.exception
    assert "false alarm" in words(app)


def test_the_fleet_names_the_metric_of_each_model(shown: None) -> None:
    app = open_page("fleet", range="6w")
    (table,) = app.dataframe
    metrics = dict(zip(table.value["Model"], table.value["Metric"], strict=True))
    assert metrics[RENTS].startswith("Mean absolute error 1")
    assert metrics[TRIAGE].startswith("Accuracy ")


SLOW = ("drift", "importance", "weak-segments", "fairness")
"""Commands whose JSON is asked for where they are tested themselves."""


def commands(name: str) -> Iterator[tuple[list[str], str]]:
    """Each command that asks something of a model, and what its table says."""
    by, other, context = AREAS[name]
    regression = name == RENTS
    yield ["performance", name, *WINDOW], "rmse" if regression else "macro_f1"
    yield ["metrics", name, *WINDOW], "median_ae" if regression else "kappa"
    yield ["metrics", name, *WINDOW, "--exact"], "smape" if regression else "mcc"
    yield ["metrics", name, *WINDOW, "--as-known", "2026-04-01"], "as known then"
    yield ["drift", name, *WINDOW], "(prediction)"
    yield ["drift", name, *WINDOW, "--exact"], "(prediction)"
    yield ["impact", name, *WINDOW], "not explained"
    yield ["estimate", name, *WINDOW], "mae" if regression else "accuracy"
    yield ["estimate", name, "--scoreboard", *WINDOW], "mae" if regression else "accuracy"
    yield ["segments", name, "--by", by, *WINDOW], "rmse" if regression else "macro_f1"
    yield ["segments", name, "--by", by, "--by", other, *WINDOW], "mae" if regression else "accuracy"
    yield ["weak-segments", name, *WINDOW], "looked at"
    yield ["fairness", name, context, *WINDOW], "Mean error" if regression else "Accuracy"
    yield ["quality", name, *WINDOW], "rules hold"
    yield ["plan", name], "Mean absolute error above" if regression else "Accuracy below"
    yield ["explain", name, "--id", "r5"], "predicted rent" if regression else "chance that urgency is"
    yield ["importance", name, *WINDOW], "mean absolute error" if regression else "accuracy"
    yield ["labels", name, *WINDOW], "labelled"
    yield ["rows", name, *WINDOW], "prediction"
    yield ["status"], "its reference"


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_every_command_answers_in_words_and_in_json(house: House, name: str) -> None:
    for asked, expected in commands(name):
        shown = run(house, *asked)
        assert expected in shown, asked
        assert [binary for binary in ONLY_BINARY if binary in shown] == [], asked
        if asked[0] not in SLOW:
            assert json.loads(run(house, *asked, "--json")), asked


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
@pytest.mark.parametrize("asked", [["thresholds"], ["lending"], ["costs", "--fp", "1", "--fn", "5"], ["retrain"]])
def test_what_only_binary_models_have_is_refused_in_a_sentence(house: House, name: str, asked: list[str]) -> None:
    command, *options = asked
    refused = CliRunner().invoke(cli, [command, name, *options, "-w", str(house.workspace.root)])
    assert refused.exit_code != 0
    said = str(refused.exception)
    assert "inary models" in said
    assert "cannot be kept" not in said


def run(house: House, *asked: str) -> str:
    done = CliRunner().invoke(cli, [*asked, "-w", str(house.workspace.root)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, (asked, done.output, done.exception)
    return done.output


def test_the_notebook_draws_the_metric_of_the_task(house: House) -> None:
    for name, metric in ((RENTS, "mae"), (TRIAGE, "accuracy")):
        answer = house[name].performance("6w")
        assert metric in answer.frame["metric"].to_list()
        assert [bool(panel.spec) for panel in answer.panels] == [True, True, True]

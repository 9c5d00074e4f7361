"""Models of several classes before their labels, as people ask for it; and estimates on the page Model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.tasks import CLASSES, FIRST, TRIAGE, fitted, logged, times, triage
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.measures.scoreboard import Ahead, Standing
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

ROWS, BARE = 1800, "bare"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Six quiet weeks of triage, the last half week without labels; and the same model, of which only classes are logged."""
    workspace = Workspace.create(tmp_path_factory.mktemp("classes") / "w")
    workspace.settings_file.write_text('onnx = "never"\ntime_zone = "UTC"\n')
    made = House.open(workspace.root)
    model = fitted(triage(1500, seed=1), "urgency", "ward")
    for name in (TRIAGE, BARE):
        made.register(
            name, model, reference=triage(1500, seed=2), target="urgency", task="multiclass", context=["ward"],
            trusted=("numpy.dtype",),
        )  # fmt: skip
    logged(made, TRIAGE, triage(ROWS, seed=3), "urgency")
    bare = triage(300, seed=4).with_columns(at=pl.Series(times(300)))
    made[BARE].log(made[BARE].predict(bare.drop("urgency")).drop("scores"))
    made.catch_up()
    yield made
    made.close()


def test_estimates_are_near_what_scikit_learn_says_later(house: House) -> None:
    whole = f"{FIRST.isoformat()}/{(FIRST + timedelta(weeks=5)).isoformat()}"
    found = house[TRIAGE].estimate(whole)
    rows = house[TRIAGE].prediction_log.labelled(house[TRIAGE].window(whole), columns=("prediction", "scores"))
    true, said = rows["label"].to_list(), rows["prediction"].to_list()
    came = {
        "accuracy": accuracy_score(true, said),
        "macro_f1": f1_score(true, said, average="macro"),
        "macro_roc_auc": roc_auc_score(true, rows["scores"].to_list(), multi_class="ovr", labels=list(CLASSES)),
    }
    assert (found.rows, found.reference_rows, found.trusted) == (1500, 1500, True)
    for name, value in came.items():
        metric = found.metrics[name]
        assert metric.kind == "estimated"
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= value <= metric.high, name


def test_the_scoreboard_realizes_what_performance_does(house: House) -> None:
    board = house[TRIAGE].scoreboard("6w", "1w")
    assert board.standing is Standing.HOLDS, board.reason
    line = board.lines[0]
    there = house[TRIAGE].metrics(line.window, exact=True).metrics
    assert line.realized.keys() == there.keys()
    for name, metric in line.realized.items():
        assert metric.value == pytest.approx(there[name].value, abs=1e-12), name


def test_without_probabilities_it_says_what_to_do(house: House) -> None:
    found = house[BARE].estimate("42d")
    assert found.metrics == {}
    assert "0 of them have a probability for each class" in found.reason
    assert "score_CLASS" in found.reason
    ahead = house[BARE].estimate_ahead("42d", "1w")
    assert ahead.lines == ()
    assert "score_CLASS" in ahead.reason


def test_the_newest_buckets_are_estimated_ahead_of_their_labels(house: House) -> None:
    found = house[TRIAGE].estimate_ahead("6w", "1w")
    assert found.trusted
    assert [line.mature for line in found.lines] == [False]
    assert found.lines[0].rows == ROWS // 6
    assert found.lines[0].estimated["accuracy"].value is not None
    quiet = f"{FIRST.isoformat()}/{(FIRST + timedelta(weeks=3)).isoformat()}"
    assert house[TRIAGE].estimate_ahead(quiet, "1w") == Ahead(lines=(), trusted=None)
    assert "43 answered rows in the fullest of them; 100 would do" in house[TRIAGE].estimate_ahead("6w", "1d").reason


def test_the_command_line_says_the_same(house: House) -> None:
    where = ["-w", str(house.workspace.root)]
    told = CliRunner().invoke(app, ["estimate", TRIAGE, "--window", "28d", *where, "--json"])
    assert json.loads(told.output)["metrics"]["macro_f1"]["kind"] == "estimated"
    listed = CliRunner().invoke(app, ["estimate", TRIAGE, "--scoreboard", "--window", "6w", *where])
    assert "The estimates hold" in listed.output
    none = CliRunner().invoke(app, ["estimate", BARE, "--window", "42d", *where])
    assert "probability for each class" in " ".join(none.output.split())


def test_the_pages_show_them(house: House) -> None:
    with dashboard_of(house.workspace.root):
        page = open_page("performance", model=TRIAGE, range="28d", behind="Estimated")
        page.session_state["behind"] = "Estimated"
        page.run()
        story = open_page("model", model=TRIAGE, range="28d")
        bare = open_page("model", model=BARE, range="28d")
    assert not page.exception
    assert "Macro ROC AUC is estimated at" in words(page)
    assert not story.exception
    assert not bare.exception
    assert '"estimated without labels"' in figures(story)
    assert "estimated without labels" not in figures(bare)


def figures(page: object) -> str:
    return "\n".join(element.proto.spec for element in page.get("plotly_chart"))  # type: ignore[attr-defined]

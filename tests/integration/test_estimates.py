"""Performance before its labels as people ask for it: from Python, the command line and the Performance page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.measures.scoreboard import Standing
from pilothouse.data.windows import parse_time
from pilothouse.ops.house import House

FIRST = parse_time("2026-03-02T00:00:00Z")
WEEKS, A_WEEK = 9, 300
TURNED_FROM = 5


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nine weeks of loans, whose labels come within a week; from the sixth week on they are turned round."""
    made = make_small(tmp_path_factory.mktemp("estimates") / "w")
    rows, step = planted(WEEKS * A_WEEK, seed=7), timedelta(weeks=1) / A_WEEK
    at = pl.Series([FIRST + step * n for n in range(rows.height)])
    rows = rows.with_columns(at=at, id=pl.format("l{}", pl.int_range(rows.height)))
    model = made[MODEL]
    model.log(model.predict(rows.drop("failed")))
    known = rows.head((WEEKS - 1) * A_WEEK).with_row_index("n")
    label = pl.when(pl.col("n") >= TURNED_FROM * A_WEEK).then(1 - pl.col("failed")).otherwise(pl.col("failed"))
    told = known.select("id", label.alias("label"), observed_at=pl.col("at") + timedelta(hours=1))
    model.label(told.with_columns(recorded_at=pl.col("observed_at")))
    made.catch_up()
    yield made
    made.close()


def test_estimates_hold_while_scores_are_worth_what_they_were(house: House) -> None:
    model = house[MODEL]
    calm = f"{FIRST.isoformat()}/{(FIRST + timedelta(weeks=TURNED_FROM)).isoformat()}"
    board = model.scoreboard(calm, "1w")
    assert board.standing is Standing.HOLDS, board.reason
    assert board.trusted
    assert [line.labelled for line in board.lines] == [A_WEEK] * TURNED_FROM
    track = board.tracks["roc_auc"]
    assert track.coverage is not None
    assert track.coverage >= 0.8
    found = model.estimate(calm)
    assert found.trusted
    assert found.rows == TURNED_FROM * A_WEEK
    assert {m.kind for m in found.metrics.values()} == {"estimated"}


def test_the_scoreboard_says_when_they_are_worth_something_else(house: House) -> None:
    board = house[MODEL].scoreboard("9w", "1w")
    assert board.standing is Standing.SUSPECTED
    assert board.trusted is False
    since = board.tracks["roc_auc"].since
    assert since is not None
    assert board.lines[since].window.start == FIRST + timedelta(weeks=TURNED_FROM)
    newest = board.lines[-1]
    assert not newest.mature
    assert newest.estimated["roc_auc"].value is not None
    assert newest.realized == {}
    found = house[MODEL].estimate("7d")
    assert found.trusted is False
    assert "not worth what they were" in found.reason


def test_every_realized_metric_that_can_be_foretold_is_estimated(house: House) -> None:
    line = house[MODEL].scoreboard("9w", "1w").lines[0]
    there = house[MODEL].metrics(line.window, exact=True).metrics
    assert there.keys() - line.realized.keys() == {"ks", "mean_score", "flagged"}
    for name, metric in line.realized.items():
        assert metric.value == pytest.approx(there[name].value, abs=1e-12), name


def test_too_few_rows_say_how_many_would_do(house: House) -> None:
    found = house[MODEL].estimate("12h")
    assert found.metrics == {}
    assert "100 would do" in found.reason


def test_a_regression_is_estimated_too(tmp_path: Path) -> None:
    import numpy as np
    from sklearn.linear_model import LinearRegression

    made = House.open(make_small(tmp_path / "w").workspace.root)
    rng = np.random.default_rng(1)
    size, kind = rng.normal(size=2400), rng.choice(["calm", "wild"], 2400)
    rent = 3 * size + rng.normal(size=2400) * np.where(kind == "wild", 4.0, 1.0)
    frame = pl.DataFrame({"size": size, "kind": kind, "rent": rent})
    fitted = LinearRegression().fit(frame.head(600).select("size").to_pandas(), rent[:600])
    made.register("rents", fitted, reference=frame[600:1600].drop("kind"), target="rent", task="regression")
    rows = frame[1600:].with_columns(at=pl.Series([FIRST + timedelta(hours=n) for n in range(800)]))
    model = made["rents"]
    model.log(model.predict(rows.drop("rent", "kind")))
    made.catch_up()
    found = model.estimate("33d")
    assert found.trusted is None
    mae = float(np.abs(rent[1600:] - fitted.predict(frame[1600:].select("size").to_pandas())).mean())
    assert found.metrics["mae"].low is not None
    assert found.metrics["mae"].high is not None
    assert found.metrics["mae"].low <= mae <= found.metrics["mae"].high
    made.close()


def test_the_command_line_says_the_same(house: House) -> None:
    where = ["-w", str(house.workspace.root)]
    told = CliRunner().invoke(app, ["estimate", MODEL, "--window", "7d", *where, "--json"])
    found = json.loads(told.output)
    assert told.exit_code == 0
    assert found["trusted"] is False
    assert found["metrics"]["roc_auc"]["kind"] == "estimated"
    board = json.loads(
        CliRunner().invoke(app, ["estimate", MODEL, "--scoreboard", "--window", "9w", *where, "--json"]).output
    )
    assert board["standing"] == "concept drift suspected"
    assert len(board["lines"]) == WEEKS
    shown = CliRunner().invoke(app, ["estimate", MODEL, "--window", "7d", *where])
    assert "Do not rely on it" in " ".join(shown.output.split())
    listed = CliRunner().invoke(app, ["estimate", MODEL, "--scoreboard", "--window", "9w", *where])
    assert "Concept drift suspected" in listed.output


def test_the_page_shows_both_lines_and_says_what_they_are_worth(house: House) -> None:
    with dashboard_of(house.workspace.root):
        page = open_page("performance", model=MODEL, range="7d", behind="Estimated")
        page.session_state["behind"] = "Estimated"
        page.run()
        said = words(page)
    assert not page.exception
    assert "Do not rely on it" in said
    assert "Concept drift suspected" in said

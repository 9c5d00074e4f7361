"""Scoring files: right answers, rows of any other column kept, bad rows set aside, and a log that no live figure counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.app.house import House, Model
from pilothouse.data.errors import AlreadyExists, BadData, MissingColumn, UnknownVersion
from pilothouse.data.log.schema import Role
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.windows import Window, parse_time

ROWS = 500
ALL = Window(parse_time("2026-01-01T00:00:00Z"), parse_time("2030-01-01T00:00:00Z"))
ASKED = planted(ROWS, seed=3).drop("failed").with_columns(
    pl.Series("booking", [f"b{n}" for n in range(ROWS)]), pl.Series("café", [None, "olé, \"sir\""] * (ROWS // 2)),
    pl.Series("when", [parse_time(f"2026-03-{1 + n % 28:02d}T10:00:00Z") for n in range(ROWS)]),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = make_small(tmp_path_factory.mktemp("batch") / "workspace")
    house.close()
    return house.workspace.root


@pytest.fixture
def loans(made: Path, tmp_path: Path) -> Model:
    return House.open(shutil.copytree(made, tmp_path / "workspace"))[MODEL]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    ASKED.write_parquet(tmp_path / "asked.parquet")
    return tmp_path / "asked.parquet"


def logged(loans: Model) -> pl.DataFrame:
    return loans.prediction_log.predictions(roles=list(Role))


def test_a_parquet_file(loans: Model, source: Path, tmp_path: Path) -> None:
    report = loans.score(source, tmp_path / "scored.parquet", key=["booking"], at="when", entity="purpose")
    assert "Scored 500 rows of asked.parquet with loans v1 into " in report.sentence
    assert "500 logged, 0 set aside" in report.sentence
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert_frame_equal(scored.select(ASKED.columns), ASKED)
    assert scored.columns[len(ASKED.columns) :] == ["prediction", "score", "prediction_id", "version"]
    told = loans.predict(ASKED)
    assert_frame_equal(scored.select("prediction", "score"), told.select("prediction", "score"), check_dtypes=False)
    rows = logged(loans).sort("prediction_id")
    assert rows["prediction_id"].to_list() == scored["prediction_id"].to_list()
    assert set(rows["role"]) == {"batch"}
    assert rows["score"].to_list() == scored["score"].to_list()
    assert rows["keys"][0] == '{"booking":"b0"}'
    assert rows["at"].to_list() == ASKED["when"].to_list()
    assert rows["entity_id"].to_list() == ASKED["purpose"].to_list()


def test_no_live_figure_counts_a_batch(loans: Model, source: Path, tmp_path: Path) -> None:
    loans.log(ASKED.head(7).with_columns(prediction=0, score=0.25), version=1)
    loans.house.catch_up()
    loans.score(source, tmp_path / "scored.parquet")
    assert (loans.history.drift(ALL).rows, loans.history_of("batch").drift(ALL).rows) == (7, ROWS)
    with pytest.raises(BadData, match=r"'batches' is no role. There are: champion, canary"):
        loans.history_of("batches")
    row = loans.row
    rebuild(loans.house.workspace, MODEL, row.signature, loans.profile, row.label_policy, loans.house.settings)
    assert (loans.history.drift(ALL).rows, loans.history_of("batch").drift(ALL).rows) == (7, ROWS)
    assert [(run.source, run.rows, run.logged) for run in loans.batches] == [("asked.parquet", ROWS, ROWS)]


def test_csv_and_parquet_give_the_same(loans: Model, tmp_path: Path) -> None:
    ASKED.write_csv(tmp_path / "asked.csv")
    report = loans.score(tmp_path / "asked.csv", tmp_path / "scored.csv", id="booking", log=False)
    assert "none logged" in report.sentence
    assert not logged(loans).height
    told = loans.predict(ASKED)
    scored = pl.read_csv(tmp_path / "scored.csv")
    assert scored["score"].to_list() == pytest.approx(told["score"].to_list(), abs=1e-12)
    assert scored["prediction_id"].to_list() == ASKED["booking"].to_list()
    assert scored["café"].to_list() == ASKED["café"].to_list()
    loans.score(tmp_path / "asked.csv", tmp_path / "scored.parquet", log=False)
    typed = pl.read_parquet(tmp_path / "scored.parquet")
    assert [typed.schema[name] for name in ("amount", "months", "booking")] == [pl.Float64, pl.Int64, pl.String]


def test_rows_that_cannot_be_scored_are_set_aside(loans: Model, tmp_path: Path) -> None:
    amounts = ["many", "", *ASKED["amount"].cast(pl.String)[2:]]
    months = [12.0, 12.0, 6.5, *ASKED["months"][3:].cast(pl.Float64)]
    given = ASKED.with_columns(pl.Series("amount", amounts), pl.Series("months", months))
    given.drop("when").write_csv(tmp_path / "asked.csv")
    report = loans.score(tmp_path / "asked.csv", tmp_path / "scored.parquet")
    assert (report.counts.scored, report.counts.set_aside, report.counts.logged) == (497, 3, 497)
    bad = pl.read_csv(tmp_path / "scored.bad-rows.csv")
    assert bad["bad_line"].to_list() == [2, 3, 4]
    many, missing, part = bad["bad_reasons"]
    assert (many, part) == ("amount: 'many' is not a number", "months: '6.5' is not a whole number")
    assert missing == "got no finite score: does the model accept missing values?"
    assert bad["booking"].to_list() == ["b0", "b1", "b2"]
    assert pl.read_parquet(tmp_path / "scored.parquet")["booking"].to_list() == ASKED["booking"].to_list()[3:]


def test_what_is_wrong_is_said_before_anything_is_written(loans: Model, source: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    cases: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
        (ASKED.drop("months"), "out.parquet", {}, MissingColumn, "has no column 'months'"),
        (source, "out.parquet", {"at": "wen"}, MissingColumn, "Did you mean 'when'?"),
        (ASKED.with_columns(score=0.5), "out.csv", {}, BadData, "the column 'score' already.*--prefix"),
        (ASKED.with_columns(tags=["a"]), "out.csv", {}, BadData, "no way to write tags"),
        (source, "out.xlsx", {}, BadData, r"ends in .parquet or .csv"),
        (source, "there/out.csv", {}, BadData, "There is no folder"),
        (source, "asked.parquet", {}, BadData, "both what is read and what is written"),
        (source, "out.csv", {"version": 9}, UnknownVersion, "9"),
        (ASKED.clear(), "out.csv", {}, BadData, "has no rows"),
    ]
    for given, out, options, error, words in cases:
        with pytest.raises(error, match=words):
            loans.score(given, tmp_path / out, **options)
    assert sorted(tmp_path.rglob("*")) == before
    named = loans.score(ASKED.with_columns(score=0.5), prefix="new_", log=False).frame
    assert named is not None
    assert {"score", "new_score", "new_prediction_id"} <= set(named.columns)


def test_the_same_again_logs_nothing_anew(loans: Model, source: Path, tmp_path: Path) -> None:
    loans.score(source, tmp_path / "scored.parquet")
    with pytest.raises(AlreadyExists, match="--overwrite"):
        loans.score(source, tmp_path / "scored.parquet")
    again = loans.score(source, tmp_path / "scored.parquet", overwrite=True)
    assert "0 logged, 500 logged before" in again.sentence
    assert logged(loans).height == ROWS


def test_ids_of_the_callers_own(loans: Model, tmp_path: Path) -> None:
    loans.score(ASKED.head(100), tmp_path / "first.csv", id="booking", at="when")
    twice = pl.concat([ASKED, ASKED.tail(3)])
    report = loans.score(twice, tmp_path / "second.csv", id="booking", at="when")
    assert (report.counts.scored, report.counts.set_aside, report.counts.logged) == (500, 3, 400)
    assert sorted(logged(loans)["prediction_id"]) == sorted(ASKED["booking"])
    told = pl.read_csv(tmp_path / "second.bad-rows.csv")["bad_reasons"].unique().to_list()
    assert told == ["the id has come before in this source"]


def test_a_delta_table_gets_one_commit(loans: Model, source: Path, tmp_path: Path) -> None:
    assert loans.score(source, tmp_path / "scored").counts.logged == ROWS
    again = loans.score(source, tmp_path / "scored")
    assert again.done_before
    assert "before; nothing was done" in again.sentence
    loans.score(ASKED.head(10), tmp_path / "scored")
    assert pl.read_delta(str(tmp_path / "scored")).height == ROWS + 10
    with pytest.raises(BadData, match="columns of the Delta table scored are others: booking"):
        loans.score(ASKED.drop("booking"), tmp_path / "scored")


def test_in_a_notebook_rows_come_back_themselves(loans: Model) -> None:
    report = loans.score(ASKED.with_columns(purpose=pl.when(booking="b3").then(None).otherwise("purpose")))
    assert report.frame is not None
    assert (report.frame.height, report.out, logged(loans).height) == (ROWS, None, ROWS)


def test_the_command_line(loans: Model, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.csv"
    options = ["--workspace", str(loans.house.workspace.root), "--key", "booking", "--json"]
    done = CliRunner().invoke(app, ["score", MODEL, str(source), str(out), *options])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["rows"]["scored"], said["version"], said["out"]) == (ROWS, 1, str(out))
    assert "--version 3 --no-log" in CliRunner().invoke(app, ["score", "--help"]).output

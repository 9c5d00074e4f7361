"""Questions to the log through a notebook's handle and the command line: the same rows, totals and cursors."""

from __future__ import annotations

import json
from datetime import timedelta

import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadData, BadFilter
from pilothouse.data.windows import Window, parse_time

START = parse_time("2026-03-02T00:00:00Z")
WINDOW = Window(START, START + timedelta(days=10))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    house = make_small(tmp_path_factory.mktemp("rows") / "house")
    loans = house[MODEL]
    frame = loans.predict(planted(300, seed=3).drop("failed")).with_columns(
        id=pl.format("loan-{}", pl.int_range(300)),
        at=pl.lit(START) + pl.int_range(300) * pl.duration(hours=0.5),
    )
    loans.log(frame)
    loans.label(frame.select("id", label=pl.lit(1), observed_at="at", recorded_at="at").head(120))
    house.catch_up()
    return house


def asked(house, *arguments: str) -> dict:
    done = CliRunner().invoke(app, [*arguments, "--workspace", str(house.workspace.root), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_total_comes_from_the_roll_ups_and_is_null_under_a_filter(house) -> None:
    loans = house[MODEL]
    all_rows = loans.rows(WINDOW, 50)
    assert (all_rows.total, len(all_rows.rows), all_rows.frame["prediction_id"][0]) == (300, 50, "loan-299")
    cars = loans.rows(WINDOW, 400, filters=["purpose=car"])
    assert (cars.total, cars.next) == (None, None)
    assert "not counted" in cars.total_reason
    assert cars.frame["x_purpose"].unique().to_list() == ["car"]
    rest = loans.rows(WINDOW, 250, before=all_rows.next)
    assert rest.frame["prediction_id"][0] == "loan-249"
    assert loans.rows(WINDOW, id="loan-7").frame["label"].to_list() == [1.0]
    with pytest.raises(BadFilter, match="no such column to ask about"):
        loans.rows(WINDOW, filters=["colour=red"])


def test_the_command_line_says_the_same(house) -> None:
    found = asked(house, "rows", MODEL, "--window", str(WINDOW), "--limit", "2", "--where", "label=1")
    assert [row["prediction_id"] for row in found["rows"]] == ["loan-119", "loan-118"]
    assert (found["total"], found["watermark"]["sealed_rows"]) == (None, 300)
    told = asked(house, "labels", MODEL, "--window", str(WINDOW), "--every", "1d")
    assert (told["facts"]["told"], sum(c["labelled"] for c in told["cohorts"])) == (120, 120)
    assert asked(house, "columns", MODEL)["changes"] == []
    exact = asked(house, "drift", MODEL, "--window", str(WINDOW), "--exact")
    assert (exact["exact"], exact["rows"]) == (True, 300)


def test_answers_are_remembered_until_somebody_writes(house) -> None:
    loans = house[MODEL]
    before = loans.history.drift(WINDOW)
    assert loans.history._opened is loans.history._opened
    first = loans.history._opened
    loans.log(loans.predict(planted(5, seed=4).drop("failed")).with_columns(at=pl.lit(START)))
    house.catch_up()
    assert loans.history._opened is not first
    assert loans.history.drift(WINDOW).rows == before.rows + 5


def test_how_long_answers_took_elsewhere_is_shown_as_of_those_given_here(tmp_path) -> None:
    house = make_small(tmp_path / "house")
    loans = house[MODEL]
    frame = loans.predict(planted(100, seed=3).drop("failed")).with_columns(
        at=pl.lit(START), latency_us=pl.Series([2000.4] * 90 + [50_000.0] * 9 + [None])
    )
    loans.log(frame)
    with pytest.raises(BadData, match="Column 'latency_us' holds values outside of 0 to 1,000,000,000,000,000"):
        loans.log(frame.with_columns(latency_us=pl.lit(-1)))
    house.catch_up()
    (point,) = loans.history.traffic(WINDOW, timedelta(days=10))
    assert (point.rows, point.p50_latency_ms, point.p95_latency_ms) == (
        100, pytest.approx(2, rel=0.03), pytest.approx(50, rel=0.03)
    )  # fmt: skip
    assert loans.prediction_log.predictions(columns=["latency_us"])["latency_us"].null_count() == 1
    house.close()

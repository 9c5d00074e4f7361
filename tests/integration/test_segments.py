"""Segments as people ask for them: from Python, the command line and the Model page; hidden columns stay hidden."""

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
from pilothouse.data.errors import HiddenColumn, NoReason, UnknownColumn
from pilothouse.data.windows import parse_time
from pilothouse.ops.house import House

FIRST = parse_time("2026-03-01T00:00:00Z")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ten days of loans, all labelled; labels of `study` loans are turned round."""
    made = make_small(tmp_path_factory.mktemp("segments") / "w")
    rows = planted(1200, seed=7).with_columns(
        at=pl.Series([FIRST + timedelta(minutes=12 * n) for n in range(1200)]), id=pl.format("l{}", pl.int_range(1200))
    )
    model = made[MODEL]
    model.log(model.predict(rows.drop("failed")))
    turned = pl.when(pl.col("purpose") == "study").then(1 - pl.col("failed")).otherwise(pl.col("failed"))
    told = rows.select("id", turned.alias("label"), observed_at=pl.col("at") + timedelta(hours=1))
    model.label(told.with_columns(recorded_at=pl.col("observed_at")))
    made.catch_up()
    yield made
    made.close()


def test_the_worst_segment_comes_first_and_watching_it_changes_no_figure(house: House) -> None:
    model = house[MODEL]
    read = model.segments("purpose", "10d")
    assert not read.watched
    assert read.segments[0].value == "study"
    assert sum(s.rows for s in read.segments) == 1200
    assert model.watch_segments("purpose", "months") == ("purpose", "months")
    counted = house[MODEL].segments("purpose", "10d")
    assert counted.watched
    assert {s.value: (s.rows, s.labelled) for s in counted.segments} == {
        s.value: (s.rows, s.labelled) for s in read.segments
    }
    assert house.audit()[0].act == "segments"
    with pytest.raises(UnknownColumn, match="logs no column 'porpose'"):
        model.watch_segments("porpose")


def test_the_command_line_says_the_same(house: House) -> None:
    asked = ["segments", MODEL, "--by", "purpose", "--window", "10d", "-w", str(house.workspace.root), "--json"]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["segments"][0]["value"] == "study"


def test_the_page_names_the_worst_segment(house: House) -> None:
    with dashboard_of(house.workspace.root):
        page = open_page("model", model=MODEL, range="10d")
        assert not page.exception
        assert "is worst for study" in words(page)


def test_a_hidden_column_needs_a_reason(house: House) -> None:
    model = house[MODEL]
    model.set_class("purpose", "sensitive")
    try:
        with pytest.raises(HiddenColumn, match="The values of 'purpose' of loans are not shown"):
            model.segments("purpose", "10d")
        with pytest.raises(NoReason):
            model.segments("purpose", "10d", unmask=True)
        assert model.segments("purpose", "10d", unmask=True, reason="a complaint").segments
    finally:
        model.set_class("purpose", "plain")


def test_segments_chosen_at_registration_are_those_of_the_reference(tmp_path: Path) -> None:
    from pilothouse.data.rollups.segments import load_segments
    from pilothouse.ops.references import Terms

    house = make_small(tmp_path / "w")
    reference = planted(500, seed=2)
    house.registry.register_monitored(
        house.actor, "watched", reference=reference, target="failed", context=("purpose",),
        terms=Terms(segments=("purpose",)),
    )  # fmt: skip
    row = house["watched"].row
    (column,) = load_segments(house.workspace.reference("watched", row.profile_id))
    assert column.stored == "c_purpose"
    assert {label for label, is_value in column.labels() if is_value} == {"car", "home", "study"}
    house.close()

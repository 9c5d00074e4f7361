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
from pilothouse.data.errors import BadData, HiddenColumn, NoReason, UnknownColumn
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


def test_the_weak_segment_is_found_and_confirmed(house: House) -> None:
    found = house[MODEL].weak_segments("10d")
    assert found.labelled == 1200
    assert found.found[0].name == "purpose = study"
    weak = found.found[0]
    assert weak.difference.low is not None
    assert weak.difference.low > 0
    assert weak.worse_in == weak.parts > 1
    assert weak.new_since_deploy is None
    assert weak.metrics["roc_auc"].value is not None
    assert weak.metrics["roc_auc"].value < 0.5
    assert house[MODEL].weak_segments("10d", "surprise").found[0].name == "purpose = study"
    with pytest.raises(BadData, match="'rmse' is no loss of a binary model"):
        house[MODEL].weak_segments("10d", "rmse")
    assert house[MODEL].weak_segments("24h").reason.endswith("1,000 would do")


def test_two_columns_are_compared_with_the_rest(house: House) -> None:
    found = house[MODEL].compared_segments("purpose", "months", window="10d")
    assert sum(s.rows for s in found.segments) == found.rows == 1200
    alone = house[MODEL].compared_segments("purpose", window="10d").segments[0]
    assert alone.name == "study"
    assert alone.difference.high is not None
    assert alone.difference.high < 0
    assert alone.score_psi.value is not None
    assert "100 would do" in found.segments[-1].metric.reason
    with pytest.raises(BadData, match="one column or by two"):
        house[MODEL].compared_segments("purpose", "purpose")


def test_groups_are_told_apart_by_what_comes_true(house: House) -> None:
    found = house[MODEL].fairness("purpose", "10d", every="2d")
    assert {group.name for group in found.groups} == {"car", "home", "study"}
    odds = found.disparities["equalized_odds_difference"]
    assert "study" in (odds.lowest, odds.highest)
    assert odds.beyond_chance
    assert len(found.trend) > 3
    assert [name for name, _ in house[MODEL].fairness("purpose", "10d", min_rows=10_000).left_out] != []
    assert house[MODEL].fairness("purpose", "10d", min_rows=10_000).reason.startswith("0 groups have 10,000")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["weak-segments", MODEL], "purpose = study"),
        (["fairness", MODEL, "purpose"], "Equalized odds"),
        (["fairness", MODEL, "purpose"], "Four-fifths rule: "),
        (["segments", MODEL, "--by", "purpose", "--by", "months"], "too few"),
    ],
)
def test_each_command_prints_a_table_and_json(house: House, asked: list[str], said: str) -> None:
    where = ["--window", "10d", "-w", str(house.workspace.root)]
    table = CliRunner().invoke(app, [*asked, *where])
    assert table.exit_code == 0, table.output
    assert said in table.output
    printed = CliRunner().invoke(app, [*asked, *where, "--json"])
    assert json.loads(printed.output)["model"] == MODEL


def test_the_page_searches_when_asked(house: House) -> None:
    with dashboard_of(house.workspace.root):
        page = open_page("segments", model=MODEL, range="10d")
        assert "Groups of purpose" in words(page)
        next(b for b in page.button if b.label == "Find weak segments").click().run()
        assert not page.exception
        assert "The worst is purpose = study" in words(page) or "One weak segment: purpose = study" in words(page)


def test_the_page_names_the_worst_segment(house: House) -> None:
    with dashboard_of(house.workspace.root):
        page = open_page("segments", model=MODEL, range="10d")
        assert not page.exception
        assert "is worst for study" in words(page)


def test_a_hidden_column_needs_a_reason(house: House) -> None:
    model = house[MODEL]
    model.set_class("purpose", "sensitive")
    try:
        with pytest.raises(HiddenColumn, match="The values of 'purpose' of loans are not shown"):
            model.segments("purpose", "10d")
        with pytest.raises(HiddenColumn):
            model.fairness("purpose", "10d")
        with pytest.raises(HiddenColumn):
            model.compared_segments("months", "purpose")
        searched = model.weak_segments("10d")
        assert "purpose" not in searched.columns
        assert searched.unshown == 1
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

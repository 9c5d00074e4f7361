"""Data quality of a real small house: through the handle, the command line, the page, and the retraining's validate step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.data.errors import BadPolicy, NoReason, NotAllowed, UnknownColumn
from pilothouse.data.history.results import State
from pilothouse.data.windows import utc_now
from pilothouse.ops.actors import Actor
from pilothouse.ops.house import House

BROKEN_FOR = timedelta(hours=3)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two days of rows; in the last three hours half of the purposes are of a kind that the reference does not know."""
    made = make_small(tmp_path_factory.mktemp("quality") / "house")
    now = utc_now().replace(minute=0, second=0, microsecond=0)
    rows = planted(4800, seed=3).drop("failed").with_row_index("i")
    at = pl.lit(now - timedelta(hours=48)) + pl.duration(seconds=pl.col("i") * 36)
    wrong = (pl.col("at") >= now - BROKEN_FOR) & (pl.col("i") % 2 == 0)
    rows = rows.with_columns(at=at).with_columns(
        purpose=pl.when(wrong).then(pl.lit("yacht")).otherwise("purpose"), id=pl.format("r{}", "i")
    )
    made[MODEL].predict(rows, log=True)
    made.catch_up()
    yield made
    made.close()


def test_a_broken_rule_is_named_with_its_beginning_and_examples(house: House) -> None:
    found = house[MODEL].quality("2d")
    line = found.rules[0]
    assert (line.rule.name, line.state, line.violations) == ("purpose: one of", State.CRITICAL, 150)
    assert line.since == found.window.end - BROKEN_FOR
    assert line.examples[0] == "r4798"
    assert [other.violations for other in found.rules[1:] if other.state is not State.HEALTHY] == []
    assert found.volume.reason.startswith("too little history")
    assert found.rows == 4800


def test_the_rules_can_be_changed_and_every_version_is_kept(house: House) -> None:
    handle = house[MODEL]
    assert handle.schema.version == 0
    with pytest.raises(NoReason):
        handle.edit_schema("purpose any value", reason=" ")
    with pytest.raises(UnknownColumn):
        handle.edit_schema("porpose any value", reason="typo")
    handle.edit_schema(reason="they are right")
    with pytest.raises(BadPolicy):
        handle.edit_schema(reason="again")
    found = handle.edit_schema("purpose in car,home,study,yacht", "amount <= 100000", reason="we lend for yachts now")
    assert [row.version for row in found.history] == [2, 1]
    assert handle.quality("2d").state is not State.CRITICAL
    assert handle.audit(1)[0].details == {
        "version": 2, "edits": ["purpose in car,home,study,yacht", "amount <= 100000"], "reason": "we lend for yachts now",
    }  # fmt: skip
    handle.edit_schema("purpose in car,home,study", reason="no, we do not")


def test_the_export_is_a_schema_that_pandera_reads(house: House, tmp_path: Path) -> None:
    import pandera.polars as pa

    out = tmp_path / "schema.json"
    asked = ["schema", "export", MODEL, "--form", "json", "--out", str(out), "-w", str(house.workspace.root)]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    schema = pa.DataFrameSchema.from_json(out.read_text())
    rows = planted(100, seed=9).drop("failed").with_columns(pl.col("months").cast(pl.Float64))
    assert schema.validate(rows).height == 100


def test_the_commands_say_what_the_handle_says(house: House) -> None:
    at = ["-w", str(house.workspace.root)]
    told = json.loads(CliRunner().invoke(cli, ["quality", MODEL, "--window", "2d", "--json", *at]).stdout)
    assert told["rules"][0]["violations"] == house[MODEL].quality("2d").rules[0].violations
    plain = CliRunner().invoke(cli, ["quality", MODEL, "--window", "2d", *at])
    assert plain.exit_code == 0
    assert "purpose is one of 3 values" in plain.stdout
    shown = json.loads(CliRunner().invoke(cli, ["schema", "show", MODEL, "--json", *at]).stdout)
    assert shown["version"] == house[MODEL].schema.version
    edited = CliRunner().invoke(cli, ["schema", "edit", MODEL, "tolerate 2%", "--reason", "small window", *at])
    assert edited.exit_code == 0, edited.stdout
    assert house[MODEL].schema.terms.tolerated == 0.02


def test_sensitive_columns_are_left_out_and_masked_ones_have_no_values(house: House) -> None:
    handle = house[MODEL]
    handle.set_class("amount", "sensitive")
    handle.set_class("purpose", "masked")
    try:
        found = handle.quality("2d")
        assert found.unshown == 1
        assert "amount" not in {line.rule.column for line in found.rules}
        assert next(line for line in found.rules if line.rule.name == "purpose: one of").rule.bound is None
        assert "months" in handle.schema.to_yaml()
        assert "car" not in handle.schema.to_yaml()
        handle.edit_schema("amount <= 99999", reason="a secret bound")
        assert handle.audit(1)[0].details["edits"] == ["amount …"]
    finally:
        handle.set_class("amount", "plain")
        handle.set_class("purpose", "plain")


def test_a_viewer_may_look_and_not_edit(house: House) -> None:
    viewer = House.open(house.workspace.root, actor=Actor(name="vi", roles=frozenset()))
    assert viewer[MODEL].quality("2d").rows == 4800
    with pytest.raises(NotAllowed):
        viewer[MODEL].edit_schema("amount off", reason="because")


def test_the_page_says_what_is_broken_and_takes_edits(house: House) -> None:
    with dashboard_of(house.workspace.root):
        app = open_page("quality", range="24h")
        assert not app.exception
        assert "The rule “purpose is one of 3 values: car, home, study” is broken by" in words(app)
        before = house[MODEL].schema.version
        app.button(key="schema-edit").click().run()
        assert "loans logs no column" in words(answered(app, "age <= 3"))
        answered(app, "months <= 120")
        assert not app.exception
        assert house[MODEL].schema.version == before + 1
        assert "longer loans" in words(open_page("quality", range="24h"))


def answered(app: AppTest, edits: str) -> AppTest:
    """The dialog answered. AppTest runs the whole page, so the button that opens it is pressed in every run."""
    app.text_area(key="schema-edits").set_value(edits)
    app.text_input(key="schema-reason").set_value("longer loans")
    app.button(key="schema-edit").click()
    return app.button(key="schema-confirm").click().run()

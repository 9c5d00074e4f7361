"""One prediction explained, what the model leans on, and whether that changed: by handle, command line and page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, ROW, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadData, MissingColumn, UnknownFeature, UnknownPrediction
from pilothouse.data.measures.explanation import Standing
from pilothouse.ops.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Loans that were asked about, each with a label."""
    made = make_small(tmp_path_factory.mktemp("explain") / "workspace")
    loans, rows = made[MODEL], planted(600, seed=3)
    ids = pl.Series("id", [f"loan-{n}" for n in range(600)])
    keys = pl.Series("key", [f'{{"contract":{n}}}' for n in range(600)])
    loans.log(loans.predict(rows.drop("failed")).with_columns(ids, keys))
    loans.label(rows.select(label="failed").with_columns(ids))
    made.catch_up()
    yield made
    made.close()


def test_one_prediction_by_its_id(house: House) -> None:
    loans = house[MODEL]
    found = loans.explain(id="loan-7")
    assert found.reason == ""
    assert found.today is not None
    assert found.base is not None
    assert found.today.score == pytest.approx(found.said.score, abs=1e-9)
    total = found.base + sum(f.contribution.value or 0 for f in found.features)
    assert total == pytest.approx(found.today.score, abs=1e-9)
    assert {f.name for f in found.features} == set(ROW)
    assert (found.live, found.said.version, found.flips) == (1, 1, False)
    assert found.label in (0, 1)
    assert found.frame.height == 3
    assert loans.explain(key={"contract": 7}).id == "loan-7"


def test_by_shap(house: House) -> None:
    loans = house[MODEL]
    found = loans.explain(id="loan-7", by="shap")
    assert found.explained == "log-odds that failed is 1"
    assert found.outcome == "chance that failed is 1"
    assert found.method.startswith("shap.LinearExplainer on LogisticRegression")
    total = (found.base or 0) + sum(f.contribution.value or 0 for f in found.features)
    assert total == pytest.approx(found.total)
    assert 1 / (1 + math.exp(-total)) == pytest.approx(found.said.score)
    shown = loans.importance("7d", by="shap")
    assert (shown.reason, shown.rows, shown.of_rows) == ("", 300, 600)
    assert {f.name for f in shown.features[:2]} == {"amount", "months"}
    assert all(rank is None for f in shown.features if f.name == "purpose" for rank in f.ranks)
    with pytest.raises(BadData, match="Known are: permutation, shap"):
        loans.importance("7d", by="guess")  # type: ignore[call-overload]


def test_a_row_that_was_given(house: House) -> None:
    found = house[MODEL].explain(row={**ROW, "amount": 1e9, "purpose": "yächt"})
    standing = {f.name: f.place.standing for f in found.features}
    assert standing == {"amount": Standing.ABOVE, "months": Standing.WITHIN, "purpose": Standing.NEVER_SEEN}
    assert found.features[0].name == "amount"
    assert found.id is None


def test_what_cannot_be_asked(house: House) -> None:
    loans = house[MODEL]
    with pytest.raises(UnknownPrediction, match="no answered prediction with the id 'nobody'"):
        loans.explain(id="nobody")
    with pytest.raises(BadData, match="Ask about one prediction"):
        loans.explain()
    with pytest.raises(UnknownFeature, match="colour"):
        loans.explain(row={**ROW, "colour": "red"})
    with pytest.raises(MissingColumn, match="amount"):
        loans.explain(row={"months": 3, "purpose": "car"})
    with pytest.raises(BadData, match="must be a number or null; got str"):
        loans.explain(row={**ROW, "amount": "much"})
    with pytest.raises(BadData, match="out of the range"):
        loans.explain(row={**ROW, "amount": 10**400})


def test_what_the_model_leans_on(house: House) -> None:
    loans = house[MODEL]
    for found in (loans.importance(None), loans.importance("7d")):
        drops = {f.names: f.drop for f in found.features}
        assert found.reason == ""
        assert (drops["amount",].low or 0) > 0
        assert (drops["months",].low or 0) > 0
        low, high = drops["purpose",].low, drops["purpose",].high
        assert low is not None
        assert high is not None
        assert low < 0.01
        assert high < 0.05
    silent = loans.importance("2020-01-01T00:00Z/2020-01-02T00:00Z")
    assert silent.reason == "too few labelled rows: 0; 200 would do"


def test_whether_that_has_changed(house: House) -> None:
    found = house[MODEL].attribution_drift("7d")
    assert (found.rows, found.of_rows, len(found.features)) == (300, 600, 3)
    assert not any(f.changed for f in found.features)


def test_by_command(house: House) -> None:
    root, run = str(house.workspace.root), CliRunner()
    told = json.loads(run.invoke(app, ["explain", MODEL, "--id", "loan-7", "--json", "-w", root]).output)
    assert told["id"] == "loan-7"
    said = run.invoke(app, ["explain", MODEL, "--key", '{"contract": 7}', "-w", root]).output
    assert "Version 1 said" in said
    assert "Today's champion: the same version (v1)." in said
    assert "amount" in run.invoke(app, ["importance", MODEL, "--reference", "-w", root]).output
    assert "contributes more or less" in run.invoke(app, ["importance", MODEL, "--drift", "-w", root]).output
    wrong = run.invoke(app, ["explain", MODEL, "--row", "[1]", "-w", root])
    assert isinstance(wrong.exception, BadData)


def test_by_page(house: House) -> None:
    with dashboard_of(house.workspace.root):
        found = open_page("explain", id="loan-7", model=MODEL)
        assert not found.exception
        assert "the chance that failed is 1 is" in words(found)
        assert "Today&#x27;s champion" in words(found)
        assert "no answered prediction with the id" in words(open_page("explain", id="nobody"))
        by_key = open_page("explain", key='{"contract": 7}', model=MODEL)
        assert "loan-7" in words(by_key)
        by_key.text_input(key="id").set_value("").run()
        assert "The newest predictions" in words(by_key)
        begun = open_page("explain")
        assert "The newest predictions" in words(begun)
        begun.button(key="ask-importance").click().run()
        assert "Shuffling 2 of 3 features, one at a time, makes the ROC AUC worse" in words(begun)
        begun.button(key="ask-attribution").click().run()
        assert "None of 3 features contributes more or less" in words(begun)


def test_a_row_of_a_table_leads_to_its_explanation(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a click on the table does; AppTest cannot click on one."""
    from pilothouse.app import session, widgets

    with dashboard_of(house.workspace.root):
        page = open_page("model", model=MODEL)
        assert "Choose one to see why the model said what it said" in words(page)
        kept: dict[str, Any] = {"latest-rows": {"selection": {"rows": [1]}}}
        monkeypatch.setattr(session.st, "session_state", kept)
        widgets.explain_row("latest-rows", ["loan-8", "loan-9"], MODEL)
        monkeypatch.undo()
        assert kept["go-with"] == {"id": "loan-9"}
        for name in ("go-with", "model", "go"):
            page.session_state[name] = kept[name]
        page.run()
        assert "loan-9" in words(page)
        assert page.text_input(key="id").value == "loan-9"


def test_sensitive_columns_are_one_line(house: House) -> None:
    loans: Any = house[MODEL]
    loans.set_class("amount", "sensitive")
    loans.set_class("months", "masked")
    try:
        found = loans.explain(id="loan-7")
        assert {f.name for f in found.features} == {"purpose", "2 hidden columns"}
        assert all(f.value is None for f in found.features if f.name != "purpose")
        shown = loans.explain(id="loan-7", unmask=True, reason="a complaint")
        assert {f.name for f in shown.features} == set(ROW)
        importance = loans.importance(None)
        assert {f.names for f in importance.features} == {("months",), ("purpose",)}
        assert importance.unshown == "1 sensitive feature is not shown."
        by_shap = loans.importance(None, by="shap")
        assert [f.name for f in by_shap.features] == ["purpose"]
        assert by_shap.unshown == "2 hidden columns are not shown."
    finally:
        loans.set_class("amount", "plain")
        loans.set_class("months", "plain")

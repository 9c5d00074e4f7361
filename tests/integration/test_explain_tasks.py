"""Explanations of a regression and of a model of several classes: by handle, command line, page and service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.serving.conftest import Client
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.tasks import RENTS, TRIAGE, make_tasks
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadData
from pilothouse.ops.house import House

ROWS = {
    RENTS: {"size": 70.0, "district": "centre", "furnished": True},
    TRIAGE: {"age": 80.0, "complaint": "chest pain", "ambulance": True},
}
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
]
"""BentoML leans on deprecated names of its own libraries."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_tasks(tmp_path_factory.mktemp("explain-tasks") / "workspace", rows=900)
    yield made
    made.close()


def total(found: Any) -> float:
    return float(found.base + sum(f.contribution.value for f in found.features))


def test_a_number(house: House) -> None:
    for by in ("ours", "shap"):
        found = house[RENTS].explain(id="r7", by=by)
        assert (found.outcome, found.explained) == ("predicted rent", "predicted rent")
        assert total(found) == pytest.approx(found.said.score, abs=1e-6)
        assert (found.reason, found.note) == ("", "")
    # A line has no interactions, so both say the same.
    ours, shap = (house[RENTS].explain(row=ROWS[RENTS], by=by) for by in ("ours", "shap"))
    parts = {f.name: f.contribution.value for f in ours.features}
    assert {f.name: pytest.approx(f.contribution.value) for f in shap.features} == parts


def test_a_class(house: House) -> None:
    patients = house[TRIAGE]
    found = patients.explain(id="r7")
    assert found.outcome == f"chance that urgency is {found.said.prediction}"
    assert total(found) == pytest.approx(found.said.score, abs=1e-9)
    assert found.note == ""
    chances = [patients.explain(id="r7", of_class=told) for told in patients.signature.target.classes]
    assert sum(total(each) for each in chances) == pytest.approx(1, abs=1e-9)
    assert {each.said.prediction for each in chances} == {found.said.prediction}
    assert max(each.said.score for each in chances) == found.said.score
    by_shap = patients.explain(id="r7", by="shap", of_class="home")
    assert by_shap.explained == "score, before softmax, that urgency is home"
    assert total(by_shap) == pytest.approx(by_shap.total, abs=1e-9)
    with pytest.raises(BadData, match="urgency has no class 'soon'"):
        patients.explain(id="r7", of_class="soon")
    with pytest.raises(BadData, match="Known are: ours, shap"):
        patients.explain(id="r7", by="magic")


@pytest.mark.parametrize(("name", "first"), [(RENTS, "size"), (TRIAGE, "age")])
def test_what_it_leans_on(house: House, name: str, first: str) -> None:
    model = house[name]
    assert model.importance(None).features[0].names == (first,)
    found = model.importance(None, by="shap")
    assert (found.reason, found.rows, found.of_rows) == ("", 300, 1500)
    assert found.features[0].name == first
    assert (found.features[0].size.low or 0) > 0
    assert found.frame.height == 3
    drifted = model.attribution_drift("14d")
    assert (drifted.reason, drifted.rows) == ("", 300)
    assert model.importance("2020-01-01T00:00Z/2020-01-02T00:00Z", by="shap").reason == "too few rows: 0; 50 would do"


def test_by_command(house: House) -> None:
    root, run = str(house.workspace.root), CliRunner()
    asked = ["explain", TRIAGE, "--id", "r7", "--class", "home", "--by", "shap", "-w", root]
    assert json.loads(run.invoke(app, [*asked, "--json"]).output)["by"] == "shap"
    assert "score, before softmax, that urgency is home" in run.invoke(app, asked).output
    assert "predicted rent" in run.invoke(app, ["explain", RENTS, "--id", "r7", "-w", root]).output
    sizes = run.invoke(app, ["importance", RENTS, "--reference", "--by", "shap", "-w", root]).output
    assert "mean size" in sizes
    assert "a fixed sample of 300 of 1,500 rows of the reference" in " ".join(sizes.split())
    told = json.loads(
        run.invoke(app, ["importance", TRIAGE, "--reference", "--by", "shap", "--json", "-w", root]).output
    )
    assert told["features"][0]["parts"] == []
    assert "mean absolute error" in run.invoke(app, ["importance", RENTS, "--reference", "-w", root]).output


def test_by_page(house: House) -> None:
    with dashboard_of(house.workspace.root):
        rents = open_page("explain", model=RENTS, id="r7")
        assert not rents.exception
        assert "the predicted rent is" in words(rents)
        page = open_page("explain", model=TRIAGE, id="r7")
        assert "the chance that urgency is" in words(page)
        page.selectbox(key="explained-class").select("immediate").run()
        assert "the chance that urgency is immediate is" in words(page)
        page.button_group(key="explained-by").set_value("shap").run()
        assert "the score, before softmax, that urgency is immediate is" in words(page)
        page.button_group(key="importance-rows").set_value("The reference")
        page.button_group(key="importance-by").set_value("Size of contributions (shap)").run()
        page.button(key="ask-importance").click().run()
        assert not page.exception
        assert "move the score, before softmax, of the class that was answered most on average: age" in words(page)


def test_by_service(house: House) -> None:
    from openapi_spec_validator import validate

    from pilothouse.ops.serving.main import assemble

    with Client(assemble(house.workspace, house.settings)) as client:
        validate(client.get("/openapi.json").json())
        for name, row in ROWS.items():
            told = client.post(f"/models/{name}/explain", json={"rows": [row]})
            assert told.status_code == 200, told.text
            one, found = told.json()["explanations"][0], house[name].explain(row=row)
            assert (one["said"], one["outcome"]) == (found.said.prediction, found.outcome)
            assert one["base"] + sum(part["contribution"] for part in one["contributions"]) == pytest.approx(
                one["score"]
            )
        asked = {"rows": [ROWS[TRIAGE]], "class": "home"}
        one = client.post(f"/models/{TRIAGE}/explain", json=asked).json()["explanations"][0]
        assert one["outcome"] == "chance that urgency is home"
        assert one["score"] == pytest.approx(house[TRIAGE].explain(row=ROWS[TRIAGE], of_class="home").total)
        wrong = client.post(f"/models/{TRIAGE}/explain", json={**asked, "class": "soon"})
        assert [fault["pointer"] for fault in wrong.json()["faults"]] == ["/class"]
        assert client.post(f"/models/{RENTS}/explain", json={"rows": [ROWS[RENTS]], "class": 3}).status_code == 422

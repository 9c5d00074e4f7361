"""Versions that take a feature in different ways, served one after the other: each gets the rows it was fitted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from tests.integration.serving.conftest import Client
from tests.integration.test_retyped import fitted_on_words, worded
from tests.support.small import MODEL, ROW, make_small, planted

from pilothouse.data.settings import Settings
from pilothouse.ops.house import House
from pilothouse.ops.serving.main import assemble
from pilothouse.ops.serving.models import Models

WORDS = ROW | {"months": "short"}
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


def one(row: dict[str, Any], id: str) -> dict[str, Any]:
    return {"rows": [row], "ids": [id]}


def elsewhere(row: dict[str, Any], id: str, version: int) -> dict[str, Any]:
    return one(row, id) | {"predictions": [1], "version": version}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")  # Undone afterwards, with what the service makes of it.
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    return make_small(tmp_path / "house")


def test_each_version_answers_and_logs_what_it_takes(house: House) -> None:
    with Client(assemble(house.workspace, Settings())) as client:
        assert client.post("/predict", json=one(ROW, "a")).status_code == 200
        refused = client.post("/predict", json=one(WORDS, "x")).json()["faults"]
        assert refused == [{"pointer": "/rows/0/months", "detail": "must be a whole number or null; got a string"}]
        house.add_version(MODEL, fitted_on_words(), reference=worded(planted(1000, seed=2)))
        house.releases.promote(house.actor, MODEL, 2, reason="words")
        answers = client.together([("POST", "/predict", {"json": one(WORDS, f"b{n}")}) for n in range(5)])
        assert {(a.status_code, a.json()["version"]) for a in answers} == {(200, 2)}
        assert client.get(f"/models/{MODEL}").json()["example"]["months"] in ("short", "long")
        (refused,) = client.post("/predict", json=one(ROW, "x")).json()["faults"]
        assert refused["pointer"] == "/rows/0/months"
        # Predictions made elsewhere, by the one and by the other.
        assert client.post("/log", json=elsewhere(ROW, "c", 1)).status_code == 202
        assert client.post("/log", json=elsewhere(WORDS, "d", 2)).status_code == 202
        for row, version in ((ROW, 2), (WORDS, 1)):
            (refused,) = client.post("/log", json=elsewhere(row, "x", version)).json()["faults"]
            assert refused["pointer"] == "/rows/0/months"
        stream = pa.BufferOutputStream()
        table = pa.table({name: [value] for name, value in (ROW | {"id": "e", "prediction": 1, "version": 1}).items()})
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        assert client.post("/log", content=stream.getvalue().to_pybytes(), headers=ARROW).status_code == 202
        house.releases.roll_back(house.actor, MODEL, reason="back")
        assert client.post("/predict", json=one(ROW, "f")).json()["version"] == 1
    house.catch_up()
    rows = house[MODEL].prediction_log.predictions(columns=["prediction_id", "version", "x_months", "x_months__2"])
    found = {id: values for id, *values in rows.rows()}
    assert {id: found[id] for id in "acdef"} == {
        "a": [1, 24, None], "c": [1, 24, None], "d": [2, None, "short"], "e": [1, 24, None], "f": [1, 24, None],
    }  # fmt: skip
    assert rows.filter(pl.col("prediction_id").str.starts_with("b"))["x_months__2"].to_list() == ["short"] * 5
    house.close()


def test_a_version_is_loaded_before_the_service_has_looked_for_its_features(house: House) -> None:
    with Client(assemble(house.workspace, Settings())):
        models = Models(house.workspace, house.state, house.clock, 1000)
        for row in models.sync():
            models.load(row)
        house.add_version(MODEL, fitted_on_words(), reference=worded(planted(1000, seed=2)))
        models.load(models.version_row(MODEL, 2))
        assert models.is_warm(MODEL, 2)
        models.close()

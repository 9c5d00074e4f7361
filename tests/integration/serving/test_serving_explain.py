"""POST /models/{name}/explain: what each feature contributed, within bounds, and told as every other fault is."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

ROW: dict[str, Any] = {"carrier": "UA", "hour": 12, "temp": 61.5, "distance": 500.0}


@pytest.fixture(autouse=True)
def reference(bench: Any) -> None:
    """Rows that answers are compared with."""
    rows = [ROW | {"carrier": carrier, "hour": hour} for carrier in ("UA", "AA") for hour in range(20)]
    frame = pl.DataFrame(rows).with_columns(pl.col("hour").cast(pl.Float64))
    frame.rename({name: f"x_{name}" for name in ROW}).write_parquet(
        next(bench.workspace.root.glob("references/flights/*")) / "sample.parquet"
    )


def test_contributions_add_up_to_what_predict_answers(client: Any) -> None:
    rows = [ROW, {**ROW, "hour": 23, "temp": None}]
    told = client.post("/models/flights/explain", json={"rows": rows})
    assert told.status_code == 200, told.text
    answered = client.post("/models/flights/predict", json={"rows": rows}).json()["predictions"]
    for one, predicted in zip(told.json()["explanations"], answered, strict=True):
        total = one["base"] + sum(part["contribution"] for part in one["contributions"])
        assert total == pytest.approx(predicted["score"], abs=1e-6)
        assert one["said"] == predicted["prediction"]
        assert [part["feature"] for part in one["contributions"]] == [*ROW]


def test_faults_are_pointed_at(client: Any) -> None:
    told = client.post("/models/flights/explain", json={"rows": [{**ROW, "hour": "noon"}], "ids": ["a"]})
    assert told.status_code == 422
    assert {fault["pointer"] for fault in told.json()["faults"]} == {"/rows/0/hour", "/ids"}
    many = client.post("/models/flights/explain", json={"rows": [ROW] * 21})
    assert many.status_code == 422
    assert "1 to 20 rows" in many.json()["faults"][0]["detail"]
    assert client.post("/models/nobody/explain", json={"rows": [ROW]}).status_code == 404
    assert client.get("/models/flights/explain").status_code == 405


def test_too_many_at_once_are_sent_away(client: Any) -> None:
    asked = ("POST", "/models/flights/explain", {"json": {"rows": [ROW] * 3}})
    statuses = [answer.status_code for answer in client.together([asked] * 8)]
    assert statuses.count(200) == 3
    assert statuses.count(503) == 5


def test_nothing_is_logged_and_it_is_described(client: Any, bench: Any) -> None:
    client.post("/models/flights/explain", json={"rows": [ROW]})
    assert "/models/flights/explain" in client.get("/openapi.json").json()["paths"]
    assert 'pilothouse_rows_total{kind="predictions"' not in client.get("/metrics").text

"""Rows that come as an Arrow stream are answered and logged as the same rows in JSON are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from tests.integration.serving.conftest import NOW, ROW

from pilothouse.ops.serving import core

ARROW = {"content-type": "application/vnd.apache.arrow.stream"}
ROWS = [
    ROW,
    {"carrier": None, "hour": 23, "temp": None, "distance": 200.0},
    {"carrier": "DL", "hour": None, "temp": -3.25, "distance": 87.5},
]
AT = NOW - timedelta(hours=1)
BESIDE = {"id": ["a", "b", "c"], "entity_id": ["e1", None, "e3"], "at": [AT, AT, AT]}


def stream(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def columns(rows: list[dict[str, Any]] = ROWS) -> dict[str, Any]:
    return {name: [row[name] for row in rows] for name in ROW}


def ask(client: Any, body: dict[str, Any]) -> Any:
    return client.post("/models/flights/predict", content=stream(body), headers=ARROW)


def answers(answer: Any) -> list[tuple[Any, float]]:
    assert answer.status_code == 200, answer.text
    return [(row["prediction"], row["score"]) for row in answer.json()["predictions"]]


@pytest.fixture
def by_columns(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request was answered by the column."""
    found: list[bool] = []
    plain = core.columns_of

    def seen(*given: Any) -> Any:
        asked = plain(*given)
        found.append(asked is not None)
        return asked

    monkeypatch.setattr(core, "columns_of", seen)
    return found


def test_answers_and_log_are_those_of_the_same_rows_in_json(client: Any, bench: Any, by_columns: list[bool]) -> None:
    in_json = client.post("/predict", json={"rows": ROWS, "ids": ["x", "y", "z"], "entities": BESIDE["entity_id"]})
    answer = ask(client, columns() | BESIDE)
    assert answers(answer) == answers(in_json)
    assert [row["id"] for row in answer.json()["predictions"]] == ["a", "b", "c"]
    for name in ("x-pilothouse-version", "x-pilothouse-durability"):
        assert answer.headers[name] == in_json.headers[name]
    assert by_columns == [True]
    logged = bench.logged().sort("prediction_id")
    kept = logged.drop("prediction_id", "at", "logged_at", "latency_us", "spool", "day", strict=False)
    assert kept.slice(0, 3).equals(kept.slice(3, 3))
    assert logged["at"].to_list()[:3] == [AT] * 3
    assert all(0 <= us < 10_000_000 for us in logged["latency_us"])


def test_ids_are_made_where_none_are_given_and_a_retry_is_one_row(client: Any, bench: Any) -> None:
    made = [row["id"] for row in ask(client, columns()).json()["predictions"]]
    for _ in range(2):
        assert ask(client, columns([ROW]) | {"id": ["mine"]}).status_code == 200
    assert sorted(bench.logged()["prediction_id"]) == sorted([*made, "mine"])


@pytest.mark.parametrize(
    ("changed", "pointer", "detail"),
    [
        ({"carrier": [1, 2, 3]}, "/rows/0/carrier", "must be a string or null; got a number"),
        ({"temp": [1.0, float("inf"), 2.0]}, "/rows/1/temp", "must be a finite number"),
        ({"hour": [1.0, 2.0, 2.5]}, "/rows/2/hour", "must be a whole number or null; got one with a fraction"),
        ({"distance": [1.0, None, 3.0]}, "/rows/1/distance", "must be a number; got null"),
        ({"id": ["a", "b", "a"]}, "/ids/2", ""),
        ({"id": ["a", "", "b"]}, "/ids/1", ""),
        ({"prediction": [1, 1, 1]}, "/prediction", "is not a column here"),
    ],
)
def test_what_is_wrong_is_named(
    client: Any, bench: Any, by_columns: list[bool], changed: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = ask(client, columns() | changed)
    assert answer.status_code == 422, answer.text
    fault = answer.json()["faults"][0]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]
    assert by_columns == [False]
    assert bench.logged().is_empty()


def test_uncommon_columns_are_read_row_by_row(client: Any, bench: Any, by_columns: list[bool]) -> None:
    plain = answers(ask(client, columns()))
    keyed = ask(client, columns() | {"keys": [{"flight": n} for n in range(3)]})
    assert answers(keyed) == plain
    assert by_columns == [True, False]
    assert bench.logged()["keys"].drop_nulls().sort().to_list() == [f'{{"flight":{n}}}' for n in range(3)]


def test_categories_large_texts_and_whole_numbers_are_taken(client: Any, by_columns: list[bool]) -> None:
    typed = columns() | {
        "carrier": pa.array(["UA", None, "DL"]).dictionary_encode(),
        "hour": pa.array([9, 23, None], pa.int8()),
        "distance": pa.array([1400, 200, 87], pa.float32()),
        "temp": pa.array([61.5, float("nan"), -3.25]),
    }
    given = answers(ask(client, typed))
    rows = [row | {"distance": float(int(row["distance"]))} for row in ROWS]
    assert given == answers(client.post("/predict", json={"rows": rows}))
    assert by_columns == [True]


def test_times_out_of_bounds_and_without_a_zone_are_refused(client: Any) -> None:
    for at in (datetime(2026, 1, 1), datetime(1890, 1, 1, tzinfo=UTC)):  # noqa: DTZ001  That is the fault.
        assert ask(client, columns([ROW]) | {"at": pa.array([at])}).status_code == 422


def test_a_stream_that_is_none_and_too_many_rows_are_refused(client: Any) -> None:
    for body in (b"", b"ARROW1", stream(columns())[:-40]):
        assert client.post("/predict", content=body, headers=ARROW).status_code == 422
    many = pl.DataFrame(columns([ROW])).sample(10_001, with_replacement=True).to_arrow()
    assert ask(client, {name: many[name] for name in many.column_names}).status_code == 422

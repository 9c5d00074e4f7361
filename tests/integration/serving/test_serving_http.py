"""The routes of the service: what they answer, what they refuse, and what is in the log afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pilothouse.data.errors import LogUnavailable
from pilothouse.data.log.pending import pending
from pilothouse.data.log.spool import Entry, EntryKind, Spool

ROW: dict[str, Any] = {"carrier": "UA", "hour": 9, "temp": 61.5, "distance": 1400.0}
AS_JSON = {"content-type": "application/json"}


def spooled(workspace: Any, kind: EntryKind) -> list[Any]:
    with pending(workspace.spool) as files:
        return [json.loads(stored.body) for file in files for stored in file.read("flights", kind, after=None)]


def test_predict_answers_with_version_and_score_and_logs_the_row(client: Any, bench: Any) -> None:
    rows = [ROW, ROW | {"hour": 22, "temp": None, "carrier": "unheard of"}]
    answer = client.post("/models/flights/predict", json={"rows": rows, "ids": ["a", "b"]})
    assert answer.status_code == 200
    assert answer.headers["x-pilothouse-version"] == "1"
    assert answer.headers["x-pilothouse-durability"] == "durable"
    early, late = answer.json()["predictions"]
    assert (early["id"], early["prediction"], late["id"], late["prediction"]) == ("a", 0, "b", 1)
    assert early["score"] < 0.5 < late["score"]
    logged = bench.logged().sort("prediction_id")
    assert logged["prediction_id"].to_list() == ["a", "b"]
    assert logged["score"].to_list() == [early["score"], late["score"]]
    assert logged["x_hour"].to_list() == [9.0, 22.0]
    assert logged["x_temp"].to_list() == [61.5, None]


def test_ids_are_made_where_the_caller_gives_none(client: Any, bench: Any) -> None:
    ids = [p["id"] for p in client.post("/predict", json={"rows": [ROW] * 3}).json()["predictions"]]
    assert len(set(ids)) == 3
    assert bench.logged()["prediction_id"].to_list() == ids


def test_requests_at_once_are_scored_together_and_answered_apart(client: Any) -> None:
    hours = list(range(24))
    posts = [("POST", "/predict", {"json": {"rows": [ROW | {"hour": h}], "ids": [f"h{h}"]}}) for h in hours]
    answers = [a.json()["predictions"][0] for a in client.together(posts)]
    assert [a["id"] for a in answers] == [f"h{h}" for h in hours]
    alone = client.post("/predict", json={"rows": [ROW | {"hour": h} for h in hours]}).json()["predictions"]
    assert [a["score"] for a in answers] == pytest.approx([a["score"] for a in alone], abs=1e-12)


def test_feedback_is_taken_before_anybody_looks_whose_it_is(client: Any, bench: Any) -> None:
    labels = [{"id": "a", "label": 1}, {"key": {"flight": 7}, "label": 0, "observed_at": "2026-03-03T00:00:00Z"}]
    answer = client.post("/models/flights/feedback", json={"labels": labels})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
    (entry,) = spooled(bench.workspace, EntryKind.LABELS)
    assert entry["ids"] == ["a", None]
    assert entry["keys"] == [None, {"flight": 7}]
    assert entry["observed_at"][1] == 1_772_496_000_000_000


def test_predictions_made_elsewhere_are_logged_under_their_version(client: Any, bench: Any) -> None:
    body = {"rows": [ROW], "predictions": [1], "scores": [0.75], "version": 2, "ids": ["e1"], "latency_us": [1200.4]}
    assert client.post("/log", json=body).status_code == 202
    for given, fault in (
        ([-1], {"pointer": "/latency_us/0", "detail": "must lie from 0 to 1000000000000000"}),
        (["fast"], {"pointer": "/latency_us/0", "detail": "must be a number or null; got a string"}),
        ([1, 2], {"pointer": "/latency_us", "detail": "must have one item a row: 1; got 2"}),
    ):
        assert client.post("/log", json=body | {"latency_us": given}).json()["faults"] == [fault]
    assert client.post("/log", json=body | {"version": 9}).json()["title"] == "Unknown version"
    logged = bench.logged()
    kept = logged.select("prediction_id", "version", "role", "score", "latency_us")
    assert kept.rows() == [("e1", 2, "champion", 0.75, 1200)]


def test_an_arrow_stream_is_logged_as_the_same_rows_in_json_are(client: Any, bench: Any) -> None:
    columns = {name: [value] * 3 for name, value in ROW.items()}
    rest = {"prediction": [1, 0, 1], "score": [0.7, None, 0.9], "id": ["a", "b", "c"], "keys": [{"flight": 3}] * 3}
    rest["latency_us"] = [1500, None, 2500]
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    sent = _stream(columns | rest)
    for path in ("/log", "/models/flights/log", "/log"):
        answer = client.post(path, content=sent, headers=headers)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 3})
    logged = bench.logged().sort("prediction_id")
    assert logged["latency_us"].to_list() == [1500, None, 2500]
    assert logged.select("prediction_id", "prediction", "score", "x_hour", "keys").rows() == [
        ("a", 1, 0.7, 9, '{"flight":3}'), ("b", 0, None, 9, '{"flight":3}'), ("c", 1, 0.9, 9, '{"flight":3}')
    ]  # fmt: skip
    wrong = client.post("/log", content=_stream(columns | rest | {"score": [0.7, 7.0, 0.9]}), headers=headers).json()
    assert wrong["faults"] == [{"pointer": "/scores/1", "detail": "must lie from 0 to 1"}]
    assert client.post("/feedback", content=sent, headers=headers).status_code == 415
    assert client.post("/log", content=sent, headers=headers | {"content-encoding": "gzip"}).status_code == 415


def _stream(columns: dict[str, Any]) -> bytes:
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def test_a_model_is_described_with_an_example_that_it_takes(client: Any, bench: Any) -> None:
    described = client.get("/models/flights").json()
    assert described["signature"][1] == {"name": "hour", "type": "integer", "nullable": True}
    assert bench.store.read(described["artifact_sha256"])
    assert client.post("/predict", json={"rows": [described["example"]]}).status_code == 200
    assert client.get("/models").json() == {"models": [{"name": "flights", "version": 1, "task": "binary"}]}


@pytest.mark.parametrize(
    ("path", "sent", "status", "said"),
    [
        ("/predict", {"json": {"rows": [{"carrier": "UA"}]}}, 422, "/rows/0/hour is missing (and 2 more)"),
        ("/predict", {"json": {"rows": [ROW | {"temp": "x"}]}}, 422, "/temp must be a number or null; got a string"),
        ("/predict", {"json": {"rows": []}}, 422, "/rows must have 1 to 10000 rows; got 0"),
        ("/predict", {"json": {"rows": [ROW] * 10_001}}, 422, "got 10001; send them in several requests"),
        ("/predict", {"content": b'{"rows":[NaN]}', "headers": AS_JSON}, 422, "/rows/0 must be an object"),
        ("/predict", {"content": b"rows=1", "headers": AS_JSON}, 400, "not JSON: expecting value"),
        ("/predict", {"json": {"rows": [ROW], "model": "other"}}, 422, "/model must be flights"),
        ("/models/fligths/predict", {"json": {"rows": [ROW]}}, 404, "Did you mean 'flights'?"),
        ("/models/..%2f..%2fetc/predict", {"json": {"rows": [ROW]}}, 404, "Nothing is served at this address"),
        ("/predict", {"content": b"{}"}, 415, "Content-Type: application/json"),
        ("/predict", {"data": {"rows": "1"}}, 415, "Content-Type: application/json"),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_what_is_wrong(client: Any, path: str, sent: Any, status: int, said: str) -> None:
    answer = client.post(path, **sent)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert said in problem["detail"]
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "content_type",
    ["application/vnd.bentoml+pickle", "APPLICATION/VND.BENTOML+PICKLE ; a=b", "multipart/form-data"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/bentoml/predict", "/predict", "/models/flights/log", "/anything"])
def test_pickle_never_reaches_bentoml(client: Any, tmp_path: Path, path: str, content_type: str) -> None:
    marker = tmp_path / "marker"
    evil = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    answer = client.post(path, content=evil, headers={"content-type": content_type})
    assert answer.status_code == 415
    assert not marker.exists()


def test_a_second_content_type_does_not_slip_past(client: Any) -> None:
    headers = [("content-type", "application/json"), ("content-type", "application/vnd.bentoml+pickle")]
    assert client.post("/bentoml/predict", content=b"{}", headers=headers).status_code == 415


def test_bentoml_answers_behind_the_gate_under_the_same_checks(client: Any, bench: Any) -> None:
    good = client.post("/bentoml/predict", json={"rows": [ROW], "ids": ["b1"]})
    assert good.json()["predictions"][0]["id"] == "b1"
    assert good.headers["x-pilothouse-version"] == "1"
    bad = client.post("/bentoml/predict", json={"rows": [ROW | {"temp": "secret"}]})
    assert bad.status_code == 422
    assert bad.json()["faults"][0]["pointer"] == "/rows/0/temp"
    doubled = b'{"rows":[{"carrier":"UA","hour":1,"temp":NaN,"distance":1,"distance":2}]}'
    both = client.post("/bentoml/predict", content=doubled, headers=AS_JSON).json()
    assert {f["detail"].split(";")[0] for f in both["faults"]} == {"is given twice", "NaN is not a number in JSON"}
    shape = client.post("/bentoml/predict", json={"rows": ["secret"]})
    assert "secret" not in shape.text + bad.text
    assert shape.headers["content-type"] == "application/problem+json"
    assert bench.logged()["prediction_id"].to_list() == ["b1"]


def test_bentomls_page_with_its_tracker_is_not_shown(client: Any) -> None:
    assert client.get("/").json()["openapi"] == "/openapi.json"
    assert client.get("/schema.json").json()["routes"][0]["route"] == "/bentoml/predict"
    assert client.get("/nowhere").status_code == 404


def test_other_methods_are_refused(client: Any) -> None:
    answer = client.get("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert client.request("PUT", "/bentoml/predict").status_code == 405


def test_options_says_what_an_address_takes_and_head_sends_no_body(client: Any) -> None:
    for path, allowed in (("/predict", "POST, OPTIONS"), ("/models", "GET, HEAD, OPTIONS")):
        told = client.request("OPTIONS", path)
        assert (told.status_code, told.headers["allow"], told.content) == (204, allowed, b"")
    head, whole = client.request("HEAD", "/models/flights"), client.get("/models/flights")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_a_large_body_is_refused_announced_or_not(serve_with: Any) -> None:
    async def in_parts() -> Any:
        for _ in range(3):
            yield b" " * 500

    with serve_with(max_body_bytes=1000) as client:
        assert client.post("/predict", content=b" " * 1001, headers=AS_JSON).status_code == 413
        answer = client.post("/predict", content=in_parts(), headers=AS_JSON)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_body_that_does_not_come_is_given_up(serve_with: Any) -> None:
    async def never() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    with serve_with(body_timeout_s=0.05) as client:
        assert client.post("/predict", content=never(), headers=AS_JSON).json()["title"] == "Request timeout"


def test_above_the_limit_requests_are_sent_away_at_once(serve_with: Any) -> None:
    with serve_with(max_in_flight=2, max_waiting=1, max_wait_s=5) as client:
        posts = [("POST", "/predict", {"json": {"rows": [ROW]}})] * 5
        answers = client.together(posts)
        assert sorted(a.status_code for a in answers) == [200, 200, 200, 503, 503]
        assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 503)
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 200


def test_where_it_is_chosen_a_full_disk_costs_the_row_and_not_the_answer(serve_with: Any, bench: Any) -> None:
    with serve_with(disk_full="answer_unlogged", min_free_bytes=2**62) as client:
        answer = client.post("/predict", json={"rows": [ROW], "ids": ["a"]})
        assert (answer.status_code, answer.headers["x-pilothouse-durability"]) == (200, "unlogged")
        told = client.post("/feedback", json={"labels": [{"id": "a", "label": 1}]})
        assert (told.status_code, told.json()["title"]) == (503, "Disk full")
        assert 'pilothouse_rows_total{kind="unlogged",model="flights"} 1.0' in client.get("/metrics").text
    assert bench.logged().is_empty()


def test_no_answer_without_its_row(client: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Spool, entries: Sequence[Entry], _settled: object) -> list[LogUnavailable]:
        return [LogUnavailable(f"{bench.workspace.spool}: disk full") for _ in entries]

    monkeypatch.setattr(Spool, "submit_all", refuse)
    answer = client.post("/predict", json={"rows": [ROW]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert str(bench.workspace.root) not in answer.text
    assert bench.logged().is_empty()


def test_a_failing_disk_refuses_and_recovers(client: Any, bench: Any) -> None:
    (file,) = bench.workspace.spool.glob("*.sqlite")
    held = sqlite3.connect(file)
    held.execute("ALTER TABLE entries RENAME TO gone")
    held.commit()
    assert client.post("/predict", json={"rows": [ROW], "ids": ["x"]}).status_code == 503
    held.execute("ALTER TABLE gone RENAME TO entries")
    held.commit()
    held.close()
    assert client.post("/predict", json={"rows": [ROW], "ids": ["x"]}).status_code == 200
    assert bench.logged()["prediction_id"].to_list() == ["x"]


def test_what_nobody_foresaw_is_logged_and_told_by_its_id(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("the inner secret")

    monkeypatch.setattr("pilothouse.ops.serving.models.LiveModel.score", fail)
    answer = client.post("/predict", json={"rows": [ROW]}, headers={"x-request-id": "mine-7"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == "mine-7"
    assert "request mine-7 failed" in caplog.text


def test_rows_on_which_the_model_fails_are_logged_as_errors(client: Any, bench: Any, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pilothouse.ops.serving.models.LiveModel.score", fail)
    assert client.post("/predict", json={"rows": [ROW], "ids": ["mine"]}).status_code == 500
    monkeypatch.undo()
    assert client.post("/predict", json={"rows": [ROW], "ids": ["mine"]}).status_code == 200
    rows = bench.logged().select("prediction_id", "status", "score")
    failed = rows.filter(status="error")
    assert failed["score"].to_list() == [None]
    assert failed["prediction_id"].to_list() != ["mine"], "or the answer to the second try would count as a repeat"
    assert rows.filter(status="ok")["prediction_id"].to_list() == ["mine"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", ""])
def test_a_request_that_names_another_host_is_refused(client: Any, host: str) -> None:
    for path in ("/predict", "/bentoml/predict"):
        refused = client.post(path, json={"rows": [ROW]}, headers={"host": host})
        assert (refused.status_code, refused.json()["detail"]) == (
            421,
            "This service answers as 127.0.0.1 or localhost only.",
        )
    assert client.post("/predict", json={"rows": [ROW]}, headers={"host": "127.0.0.1:3000"}).status_code == 200


def test_one_bad_row_does_not_fail_its_neighbours(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pilothouse.ops.serving.models import LiveModel

    score = LiveModel.score

    def picky(self: LiveModel, rows: list[Any]) -> Any:
        if any(row[1] == 13 for row in rows):
            raise ValueError("no thirteen")
        return score(self, rows)

    monkeypatch.setattr(LiveModel, "score", picky)
    posts = [("POST", "/predict", {"json": {"rows": [ROW | {"hour": h}]}}) for h in (12, 13, 14)]
    assert [a.status_code for a in client.together(posts)] == [200, 500, 200]


def test_metrics_have_bounded_labels(client: Any) -> None:
    for n in range(30):
        client.get(f"/nowhere/{n}")
        client.post(f"/models/m{n}/predict", json={"rows": [ROW]})
    client.post("/predict", json={"rows": [ROW] * 2})
    text = client.get("/metrics").text
    assert 'pilothouse_requests_total{model="",route="/models/{name}/predict",status="404"} 30.0' in text
    assert 'pilothouse_requests_total{model="",route="other",status="404"} 30.0' in text
    assert 'pilothouse_rows_total{kind="predictions",model="flights"} 2.0' in text
    assert 'pilothouse_live_version{model="flights"} 1.0' in text
    assert "nowhere" not in text


def test_the_openapi_document_is_valid_and_its_examples_work(client: Any) -> None:
    from openapi_spec_validator import validate

    document = client.get("/openapi.json").json()
    validate(document)
    for path in ("/models/flights/predict", "/models/flights/feedback", "/models/flights/log", "/predict"):
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert client.post(path, json=example).status_code in (200, 202)
    assert document["paths"]["/models/flights/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]["rows"]["items"]["required"] == ["carrier", "hour", "temp", "distance"]

"""Which version answers: preparing, flipping, and what happens when a version cannot be loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pilothouse.data.signature import Feature, Kind
from pilothouse.data.state import catalog, processes

ROW: dict[str, Any] = {"carrier": "UA", "hour": 23, "temp": 61.5, "distance": 1400.0}


def wait_for(found: Callable[[], Any], within_s: float = 10.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.01)
    return value


def version_of(client: Any, path: str = "/models/flights/predict") -> int:
    answer = client.post(path, json={"rows": [ROW]})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def test_a_prepared_version_answers_the_very_next_request(client: Any, bench: Any) -> None:
    before = client.post("/predict", json={"rows": [ROW]}).json()["predictions"][0]
    seq = bench.prepare(2)
    (answer,) = wait_for(lambda: bench.answers(seq)).values()
    assert answer == (True, "")
    assert version_of(client) == 1
    deployment = bench.flip(2)
    after = client.post("/predict", json={"rows": [ROW]})
    assert after.headers["x-pilothouse-version"] == "2"
    assert (before["prediction"], after.json()["predictions"][0]["prediction"]) == (1, 0)

    def switches() -> list[processes.Switch]:
        with bench.state.read() as conn:
            return processes.switches(conn, deployment.seq)

    (switch,) = wait_for(switches)
    assert 0 <= (switch.at - deployment.at).total_seconds() < 1


def test_a_version_flipped_without_preparation_is_followed_once_loaded(client: Any, bench: Any) -> None:
    bench.flip(2)
    assert wait_for(lambda: version_of(client) == 2)


def test_back_and_forth_is_followed_at_once_while_both_are_warm(client: Any, bench: Any) -> None:
    seq = bench.prepare(2)
    wait_for(lambda: bench.answers(seq))
    for version in (2, 1) * 10:
        bench.flip(version)
        assert version_of(client) == version


def test_the_worker_says_what_it_serves(client: Any, bench: Any) -> None:
    (process,) = bench.workers()
    assert process.details == {"models": {"flights": 1}, "epoch": 1, "canaries": {}, "shadows": {}, "failed": {}}


def test_a_worker_takes_leave(bench: Any, serve_with: Any) -> None:
    with serve_with():
        assert len(bench.workers()) == 1
    assert bench.workers() == []


def test_a_tampered_artifact_is_never_loaded_and_the_old_version_goes_on(client: Any, bench: Any) -> None:
    with bench.state.read() as conn:
        file = bench.store.path(catalog.get_version(conn, "flights", 2).artifact_sha256)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    seq = bench.prepare(2)
    ((ok, detail),) = wait_for(lambda: bench.answers(seq)).values()
    assert not ok
    assert "the file's content has the SHA-256" in detail
    bench.flip(2)
    assert version_of(client) == 1


def test_an_unknown_version_is_answered_and_does_not_block_the_next(client: Any, bench: Any) -> None:
    unknown, good = bench.prepare(9), bench.prepare(2)
    assert "has no version 9" in wait_for(lambda: bench.answers(unknown)).popitem()[1][1]
    assert wait_for(lambda: bench.answers(good)).popitem()[1] == (True, "")


def test_a_version_with_other_features_is_refused(
    client: Any, bench: Any, artifacts_of_two: tuple[bytes, bytes]
) -> None:
    with bench.state.read() as conn:
        signature = catalog.get_model(conn, "flights").signature
    wider = replace(signature, features=(*signature.features, Feature(name="wind", kind=Kind.NUMBER)))
    seq = bench.prepare(bench.add_version(artifacts_of_two[0], signature=wider))
    ((ok, detail),) = wait_for(lambda: bench.answers(seq)).values()
    assert not ok
    assert "takes other features" in detail


def test_a_model_registered_while_running_appears(
    client: Any, bench: Any, artifacts_of_two: tuple[bytes, bytes]
) -> None:
    bench.add_model("second")
    wait_for(lambda: len(client.get("/models").json()["models"]) == 2)
    unready = client.post("/models/second/predict", json={"rows": [ROW]})
    assert (unready.status_code, unready.json()["title"]) == (409, "No champion")
    bench.add_version(artifacts_of_two[1], "second")
    bench.flip(1, "second")
    wait_for(lambda: client.post("/models/second/predict", json={"rows": [ROW]}).status_code == 200)
    ambiguous = client.post("/predict", json={"rows": [ROW]})
    assert ambiguous.status_code == 404
    assert "flights, second" in ambiguous.json()["detail"]


def test_a_service_starts_though_one_model_is_broken(
    bench: Any, serve_with: Any, artifacts_of_two: tuple[bytes, bytes]
) -> None:
    bench.add_model("broken")
    bench.add_version(b"not skops", "broken")
    bench.flip(1, "broken")
    with serve_with() as client:
        assert version_of(client) == 1
        assert client.get("/readyz").json()["not_loaded"] == ["broken"]
        answer = client.post("/models/broken/predict", json={"rows": [ROW]})
        assert (answer.status_code, answer.json()["title"]) == (503, "Model not loaded")


def test_a_model_that_gives_no_number_for_missing_values_is_not_believed(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pilothouse.ops.scoring import Scored
    from pilothouse.ops.serving.models import LiveModel

    monkeypatch.setattr(
        LiveModel, "score", lambda _self, rows: Scored(prediction=[0] * len(rows), score=[float("nan")])
    )
    answer = client.post("/predict", json={"rows": [ROW]})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["pointer"] == "/rows/0"

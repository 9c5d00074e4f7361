"""A service that asks for keys: who gets in, what for, and what is told to whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.serving.conftest import ROW, Bench
from tests.integration.serving.test_serving_processes import service, wait_for

from pilothouse.data.errors import OpenWithoutKeys
from pilothouse.data.settings import Settings
from pilothouse.data.state.keys import SCOPES
from pilothouse.data.windows import utc_now
from pilothouse.ops.actors import local_operator
from pilothouse.ops.governance.keys import Keys
from pilothouse.ops.serving.main import serve

LABELS = {"labels": [{"id": "a", "label": 1}]}
ROWS = {"rows": [ROW], "ids": ["a"]}
TENSORS = {
    "inputs": [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in ROW.items()
    ]
}
ALL = ["predict:*", *SCOPES]
HEALTH = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/ping"}


def keys_of(bench: Bench) -> Keys:
    return Keys(bench.state, local_operator(), utc_now)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def keys(bench: Bench) -> Keys:
    return keys_of(bench)


@pytest.fixture
def guarded(serve_with: Any, keys: Keys) -> Iterator[Any]:
    with serve_with(require_keys="yes") as client:
        yield client


def made(keys: Keys, guarded: Any, caller: str, *scopes: str, **more: Any) -> dict[str, str]:
    """A header with a new key, once the service knows it."""
    header = bearer(keys.create(caller, scopes, **more).text)
    wait_for(lambda: guarded.get("/nothing", headers=header).json()["type"] != "urn:pilothouse:bad-key", 2)
    return header


def test_every_route_and_method_needs_a_key_but_those_of_health(guarded: Any, keys: Keys) -> None:
    documented = guarded.get("/openapi.json", headers=made(keys, guarded, "docs", "read")).json()["paths"]
    others = ["/", "/bentoml/predict", "/schema.json", "/docs.json", "/healthz", "/nowhere", "/models/nobody/predict"]
    for path in {*documented, *others} - HEALTH:
        path = path.replace("{version}", "1").replace("{label}", "champion")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = guarded.request(method, path)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["www-authenticate"] == 'Bearer realm="pilothouse"'
    for path in HEALTH:
        assert guarded.get(path).status_code == 200
        assert documented[path]["get"]["security"] == []


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (
            "predict:flights",
            {
                "/models/flights/predict",
                "/predict",
                "/bentoml/predict",
                "/v2/models/flights/infer",
                "/v1/models/flights:predict",
                "/v1/models/flights/versions/1:classify",
                "/predictions/flights",
            },
        ),
        ("predict:other", set()),
        ("feedback", {"/models/flights/feedback"}),
        ("log", {"/models/flights/log"}),
        ("metrics", {"/metrics"}),
        (
            "read",
            {"/models", "/models/flights", "/openapi.json", "/schema.json", "/v2/models/flights", "/v1/models/flights"},
        ),
    ],
)
def test_a_key_opens_what_its_scopes_say_and_nothing_else(
    guarded: Any, keys: Keys, scope: str, allowed: set[str]
) -> None:
    header = made(keys, guarded, "shop", scope)
    posts = {
        "/models/flights/predict": ROWS, "/predict": ROWS, "/bentoml/predict": ROWS, "/models/flights/feedback": LABELS,
        "/models/flights/log": ROWS | {"predictions": [1]}, "/v2/models/flights/infer": TENSORS,
        "/v1/models/flights:predict": {"instances": [ROW]}, "/v1/models/flights/versions/1:classify": {"examples": [ROW]},
        "/predictions/flights": ROW,
    }  # fmt: skip
    found = {path for path, body in posts.items() if guarded.post(path, json=body, headers=header).status_code < 300}
    gets = (
        "/models", "/models/flights", "/openapi.json", "/schema.json", "/metrics", "/v2/models/flights",
        "/v1/models/flights",
    )  # fmt: skip
    found |= {path for path in gets if guarded.get(path, headers=header).status_code == 200}
    assert found == allowed
    refused = guarded.post("/models/flights/feedback", json=LABELS, headers=header)
    if scope != "feedback":
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:pilothouse:missing-scope")
        assert refused.json()["detail"] == f"The key of shop lacks the scope feedback. It has: {scope}."
        assert 'scope="feedback"' in refused.headers["www-authenticate"]


def test_the_missing_scope_names_the_model(guarded: Any, keys: Keys) -> None:
    header = made(keys, guarded, "shop", "read")
    for path in ("/predict", "/models/flights/predict", "/bentoml/predict"):
        said = guarded.post(path, json=ROWS, headers=header).json()["detail"]
        assert said == "The key of shop lacks the scope predict:flights. It has: read.", path


def test_the_callers_name_stands_in_the_log(guarded: Any, keys: Keys, bench: Bench) -> None:
    header = made(keys, guarded, "shop", *ALL)
    guarded.post("/predict", json={"rows": [ROW], "ids": ["native"]}, headers=header)
    guarded.post("/bentoml/predict", json={"rows": [ROW], "ids": ["bento"]}, headers=header)
    text = header["authorization"].split()[1]
    guarded.post("/log", json={"rows": [ROW], "ids": ["told"], "predictions": [1]}, headers={"x-api-key": text})
    logged = bench.logged()
    assert dict(logged.select("prediction_id", "caller").rows()) == dict.fromkeys(("native", "bento", "told"), "shop")


def test_keys_that_do_not_hold_are_refused_with_their_reason(guarded: Any, keys: Keys) -> None:
    header = made(keys, guarded, "shop", "read")
    text = header["authorization"].split()[1]
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    for shown in (wrong, "pass", "", "x" * 5000, text + "0", text.upper()):
        said = guarded.get("/models", headers=bearer(shown))
        assert (said.status_code, said.json()["type"]) == (401, "urn:pilothouse:bad-key"), shown[:80]
        assert 'error="invalid_token"' in said.headers["www-authenticate"]
        assert not shown or shown not in said.text
    keys.revoke(text.split("_")[1], reason="leaked")
    wait_for(lambda: guarded.get("/models", headers=header).status_code == 401, 2)
    assert "was revoked" in guarded.get("/models", headers=header).json()["detail"]


def test_an_expired_key_is_refused_without_anybody_telling(
    bench: Bench, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from tests.integration.serving.conftest import Client, served

    from pilothouse.ops.serving.keyring import KeyRing

    text = keys.create("shop", ["read"], expires="1h").text
    later = [timedelta(0)]
    init = KeyRing.__init__
    monkeypatch.setattr(KeyRing, "__init__", lambda ring, state, clock: init(ring, state, lambda: clock() + later[0]))
    client: Client
    with served(bench, monkeypatch, Settings(require_keys="yes")) as client:
        assert client.get("/models", headers=bearer(text)).status_code == 200
        later[0] = timedelta(hours=1)
        assert "has expired" in client.get("/models", headers=bearer(text)).json()["detail"]


def test_one_caller_above_her_share_is_sent_away_and_others_wait(serve_with: Any, keys: Keys) -> None:
    with serve_with(require_keys="yes", max_in_flight=4, max_wait_s=5) as client:
        greedy, modest = (made(keys, client, name, "predict:*") for name in ("greedy", "modest"))
        post = {"json": {"rows": [ROW]}}
        asked = [("POST", "/predict", post | {"headers": greedy})] * 8 + [
            ("POST", "/predict", post | {"headers": modest})
        ]
        *theirs, mine = client.together(asked)
        assert sorted(a.status_code for a in theirs) == [200] * 4 + [429] * 4
        assert {a.headers["retry-after"] for a in theirs if a.status_code == 429} == {"1"}
        assert mine.status_code == 200


def test_the_openapi_document_says_that_keys_are_needed(guarded: Any, keys: Keys) -> None:
    from openapi_spec_validator import validate

    document = guarded.get("/openapi.json", headers=made(keys, guarded, "docs", "read")).json()
    validate(document)
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert document["paths"]["/livez"]["get"]["security"] == []
    assert {"401", "403", "429"} <= set(document["paths"]["/predict"]["post"]["responses"])


def test_an_open_address_without_keys_is_refused_before_a_socket_opens(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("pilothouse.ops.serving.main._listening", no_socket)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(
            OpenWithoutKeys, match=r"does not start on .*require_keys = \"yes\".*pilothouse keys create"
        ):
            serve(bench.workspace, Settings(service_host=host))


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_on_all_addresses_with_keys_in_every_worker(bench: Bench, tmp_path: Path) -> None:
    bench.workspace.settings_file.write_text(
        'require_keys = "yes"\nservice_host = "0.0.0.0"\nservice_names = "models.example"\n'
    )
    keys = keys_of(bench)
    text = keys.create("shop", ["predict:flights", "read"]).text
    header = bearer(text)
    with service(bench, tmp_path / "service.log") as (url, _process):
        assert httpx.post(f"{url}/predict", json=ROWS, headers=header).status_code == 200
        assert httpx.get(f"{url}/models", headers=header | {"host": "models.example"}).status_code == 200
        assert httpx.get(f"{url}/models", headers=header | {"host": "evil.example"}).status_code == 421
        _ask_with_bentomls_client(url, text)
        revoked = time.monotonic()
        keys.revoke(text.split("_")[1], reason="leaked")
        last_good = revoked
        while time.monotonic() - revoked < 3:
            # A connection of its own each time, so that both workers are asked.
            if httpx.get(f"{url}/models", headers=header).status_code == 200:
                last_good = time.monotonic()
    print(f"last answer {last_good - revoked:.2f} s after the revocation")
    assert last_good - revoked < 2


def _ask_with_bentomls_client(url: str, key: str) -> None:
    import bentoml

    with bentoml.SyncHTTPClient(url, token=key) as client:
        assert client.predict(rows=[ROW])["model"] == "flights"

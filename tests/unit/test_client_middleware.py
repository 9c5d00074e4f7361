"""The middleware: the answer is the application's own, whatever becomes of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.support.receiver import Receiver

from pilothouse_client import Client, PilothouseMiddleware
from pilothouse_client.middleware import MAX_BODY_BYTES


async def scores(scope: Any, receive: Any, send: Any) -> None:
    """An application that sums numbers up, in two parts of an answer; it fails where it is told to."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = json.loads(body)
    if "fail" in asked:
        raise KeyError("the host's own")
    rows = asked.get("rows", [asked])
    status = 400 if "wrong" in asked else 200
    answer = json.dumps({"predictions": [{"prediction": r.get("a"), "score": 0.5} for r in rows]}).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": answer[:5], "more_body": True})
    await send({"type": "http.response.body", "body": answer[5:]})


def ask(app: Any, *bodies: Any, path: str = "/predict") -> list[httpx.Response]:
    async def each() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            return [await http.post(path, json=body) for body in bodies]

    return asyncio.run(each())


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def client(receiver: Receiver) -> Any:
    with Client("http://127.0.0.1:3000", "churn", transport=receiver.transport) as client:
        yield client


def test_rows_are_logged_under_the_id_in_the_header(client: Client, receiver: Receiver) -> None:
    app = PilothouseMiddleware(scores, client=client, features=["a"], keys=["order"])
    one, two = ask(app, {"a": 1, "order": 17}, {"rows": [{"a": 2}, {"a": 3}]})
    assert one.json() == {"predictions": [{"prediction": 1, "score": 0.5}]}
    assert one.headers["x-own"] == "1"
    client.flush()
    base = two.headers["x-pilothouse-id"]
    assert receiver.ids == [one.headers["x-pilothouse-id"], f"{base}-0", f"{base}-1"]
    assert receiver.rows[0]["features"] == {"a": 1}
    assert receiver.rows[0]["key"] == {"order": 17}
    assert [row["prediction"] for row in receiver.rows] == [1, 2, 3]
    assert 0 < receiver.rows[0]["latency_us"] < 60_000_000
    assert receiver.rows[1]["latency_us"] == receiver.rows[2]["latency_us"]


def test_other_paths_and_errors_pass_untouched(client: Client) -> None:
    app = PilothouseMiddleware(scores, client=client, path=["/score"])
    (other,) = ask(app, {"a": 1})
    (wrong,) = ask(app, {"a": 1, "wrong": 1}, path="/score")
    assert "x-pilothouse-id" not in other.headers
    assert "x-pilothouse-id" not in wrong.headers
    assert wrong.status_code == 400
    with pytest.raises(KeyError, match="the host's own"):
        ask(app, {"fail": 1}, path="/score")
    assert client.stats.taken == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([1, 2], "TypeError: the request holds no rows"),
        ({"a": "x" * MAX_BODY_BYTES}, "ValueError: a body has more than 1048576 bytes"),
    ],
)
def test_what_cannot_be_read_is_answered_and_counted(client: Client, body: Any, said: str) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"0"})

    (answer,) = ask(PilothouseMiddleware(echo, client=client), body)
    assert answer.text == "0"
    assert client.stats.refused == 1
    assert str(client.stats.last_error).startswith(said)


def test_its_own_client_ends_with_the_application() -> None:
    async def live(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.shutdown.complete"})

    sent: list[str] = []

    async def send(message: Any) -> None:
        app.client.log({"a": 1}, 1)
        sent.append(message["type"])

    app = PilothouseMiddleware(live, url="http://127.0.0.1:9", model="churn")
    asyncio.run(app({"type": "lifespan"}, send, send))  # type: ignore[arg-type]
    assert sent == ["lifespan.shutdown.complete"]
    assert app.client.stats.dropped == 1

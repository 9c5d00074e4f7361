"""The gate on a real socket: what a bare service lets through or falls over, under bursts, slow bodies and huge ones."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from tests.integration.serving.conftest import ROW, Bench

from pilothouse.data.settings import Settings
from pilothouse.ops.serving import wire

PREDICT = "/models/flights/predict"
BODY = json.dumps({"rows": [ROW]}).encode()


@contextmanager
def listening(bench: Bench, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[int]:
    """One worker's whole application on a free port, in a thread; gives the port."""
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    from pilothouse.ops.serving.main import assemble

    app = assemble(bench.workspace, Settings(**settings))
    server = uvicorn.Server(
        uvicorn.Config(app, http=wire.Protocol, loop="asyncio", ws="none", log_level="critical", access_log=False)
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        thread = threading.Thread(target=server.run, args=([taken],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def slow_model(monkeypatch: pytest.MonkeyPatch) -> float:
    """Each batch takes this many seconds."""
    from pilothouse.ops.serving.models import LiveModel

    seconds, score = 0.05, LiveModel.score

    def slowly(self: LiveModel, rows: list[Any]) -> Any:
        time.sleep(seconds)
        return score(self, rows)

    monkeypatch.setattr(LiveModel, "score", slowly)
    return seconds


class Connection:
    """A connection that sends one request after the other and reads the answers, with as little work as can be."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def ask(self, body: bytes = BODY, path: str = PREDICT) -> tuple[int, float, dict[str, str]]:
        """Status, seconds until the answer was whole, and headers."""
        began = time.perf_counter()
        await self.send(head(path, len(body)) + body)
        status, headers, _ = await self.answer()
        return status, time.perf_counter() - began, headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        first, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        return int(first.split()[1]), headers, await self._reader.readexactly(int(headers["content-length"]))


def head(path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def offered(port: int, rate: float, seconds: float, connections: int) -> list[tuple[int, float, dict[str, str]]]:
    """Requests at `rate` a second, sent when they are due whether or not others were answered, as far as there are
    connections; the answers."""
    answers: list[tuple[int, float, dict[str, str]]] = []
    started = time.perf_counter()

    async def client(number: int) -> None:
        async with Connection(port) as connection:
            due = started + number / rate
            while due < started + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                answers.append(await connection.ask())
                due = max(due + connections / rate, time.perf_counter())

    await asyncio.gather(*(client(number) for number in range(connections)))
    return answers


@pytest.mark.alone
def test_under_ten_times_the_load_goodput_stays_and_the_rest_is_told_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, slow_model: float
) -> None:
    seconds = 3.0
    with listening(bench, monkeypatch, max_in_flight=4, max_waiting=4, access_log="off") as port:
        sustained = asyncio.run(offered(port, 4 / slow_model, seconds, 8))
        rate = len([a for a in sustained if a[0] == 200]) / seconds
        burst = asyncio.run(offered(port, 10 * rate, seconds, 80))
    good, before = ([a for a in answers if a[0] == 200] for answers in (burst, sustained))
    shed = [a for a in burst if a[0] != 200]
    slowest = sorted(a[1] for a in shed)[int(0.99 * len(shed))]
    print(
        f"sustained {len(before) / seconds:.0f}/s; offered {len(burst) / seconds:.0f}/s: {len(good) / seconds:.0f}/s "
        f"answered, {len(shed)} shed, p99 of being told {slowest * 1000:.0f} ms"
    )
    assert set(Counter(a[0] for a in burst)) == {200, 503}
    assert len(good) >= 0.9 * len(before)
    assert len(shed) > 3 * len(good)
    assert {a[2]["retry-after"] for a in shed} == {"1"}
    assert {a[2]["content-type"] for a in shed} == {"application/problem+json"}
    assert sorted(a[1] for a in shed)[len(shed) // 2] < 0.05


@pytest.mark.alone
def test_five_hundred_slow_bodies_do_not_hold_good_clients_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(port: int) -> tuple[list[float], list[float]]:
        async with Connection(port) as good:
            before = [(await good.ask())[1] for _ in range(30)]
            slow = [Connection(port) for _ in range(500)]
            for one in slow:
                await one.__aenter__()
                await one.send(head(PREDICT, 1000) + b'{"rows":')
            during = [await good.ask() for _ in range(30)]
            assert {status for status, *_ in during} == {200}
            status, headers, said = await slow[0].answer()
            assert (status, headers["connection"]) == (408, "close")
            assert b"request-timeout" in said
            for one in slow:
                await one.__aexit__()
            return before, [seconds for _, seconds, _ in during]

    # Both ends of each connection are this process's.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with listening(bench, monkeypatch, body_timeout_s=2.0, max_in_flight=8) as port:
        before, during = asyncio.run(story(port))
    print(f"median {sorted(before)[15] * 1000:.1f} ms before, {sorted(during)[15] * 1000:.1f} ms during")
    assert sorted(during)[15] < 3 * sorted(before)[15] + 0.02


@pytest.mark.alone
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_a_gigabyte_is_refused_and_takes_no_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    block, process = b" " * 2**20, psutil.Process()

    async def story(port: int) -> tuple[int, bytes, int]:
        sent, before, most = 0, process.memory_info().rss, 0
        async with Connection(port) as connection:
            if announced:
                await connection.send(head(PREDICT, 2**30))
            else:
                await connection.send(head(PREDICT, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
            answered = asyncio.create_task(connection.answer())
            with suppress(ConnectionError):
                while sent < 2**30 and not answered.done():
                    await connection.send(block if announced else b"%x\r\n%b\r\n" % (len(block), block))
                    sent += len(block)
                    most = max(most, process.memory_info().rss - before)
            status, _, said = await answered
        return status, said, most

    with listening(bench, monkeypatch) as port:
        asyncio.run(_warm(port))
        status, said, most = asyncio.run(story(port))
    print(f"{most / 2**20:.0f} MB more at most")
    assert (status, json.loads(said)["type"]) == (413, "urn:pilothouse:body-too-large")
    assert most < 64 * 2**20


@pytest.mark.parametrize(
    ("request_head", "status"),
    [(head(PREDICT, 2**23), b"413"), (b"GET / HTTP/1.1\r\nCookie: ", b"431")],
    ids=["body", "head"],
)
def test_a_client_that_sends_all_before_it_reads_still_gets_the_refusal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, request_head: bytes, status: bytes
) -> None:
    with (
        listening(bench, monkeypatch, max_body_bytes=1000) as port,
        socket.create_connection(("127.0.0.1", port), 20) as connection,
    ):
        connection.sendall(request_head + b" " * 2**23)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert answer.split(b" ")[1] == status
    assert b"connection: close" in answer


def test_a_client_that_never_ends_is_not_listened_to_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINGER_S", 0.2)

    def send(connection: socket.socket, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            connection.sendall(b" " * 1000)
            time.sleep(0.01)

    with (
        listening(bench, monkeypatch, max_body_bytes=1000) as port,
        socket.create_connection(("127.0.0.1", port), 20) as connection,
    ):
        connection.sendall(head(PREDICT, 2**40))
        with pytest.raises(ConnectionError):
            send(connection, 10)


async def _warm(port: int) -> None:
    async with Connection(port) as connection:
        assert (await connection.ask())[0] == 200


@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        (b"this is no HTTP\r\n\r\n", 400, "not-http"),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000, 431, "head-too-large"),
        (b"GET /livez HTTP/1.1\r\nHost: ", 408, "request-timeout"),
    ],
)
def test_what_is_no_whole_request_is_answered_as_a_problem_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int, kind: str
) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.3)

    async def story(port: int) -> tuple[int, dict[str, str], bytes]:
        async with Connection(port) as connection:
            await connection.send(sent)
            return await asyncio.wait_for(connection.answer(), 5)

    with listening(bench, monkeypatch) as port:
        found, headers, said = asyncio.run(story(port))
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(said)["type"] == f"urn:pilothouse:{kind}"


BARE = {
    "NaN in a row": (b'{"rows":[{"carrier":"UA","hour":1,"temp":NaN,"distance":1}]}', "application/json", 422),
    "no rows": (b'{"rows":[]}', "application/json", 422),
    "an array of another shape": (b'{"rows":[[1,2],[3]]}', "application/json", 422),
    "an array for the object": (b"[[1,2],[3]]", "application/json", 422),
    "a boolean for a number": (json.dumps({"rows": [ROW | {"temp": True}]}).encode(), "application/json", 422),
    "a text for a number": (json.dumps({"rows": [ROW | {"temp": "12"}]}).encode(), "application/json", 422),
    "a column too many": (json.dumps({"rows": [ROW | {"more": 1}]}).encode(), "application/json", 422),
    "a name twice": (
        b'{"rows":[{"carrier":"UA","hour":1,"temp":1,"distance":1,"distance":2}]}',
        "application/json",
        422,
    ),
    "half a document": (b'{"rows":[', "application/json", 400),
    "multipart without a boundary": (b"--x", "multipart/form-data", 415),
    "a very long boundary": (b"--x", f"multipart/form-data; boundary={'-' * 20_000}", 415),
    "pickle": (b"\x80\x04.", "application/vnd.bentoml+pickle", 415),
    "no type": (b"{}", "", 415),
}


@pytest.mark.parametrize("path", [PREDICT, "/bentoml/predict"])
def test_what_bare_bentoml_fails_on_or_lets_through_is_refused_in_one_shape(
    client: Any, bench: Bench, path: str
) -> None:
    for what, (body, content_type, status) in BARE.items():
        began = time.perf_counter()
        answer = client.post(path, content=body, headers={"content-type": content_type})
        took = time.perf_counter() - began
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), what
        problem = answer.json()
        assert {"type", "title", "status", "detail", "request_id"} <= set(problem), what
        assert status != 415 or took < 0.05, what
        if status == 422:
            assert all(fault["pointer"].startswith("/") or fault["pointer"] == "" for fault in problem["faults"]), what
    assert bench.logged().is_empty()


def test_the_access_log_has_a_line_a_request_and_no_value(bench: Bench, serve_with: Any) -> None:
    secret = "SECRET-CARRIER"
    with serve_with() as client:
        client.post(PREDICT, json={"rows": [ROW | {"carrier": secret}] * 2}, headers={"x-request-id": "mine"})
        client.post("/bentoml/predict", json={"rows": [ROW]})
        client.post(PREDICT, json={"rows": [ROW | {"temp": secret}]})
        client.get(f"/models/{secret}")
        client.get(f"/nowhere/{secret}?key={secret}")
    (file,) = (bench.workspace.run / "logs").glob("access-*.jsonl")
    text = file.read_text()
    assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    shown = [(x["method"], x["route"], x["model"], x["version"], x["status"], x["rows"]) for x in lines]
    assert shown == [
        ("POST", "/models/{name}/predict", "flights", 1, 200, 2),
        ("POST", "/bentoml/predict", "flights", 1, 200, 1),
        ("POST", "/models/{name}/predict", "flights", None, 422, 0),
        ("GET", "/models/{name}", "", None, 404, 0),
        ("GET", "other", "", None, 404, 0),
    ]
    assert (lines[0]["id"], lines[0]["caller"]) == ("mine", None)
    assert lines[0]["bytes"] > 100
    assert 0 < lines[0]["ms"] < 5000
    assert lines[0]["at"].endswith("Z")


def test_the_access_log_begins_a_new_file_at_its_size_and_can_be_switched_off(bench: Bench, serve_with: Any) -> None:
    with serve_with(access_log="off") as client:
        client.get("/models")
    logs = bench.workspace.run / "logs"
    assert not list(logs.glob("access-*.jsonl*"))
    for _ in range(3):
        with serve_with(access_log_bytes=300) as client:
            client.get("/models")
            client.get("/models")
    files = {file.name: file.read_text().splitlines() for file in logs.glob("access-*.jsonl*")}
    assert {"access-0.jsonl", "access-0.jsonl.1", "access-0.jsonl.2"} <= set(files)
    assert sum(map(len, files.values())) == 6


def test_a_request_that_its_client_gave_up_is_in_the_access_log(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(bench, monkeypatch) as port:
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(head(PREDICT, 100) + b"{")
            httpx.get(f"http://127.0.0.1:{port}/livez")
        httpx.get(f"http://127.0.0.1:{port}/livez")
    (file,) = (bench.workspace.run / "logs").glob("access-*.jsonl")
    assert [json.loads(line)["status"] for line in file.read_text().splitlines()].count(499) == 1

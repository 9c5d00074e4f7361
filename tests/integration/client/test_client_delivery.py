"""The client and the real service: whatever goes down in between, every row arrives exactly once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.processes import running_service, wait_until
from tests.support.small import MODEL, ROW, make_small

from pilothouse.ops.house import House
from pilothouse.ops.supervisor import free_port
from pilothouse_client import Client

HOST = """
import sys, time
from pilothouse_client import Client

client = Client(sys.argv[1], sys.argv[2], spool=sys.argv[3], flush_s=0.05, batch_rows=20)
for number in range(100):
    client.log({"amount": 1200.0, "months": 24, "purpose": "car"}, 0, score=0.25, id=f"{sys.argv[4]}-{number}")
while not client.stats.retries:
    time.sleep(0.05)
print("spooled", flush=True)
time.sleep(60)
"""

FORKS = """
import os, sys
from pilothouse_client import Client

client = Client(sys.argv[1], "churn", spool=sys.argv[2])
client.log({"n": 0}, 0, id="before")
child = os.fork()
if child == 0:
    client.log({"n": 1}, 0, id="child")
    client.close(20)
    os._exit(0)
client.log({"n": 2}, 0, id="parent")
os.waitpid(child, 0)
client.close(20)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = make_small(tmp_path_factory.mktemp("client") / "ws")
    yield house
    house.state.close()


def logged(house: House, prefix: str) -> list[str]:
    ids = house[MODEL].prediction_log.predictions()["prediction_id"].to_list()
    return sorted(found for found in ids if found.startswith(prefix))


def test_a_service_that_comes_late_and_goes_in_between_gets_every_row_once(house: House, tmp_path: Path) -> None:
    port = free_port(0)
    sent: list[str] = []
    with Client(f"http://127.0.0.1:{port}", MODEL, flush_s=0.05, batch_rows=50, spool=tmp_path) as client:
        with KeepLogging(client, sent):
            time.sleep(0.5)
            for _ in range(2):
                with running_service(house, port):
                    before = client.stats.delivered
                    wait_until(lambda before=before: client.stats.delivered > before + 50, 40)
                time.sleep(0.3)
        with running_service(house, port):
            assert client.flush(timeout_s=40), client.stats
            client.label(sent[0], 1)
            assert client.flush()
    assert (client.stats.dropped, client.stats.refused) == (0, 0)
    assert client.stats.retries > 0
    assert client.stats.delivered == len(sent) + 1
    assert logged(house, "steady-") == sorted(sent)
    labelled = house[MODEL].prediction_log.labelled(None)
    assert labelled.filter(prediction_id=sent[0])["label"].to_list() == [1]


class KeepLogging:
    """A host that logs a row every few milliseconds, and measures what each call costs it."""

    def __init__(self, client: Client, sent: list[str]) -> None:
        self._client, self._sent = client, sent
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self._sent.append(self._client.log(ROW, 0, score=0.25, id=f"steady-{len(self._sent):06d}"))


def test_a_killed_host_s_rows_are_sent_by_the_next(house: House, tmp_path: Path) -> None:
    port = free_port(0)
    argv = [sys.executable, "-c", HOST, f"http://127.0.0.1:{port}", MODEL, str(tmp_path), "killed"]
    host = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host.stdout:
        assert host.stdout.readline() == "spooled\n"
        host.send_signal(signal.SIGKILL)
        host.wait(10)
    with running_service(house, port), Client(f"http://127.0.0.1:{port}", MODEL, spool=tmp_path) as client:
        wait_until(lambda: client.stats.delivered == 100, 20)
    assert logged(house, "killed-") == sorted(f"killed-{number}" for number in range(100))


def test_a_fork_sends_its_own_rows_and_leaves_the_parent_s_to_the_parent(tmp_path: Path) -> None:
    ids: list[str] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            ids.extend(msgspec.json.decode(body)["ids"])
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Taker))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        subprocess.run([sys.executable, "-c", FORKS, url, str(tmp_path)], check=True, timeout=60)
    assert sorted(ids) == ["before", "child", "parent"]

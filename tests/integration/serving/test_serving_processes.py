"""The real service: a supervisor and two workers on a free port."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pilothouse.data.state import processes
from pilothouse.ops.serving.__main__ import main
from pilothouse.ops.supervisor import free_port

ROW: dict[str, Any] = {"carrier": "UA", "hour": 23, "temp": 61.5, "distance": 1400.0}
CONNECTIONS = 16


def wait_for(found: Callable[[], Any], within_s: float = 30.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return value


@contextmanager
def service(bench: Any, output: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a running service and its supervisor; both workers have beaten."""
    port = free_port(0)
    command = [sys.executable, "-m", "pilothouse.ops.serving", "--workspace", str(bench.workspace.root)]
    with output.open("wb") as sink:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=sink, stderr=sink)
        try:
            wait_for(lambda: len(bench.workers()) == 2 or process.poll() is not None)
            assert process.poll() is None, output.read_text()
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def running(bench: Any, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with service(bench, tmp_path / "service.log") as started:
        yield started


@dataclass
class Load:
    """Requests of sixteen connections, each under an id of its own, sent again under the same id when refused."""

    url: str
    retries: int
    answers: list[tuple[str, float, float, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def send(self, seconds: float, during: Callable[[], Any]) -> None:
        async with asyncio.TaskGroup() as group:
            end = time.monotonic() + seconds
            for number in range(CONNECTIONS):
                group.create_task(self._one(number, end))
            group.create_task(asyncio.to_thread(during))

    async def _one(self, number: int, end: float) -> None:
        count = 0
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=20) as client:
            while time.monotonic() < end:
                count += 1
                await self._ask(client, f"c{number}-{count}")

    async def _ask(self, client: httpx.AsyncClient, row_id: str) -> None:
        began, fault = time.time(), ""
        for _ in range(1 + self.retries):
            try:
                answer = await client.post("/predict", json={"rows": [ROW], "ids": [row_id]})
            except httpx.TransportError as error:
                fault = repr(error)
                continue
            if answer.status_code == 200:
                self.answers.append((row_id, began, time.time(), answer.json()["version"]))
                return
            fault = answer.text
        self.failures.append(fault)


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_bentomls_own_client_calls_its_api(running: tuple[str, Any], bench: Any) -> None:
    import bentoml

    with bentoml.SyncHTTPClient(running[0]) as client:
        said = client.predict(rows=[ROW], ids=["from-bentoml"])
    assert (said["version"], said["predictions"][0]["prediction"]) == (1, 1)
    # The client leaves a temporary folder to the garbage collector.
    del client
    gc.collect()
    assert bench.logged()["prediction_id"].to_list() == ["from-bentoml"]
    text = httpx.get(f"{running[0]}/metrics").text
    assert 'pilothouse_requests_total{model="flights",route="/bentoml/predict",status="200"} 1.0' in text


def test_metrics_are_summed_over_the_workers(running: tuple[str, Any]) -> None:
    for _ in range(20):
        httpx.post(f"{running[0]}/predict", json={"rows": [ROW]})
    text = httpx.get(f"{running[0]}/metrics").text
    assert 'pilothouse_rows_total{kind="predictions",model="flights"} 20.0' in text
    assert text.count("pilothouse_live_version{") == 2


def switches_of(bench: Any, flip: Any) -> list[processes.Switch]:
    with bench.state.read() as conn:
        return processes.switches(conn, flip.seq)


def test_under_load_every_worker_switches_and_no_request_fails(running: tuple[str, Any], bench: Any) -> None:
    load = Load(running[0], retries=0)
    flips: list[Any] = []

    def swap_twice() -> None:
        for version in (2, 1):
            time.sleep(1)
            seq = bench.prepare(version)
            wait_for(lambda seq=seq: len(bench.answers(seq)) == 2)
            assert all(ok for ok, _ in bench.answers(seq).values())
            flips.append(bench.flip(version))

    asyncio.run(load.send(4, swap_twice))
    assert load.failures == []
    for flip in flips:
        wait_for(lambda flip=flip: len(switches_of(bench, flip)) == 2)
        switches = switches_of(bench, flip)
        after_s = [(s.at - flip.at).total_seconds() for s in switches]
        print("switched after", [round(s * 1000, 1) for s in after_s], "ms")
        assert len({s.process_id for s in switches}) == 2
        assert max(after_s) < 1
    second, third = (flip.at.timestamp() for flip in flips)
    published = 0.1  # The epoch is published after the row is written, and then seen at the next request.
    wrong = [a for a in load.answers if second + published < a[1] and a[2] < third and a[3] != 2]
    assert wrong == []
    print(len(load.answers), "answers", Counter(version for *_, version in load.answers))
    assert set(bench.logged()["prediction_id"]) == {a[0] for a in load.answers}


def test_a_killed_worker_loses_nothing_and_is_replaced(running: tuple[str, Any], bench: Any) -> None:
    load = Load(running[0], retries=5)
    replaced: list[float] = []

    def kill_one() -> None:
        time.sleep(1)
        victim = bench.workers()[0]
        os.kill(victim.pid, signal.SIGKILL)
        killed = time.monotonic()
        bench.seal()
        fresh = wait_for(lambda: [w for w in bench.workers() if w.started_at > victim.beat_at])
        replaced.append(time.monotonic() - killed)
        assert fresh[0].id != victim.id

    asyncio.run(load.send(6, kill_one))
    assert load.failures == []
    duplicates = bench.seal().duplicates
    logged = bench.logged()["prediction_id"].to_list()
    doubled = {row_id: n for row_id, n in Counter(logged).items() if n > 1}
    print(
        f"{len(load.answers)} acknowledged, {len(logged)} logged, {duplicates} dropped, replaced after {replaced[0]:.1f} s"
    )
    assert doubled == {}
    assert {a[0] for a in load.answers} <= set(logged)
    assert replaced[0] < 15


def test_sigterm_ends_every_process_and_they_take_leave(bench: Any, tmp_path: Path) -> None:
    with service(bench, tmp_path / "service.log") as (url, process):
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert httpx.get(f"{url}/readyz").json()["models"] == {"flights": 1}
        process.terminate()
        assert process.wait(20) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
    assert bench.workers() == []
    assert "Traceback" not in (tmp_path / "service.log").read_text()


def test_workers_end_when_their_supervisor_is_killed(running: tuple[str, Any], bench: Any) -> None:
    workers = [psutil.Process(worker.pid) for worker in bench.workers()]
    running[1].kill()
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_a_taken_port_is_named(running: tuple[str, Any], bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    port = running[0].rpartition(":")[2]
    assert main(["--workspace", str(bench.workspace.root), "--port", port]) == 75
    assert f"Port {port} is taken" in capsys.readouterr().err


def test_another_address_is_refused_before_a_socket_opens(
    bench: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("pilothouse.ops.serving.main._listening", no_socket)
    code = main(["--workspace", str(bench.workspace.root), "--host", "0.0.0.0"])
    assert code == 2
    assert "127.0.0.1" in capsys.readouterr().err

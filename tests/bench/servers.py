"""Services as processes: started on a free port, loaded evenly, their processor time counted, ended by their own id."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from pilothouse.ops.supervisor import free_port

WORKERS = 2
_ROOT = Path(__file__).resolve().parents[2]
_READY_WITHIN_S = 60.0
_ACCEPTED_WITHIN_S = 5.0
_BURSTS = 50
# Scikit-learn's own threads would fight for the same processors; our service sets the same for itself.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _as_rows(rows: list[dict[str, Any]]) -> Any:
    return {"rows": rows}


def _scores_of(answer: Any) -> list[float]:
    return [row["score"] for row in answer["predictions"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`python -m MODULE ARGUMENTS --port N`. path : where it predicts. ready : a path that answers once it is up.

    headers : of each request. body, scores : how it wants its rows, and where the scores stand in its answer.
    python : of an environment of its own; ours where left out.
    """

    module: str
    arguments: Sequence[str]
    path: str
    ready: str
    log: Path
    environment: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[list[dict[str, Any]]], Any] = _as_rows
    scores: Callable[[Any], list[float]] = _scores_of
    python: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running service, the path that it predicts at, and how it is spoken to."""

    process: psutil.Process
    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[list[dict[str, Any]]], Any] = _as_rows
    scores: Callable[[Any], list[float]] = _scores_of

    def at(self, path: str) -> Server:
        """The same service, asked at another path."""
        return replace(self, path=path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Processor seconds of all its processes so far."""
        times = [process.cpu_times() for process in self.family()]
        return float(sum(t.user + t.system for t in times))

    @contextmanager
    def connections(self, count: int) -> Iterator[list[socket.socket]]:
        """`count` open connections, as many to each worker: left to chance, one could get them all."""
        with ExitStack() as stack:
            kept: dict[int, list[socket.socket]] = {}
            for _ in range(_BURSTS):
                for worker, sock in self._burst(count):
                    held = kept.setdefault(worker, [])
                    if len(held) < count // WORKERS:
                        held.append(stack.enter_context(sock))
                    else:
                        sock.close()
                if sum(map(len, kept.values())) == count:
                    yield [sock for held in kept.values() for sock in held]
                    return
            raise AssertionError(f"one worker takes nearly all connections: {[len(held) for held in kept.values()]}")

    def _burst(self, count: int) -> list[tuple[int, socket.socket]]:
        """`count` new connections, each with the id of the worker that took it."""
        sockets = {sock.getsockname()[1]: sock for sock in (_connect(self.port) for _ in range(count))}
        deadline = time.monotonic() + _ACCEPTED_WITHIN_S
        # A connection belongs to nobody until a worker has woken up and accepted it.
        while not sockets.keys() <= (holders := self._holders()).keys():
            assert time.monotonic() < deadline, f"{self.url} does not accept connections"
            time.sleep(0.05)
        return [(holders[port], sock) for port, sock in sockets.items()]

    def _holders(self) -> dict[int, int]:
        """The process that holds each connection, by the client's port."""
        return {c.raddr.port: p.pid for p in self.family() for c in p.net_connections("tcp") if c.raddr}


@contextmanager
def running(command: Command) -> Iterator[Server]:
    """Run `command` on a free port until the block ends."""
    port = free_port(0)
    ours = [sys.executable, "-m", "pilothouse.ops.child"]
    start = ours if command.python is None else [str(command.python), "-m"]
    argv = [*start, command.module, *command.arguments, "--port", str(port)]
    environment = {**os.environ, **_ONE_THREAD, **command.environment}
    with command.log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env=environment, cwd=_ROOT)
    try:
        _wait_ready(process, f"http://127.0.0.1:{port}{command.ready}", command.log)
        yield Server(
            process=psutil.Process(process.pid), port=port, path=command.path, headers=command.headers,
            body=command.body, scores=command.scores,
        )  # fmt: skip
    finally:
        process.terminate()
        process.wait(30)


def ours(workspace: Path, model: str, key: str) -> Command:
    """Our service with its durable log, keys and checks."""
    return Command(
        module="pilothouse.ops.serving",
        arguments=["--workspace", str(workspace)],
        path=f"/models/{model}/predict",
        ready="/readyz",
        log=workspace.with_name(f"{workspace.name}.log"),
        environment={"PILOTHOUSE_REQUIRE_KEYS": "yes", "PILOTHOUSE_SERVICE_WORKERS": str(WORKERS)},
        headers={"x-api-key": key},
    )


def ours_without_log(workspace: Path, model: str, key: str) -> Command:
    """The same, under uvicorn's own supervisor, writing nothing down."""
    metrics = workspace / "run" / "metrics-bench"
    metrics.mkdir(parents=True)
    environment = {"PILOTHOUSE_WORKSPACE": str(workspace), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    served = ours(workspace, model, key)
    uvicorn = rival("without_log", workspace.parent, {**served.environment, **environment})
    return replace(uvicorn, path=served.path, ready=served.ready, headers=served.headers)


def answer_with_originals(workspace: Path) -> None:
    """Let every version in `workspace` answer as if it had no ONNX form."""
    with closing(sqlite3.connect(workspace / "state.sqlite")) as state, state:
        state.execute("UPDATE versions SET conversion = NULL")


def rival(name: str, folder: Path, environment: Mapping[str, str]) -> Command:
    """`name` of tests.bench.rivals, under uvicorn with the same loop and parser as our own workers."""
    workers = ["--factory", "--workers", str(WORKERS), "--host", "127.0.0.1"]
    quick = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return Command(
        module="uvicorn",
        arguments=[f"tests.bench.rivals:{name}", *workers, *quick],
        path="/predict",
        ready="/",
        log=folder / f"{name}.log",
        environment={"BENTOML_HOME": str(folder / f"{name}-home"), **environment},
    )


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _answers(url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False

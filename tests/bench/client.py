"""What the client costs its host: the FastAPI application of docs/client.md with the middleware and without, and with our
service away. Real HTTP, two workers; once at a steady 200 requests a second, once as fast as they come.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pilothouse.ops.supervisor import free_port
from tests.bench import servers
from tests.bench.load import Served, post, send
from tests.bench.repeat import alternate
from tests.bench.servers import Command, Server
from tests.bench.table import Row
from tests.support.application import write_plain, write_watched
from tests.support.processes import running_service
from tests.support.small import MODEL, ROW, make_small

TURNS = {"small": (5, 2.0), "full": (15, 4.0)}
"""How many, and the seconds of each."""
CONNECTIONS = 4
PAUSE_S = 0.02
PLAIN, UP, AWAY = "without", "with, service up", "with, service away"
NOT_MEASURABLY_SLOWER = 0.9
"""The least ratio at a steady load: two equal applications differ by as much from run to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    p50_ms: float
    p99_ms: float
    cpu_us: float


def run(folder: Path, size: str) -> list[Row]:
    """All three applications are up all the time; they are loaded in turns."""
    here = folder / "client"
    here.mkdir()
    with ExitStack() as stack:
        service = stack.enter_context(running_service(make_small(here / "ws")))
        write_plain(here, "plain")
        write_watched(here, "watched", service)
        write_watched(here, "alone", f"http://127.0.0.1:{free_port(0)}")
        modules = {PLAIN: "plain", UP: "watched", AWAY: "alone"}
        up = {what: stack.enter_context(servers.running(_command(here, name))) for what, name in modules.items()}
        steady = _measure(up, "200 requests/s", PAUSE_S, size, NOT_MEASURABLY_SLOWER)
        return [*steady, *_measure(up, "flat out", 0.0, size, None), _call_row(size)]


def _command(folder: Path, module: str) -> Command:
    quick = ["--workers", "2", "--no-access-log", "--log-level", "error"]
    return Command(
        module="uvicorn", arguments=["--app-dir", str(folder), f"{module}:app", *quick], path="/predict",
        ready="/openapi.json", log=folder / f"{module}.log", environment={},
    )  # fmt: skip


def _measure(up: Mapping[str, Server], load: str, pause_s: float, size: str, goal: float | None) -> list[Row]:
    turns, seconds = TURNS[size]
    found = alternate({what: partial(_turn, server, seconds, pause_s) for what, server in up.items()}, turns)
    plain = _median(found[PLAIN])
    rows = []
    for what in (UP, AWAY):
        ours = _median(found[what])
        rows += [
            Row(name=f"{load}, p50: {what}", ours=ours.p50_ms, rival=plain.p50_ms, unit="ms", size=size),
            Row(name=f"{load}, p99: {what}", ours=ours.p99_ms, rival=plain.p99_ms, unit="ms", size=size, goal=goal),
            Row(name=f"{load}, CPU: {what}", ours=ours.cpu_us, rival=plain.cpu_us, unit="us/request", size=size),
        ]
    return rows


def _turn(server: Server, seconds: float, pause_s: float) -> Turn:
    with server.connections(CONNECTIONS) as sockets:
        before = server.cpu_s()
        body = json.dumps(ROW).encode()
        served: Served = send(sockets, post(server.port, server.path, body), seconds, pause_s)
        cpu_s = server.cpu_s() - before
    return Turn(
        p50_ms=served.percentile_ms(50),
        p99_ms=served.percentile_ms(99),
        cpu_us=cpu_s * 1e6 / len(served.latencies_ms),
    )


def _median(turns: list[Turn]) -> Turn:
    return Turn(
        p50_ms=statistics.median(t.p50_ms for t in turns),
        p99_ms=statistics.median(t.p99_ms for t in turns),
        cpu_us=statistics.median(t.cpu_us for t in turns),
    )


def _call_row(size: str) -> Row:
    """One call of `log` with 25 features, the service away: the median of many."""
    from pilothouse_client import Client

    features: dict[str, Any] = {f"feature_{n}": n * 1.5 for n in range(25)}
    with Client(f"http://127.0.0.1:{free_port(0)}", MODEL, max_waiting=3000) as client:
        times = []
        for _ in range(2000):
            began = time.perf_counter()
            client.log(features, 0, score=0.5)
            times.append((time.perf_counter() - began) * 1e6)
    return Row(name="one call of log, 25 features", ours=statistics.median(times), unit="us", size=size, goal=100.0)

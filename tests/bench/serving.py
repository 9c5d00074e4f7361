"""One row and a thousand rows over HTTP, sixteen connections, two workers: ours with its log and checks, against rivals
without either.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle
from tests.bench import servers
from tests.bench.load import post, send
from tests.bench.repeat import alternate
from tests.bench.rivals import MODEL_VARIABLE
from tests.bench.servers import Server
from tests.bench.table import Row
from tests.bench.worlds import copy_of

CONNECTIONS = 16
TURNS = {"small": (7, 1.0), "full": (15, 2.0)}
"""How many, and the seconds of each: many short ones, so that what else the machine does is shared out evenly."""
MANY = 1000
OURS = "ours"
WITHOUT_WAITING = "ours, durability async"
BENTO = "plain BentoML (no log, no checks)"
STARLETTE = "plain Starlette (no log, no checks)"
NEVER_SLOWER = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of one service, or the medians of several."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def run(built: Path, size: str) -> list[Row]:
    """Every service is up all the time; they are loaded in turns."""
    folder = built.with_name("serving")
    folder.mkdir()
    flights = House.open(built)[MODEL]
    environment = {MODEL_VARIABLE: json.dumps(_model_of(flights))}
    commands = {
        OURS: servers.ours(copy_of(built, "serving-full"), MODEL, "full"),
        WITHOUT_WAITING: servers.ours(copy_of(built, "serving-async"), MODEL, "async"),
        BENTO: servers.rival("bento", folder, environment),
        STARLETTE: servers.rival("starlette", folder, environment),
    }
    with ExitStack() as stack:
        up = {name: stack.enter_context(servers.running(command)) for name, command in commands.items()}
        bodies = _bodies(flights)
        return [row for what, rows in bodies.items() for row in _measure(up, what, rows, size)]


def _model_of(flights: ModelHandle) -> dict[str, Any]:
    version = flights.versions[-1]
    path = flights.house.store.path(version.artifact_sha256)
    return {"path": str(path), "trusted": list(version.trusted_types), "features": flights.signature.names}


def _bodies(flights: ModelHandle) -> dict[str, list[dict[str, Any]]]:
    """The newest flights of the log; for one row one without gaps, which a plain service would trip over."""
    names = {f.column: f.name for f in flights.signature.features}
    newest = flights.prediction_log.predictions(flights.window("7d"), columns=list(names)).rename(names).tail(MANY)
    return {"1 row": newest.drop_nulls().head(1).to_dicts(), f"{MANY:,} rows": newest.to_dicts()}


def _measure(up: Mapping[str, Server], what: str, rows: list[dict[str, Any]], size: str) -> list[Row]:
    body = json.dumps({"rows": rows}).encode()
    _check_alike(up, body)
    turns, seconds = TURNS[size]
    found = alternate({name: partial(_turn, server, body, seconds) for name, server in up.items()}, turns)
    medians = {name: _median(turned) for name, turned in found.items()}
    return [row for name in up if name != OURS for row in _beside(what, name, medians[OURS], medians[name], size)]


def _check_alike(up: Mapping[str, Server], body: bytes) -> None:
    """All must give the same scores: a faster service that answers something else is no rival."""
    scores = {name: _scores(server, body) for name, server in up.items()}
    for name, given in scores.items():
        assert len(given) == len(scores[OURS]), name
        assert max(abs(a - b) for a, b in zip(given, scores[OURS], strict=True)) < 1e-12, name


def _scores(server: Server, body: bytes) -> list[float]:
    answer = httpx.post(
        server.url, content=body, headers={"content-type": "application/json"}, timeout=30, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return [row["score"] for row in answer.json()["predictions"]]


def _turn(server: Server, body: bytes, seconds: float) -> Turn:
    with server.connections(CONNECTIONS) as sockets:
        before = server.cpu_s()
        served = send(sockets, post(server.port, server.path, body), seconds)
        cpu_s = server.cpu_s() - before
    return Turn(
        per_second=served.per_second,
        p50_ms=served.percentile_ms(50),
        p99_ms=served.percentile_ms(99),
        cpu_ms=cpu_s * 1000 / len(served.latencies_ms),
    )


def _median(turns: list[Turn]) -> Turn:
    return Turn(
        per_second=statistics.median(t.per_second for t in turns),
        p50_ms=statistics.median(t.p50_ms for t in turns),
        p99_ms=statistics.median(t.p99_ms for t in turns),
        cpu_ms=statistics.median(t.cpu_ms for t in turns),
    )


def _beside(what: str, name: str, ours: Turn, rival: Turn, size: str) -> list[Row]:
    """Four rows. With the log on, ours is to be no slower than a rival without one."""
    goal = None if name == WITHOUT_WAITING else NEVER_SLOWER

    def row(of: str, unit: str, mine: float, theirs: float, **more: Any) -> Row:
        return Row(name=f"{what}, {of}: {name}", ours=mine, rival=theirs, unit=unit, size=size, **more)

    return [
        row("throughput", "requests/s", ours.per_second, rival.per_second, more=True, goal=goal),
        row("p50", "ms", ours.p50_ms, rival.p50_ms),
        row("p99", "ms", ours.p99_ms, rival.p99_ms),
        row("server CPU a request", "CPU ms", ours.cpu_ms, rival.cpu_ms, goal=goal),
    ]

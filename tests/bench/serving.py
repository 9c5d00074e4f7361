"""One row and a thousand rows over HTTP, sixteen connections, two workers: ours with its durable log, keys and checks,
against rivals that have none of them.
"""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from pilothouse.data.state.keys import PREDICT
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.runtimes.onnx import ANSWER, NUMBERS, TEXT, matrices
from tests.bench import mlflow_rival, servers
from tests.bench.load import post, send
from tests.bench.repeat import alternate
from tests.bench.rivals import MODEL_VARIABLE
from tests.bench.servers import Server
from tests.bench.table import Row
from tests.bench.worlds import copy_of

CONNECTIONS = 16
TURNS = {"small": (5, 1.0), "full": (9, 2.0)}
"""How many, and the seconds of each: many short ones, so that what else the machine does is shared out evenly."""
MANY = 1000
OURS, ORIGINAL, NO_LOG = "ours", "ours without ONNX", "ours without its log"
JOBLIB, SAME_ONNX = "FastAPI + joblib", "FastAPI + the same ONNX file"
BENTO, MLFLOW = "plain BentoML @bentoml.api", "mlflow models serve"
ONE, ROWS, ARROW = "1 row", f"{MANY:,} rows", f"{MANY:,} rows in Arrow"
GOALS: Mapping[tuple[str, str, str, str], float] = {
    (ONE, OURS, JOBLIB, "throughput"): 20.0,
    (ONE, OURS, SAME_ONNX, "CPU"): 1.0,
    (ONE, OURS, NO_LOG, "throughput"): 0.55,
    (ONE, ORIGINAL, JOBLIB, "throughput"): 1.0,
    (ONE, ORIGINAL, JOBLIB, "CPU"): 1.0,
    (ROWS, OURS, JOBLIB, "throughput"): 3.0,
    (ARROW, OURS, JOBLIB, "throughput"): 1.8,
}
"""The least ratio, by what is sent, who is measured, against whom, and in what."""
_ALIKE = 1e-5
"""By how much scores of 32-bit numbers may differ from the model's own."""


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
    onnx = copy_of(built, "serving-onnx")
    key = House.open(onnx).keys.create("bench", [PREDICT + MODEL]).text
    plain = copy_of(onnx, "serving-original")
    servers.answer_with_originals(plain)
    environment = {MODEL_VARIABLE: json.dumps(_files(flights, folder))}
    commands = {
        OURS: servers.ours(onnx, MODEL, key),
        ORIGINAL: servers.ours(plain, MODEL, key),
        NO_LOG: servers.ours_without_log(copy_of(onnx, "serving-no-log"), MODEL, key),
        JOBLIB: servers.rival("fastapi_joblib", folder, environment),
        SAME_ONNX: servers.rival("fastapi_onnx", folder, environment),
        BENTO: servers.rival("bento", folder, environment),
    }
    if size == "full":
        commands[MLFLOW] = mlflow_rival.command(folder, environment)
    with ExitStack() as stack:
        up = {name: stack.enter_context(servers.running(command)) for name, command in commands.items()}
        frames = newest_flights(flights)
        rows = [*_measure(up, ONE, frames[ONE], size), *_measure(up, ROWS, frames[ROWS], size)]
        arrow = {name: up[name].at(path) for name, path in ((OURS, up[OURS].path), (JOBLIB, "/arrow"))}
        rows += _measure(arrow, ARROW, frames[ROWS], size)
    return rows


def _files(flights: ModelHandle, folder: Path) -> dict[str, Any]:
    """The champion as the rivals take it."""
    import joblib

    from pilothouse.ops.scoring import load_original

    version, store = flights.versions[-1], flights.house.store
    assert version.onnx_sha256 is not None
    joblib.dump(load_original(store, version).model, folder / "model.joblib")
    texts, numbers = matrices(version.signature.features)
    return {
        "joblib": str(folder / "model.joblib"), "onnx": str(store.path(version.onnx_sha256)), "texts": texts,
        "numbers": numbers, "features": version.signature.names, "inputs": [TEXT, NUMBERS], "output": ANSWER,
    }  # fmt: skip


def newest_flights(flights: ModelHandle) -> dict[str, pl.DataFrame]:
    """The newest flights of the log; without gaps, which a plain service would trip over."""
    names = {f.column: f.name for f in flights.signature.features}
    newest = flights.prediction_log.predictions(flights.window("14d"), columns=list(names)).rename(names).drop_nulls()
    return {ONE: newest.head(1), ROWS: newest.tail(MANY)}


def _measure(up: Mapping[str, Server], what: str, frame: pl.DataFrame, size: str) -> list[Row]:
    requests = {name: _request(server, what, frame) for name, server in up.items()}
    _check_alike(up, requests)
    turns, seconds = TURNS[size]
    found = alternate({name: partial(_turn, up[name], requests[name], seconds) for name in up}, turns)
    medians = {name: _median(turned) for name, turned in found.items()}
    pairs = [(OURS, name) for name in up if name != OURS]
    if ORIGINAL in up:
        pairs.append((ORIGINAL, JOBLIB))
    return [row for pair in pairs for row in _beside(what, pair, medians, size)]


def _request(server: Server, what: str, frame: pl.DataFrame) -> bytes:
    if what != ARROW:
        body = server.body(frame.to_dicts())
        return post(server.port, server.path, json.dumps(body).encode(), server.headers)
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    headers = {**server.headers, "content-type": "application/vnd.apache.arrow.stream"}
    return post(server.port, server.path, stream.getvalue(), headers)


def _check_alike(up: Mapping[str, Server], requests: Mapping[str, bytes]) -> None:
    """All must give the same scores: a faster service that answers something else is no rival."""
    scores = {name: _scores(up[name], requests[name]) for name in up}
    for name, found in scores.items():
        assert len(found) == len(scores[OURS]), name
        assert max(abs(a - b) for a, b in zip(found, scores[OURS], strict=True)) < _ALIKE, name


def _scores(server: Server, request: bytes) -> list[float]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    headers = {name: value for name, value in lines if name != "content-length"}
    answer = httpx.post(server.url, content=body, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return server.scores(answer.json())


def _turn(server: Server, request: bytes, seconds: float) -> Turn:
    with server.connections(CONNECTIONS) as sockets:
        before = server.cpu_s()
        served = send(sockets, request, seconds)
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


def _beside(what: str, pair: tuple[str, str], medians: Mapping[str, Turn], size: str) -> list[Row]:
    """Four rows, with the goals that there are."""
    who, name = pair
    ours, rival = medians[who], medians[name]
    title = f"{what}, {{}}: {name}" if who == OURS else f"{what}, {{}}: {who} and {name}"

    def row(of: str, unit: str, mine: float, theirs: float, *, more: bool = False) -> Row:
        goal = GOALS.get((what, who, name, of))
        return Row(name=title.format(of), ours=mine, rival=theirs, unit=unit, size=size, more=more, goal=goal)

    return [
        row("throughput", "requests/s", ours.per_second, rival.per_second, more=True),
        row("p50", "ms", ours.p50_ms, rival.p50_ms),
        row("p99", "ms", ours.p99_ms, rival.p99_ms),
        row("CPU", "CPU ms", ours.cpu_ms, rival.cpu_ms),
    ]

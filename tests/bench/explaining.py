"""How long predictions take while somebody asks for explanations without a pause: two workers, a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from pilothouse.data.state.keys import PREDICT
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from tests.bench import servers
from tests.bench.load import Asking, Served, post, send
from tests.bench.serving import ONE, newest_flights
from tests.bench.table import Row
from tests.bench.worlds import copy_of

CONNECTIONS, PAUSE_S = 4, 0.01
"""Of those who ask for predictions, and their pause between an answer and the next request."""
LEAST = {50: 0.25, 99: 0.25}
"""Of each percentile the least ratio of the latency without explanations to that beside them."""
TURNS = {"small": (5, 2.0), "full": (9, 4.0)}


def run(built: Path, size: str) -> list[Row]:
    """One row asked about, alone and beside one that asks for its explanation, in turns."""
    house = House.open(copy_of(built, "explaining"))
    key = house.keys.create("bench", [PREDICT + MODEL]).text
    command = servers.ours(house.workspace.root, MODEL, key)
    row = newest_flights(house[MODEL])[ONE].to_dicts()
    house.close()
    with servers.running(command) as server:
        predict, explain = (
            post(server.port, path, json.dumps({"rows": row}).encode(), server.headers)
            for path in (server.path, f"/models/{MODEL}/explain")
        )
        turns, seconds = TURNS[size]
        alone, beside, explained = [], [], []
        for _ in range(turns):
            with server.connections(CONNECTIONS) as sockets:
                alone.append(send(sockets, predict, seconds, PAUSE_S))
            with server.connections(CONNECTIONS) as sockets, server.connections(servers.WORKERS) as others:
                found = together(sockets, predict, others[0], explain, seconds)
                beside.append(found[0])
                explained.append(found[1])
    return _rows({"alone": alone, "beside": beside}, explained, size)


def together(
    sockets: Sequence[socket.socket], predict: bytes, other: socket.socket, explain: bytes, seconds: float
) -> tuple[Served, Served]:
    """Predictions over `sockets` and explanations over `other`, at once."""
    return uvloop.run(_together(sockets, predict, other, explain, seconds))


async def _together(
    sockets: Sequence[socket.socket], predict: bytes, other: socket.socket, explain: bytes, seconds: float
) -> tuple[Served, Served]:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def asked(sock: socket.socket, request: bytes, pause_s: float) -> Asking:
        made = await loop.create_connection(lambda: Asking(request, float("inf"), pause_s), sock=sock.dup())
        return made[1]

    predicting = [await asked(sock, predict, PAUSE_S) for sock in sockets]
    explaining = await asked(other, explain, 0.0)
    await asyncio.sleep(until - loop.time())
    for one in (*predicting, explaining):
        one.stop()
    latencies = await asyncio.gather(*(one.ended for one in predicting))
    flat = [ms for one in latencies for ms in one]
    return Served(seconds=seconds, latencies_ms=flat), Served(seconds=seconds, latencies_ms=await explaining.ended)


def _rows(served: Mapping[str, list[Served]], explained: list[Served], size: str) -> list[Row]:
    def middle(name: str, percent: int) -> float:
        return statistics.median(each.percentile_ms(percent) for each in served[name])

    took = statistics.median(ms for each in explained for ms in each.latencies_ms)
    beside = [
        Row(name=f"1 row while explanations are asked for, p{percent}: without them", ours=middle("beside", percent),
            rival=middle("alone", percent), unit="ms", size=size, goal=LEAST[percent])
        for percent in LEAST
    ]  # fmt: skip
    return [*beside, Row(name="an explanation over HTTP, p50", ours=took, unit="ms", size=size)]

"""A process that keeps a service busy, and writes down when each request began, how long it took, and who answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

import psutil
import uvloop

from tests.bench.load import Asking
from tests.bench.servers import Server

_VERSION = b"x-pilothouse-version: "
_LOOK_EVERY_S = 0.05


def keep_asking(pid: int, port: int, request: bytes, connections: int, ending: Event, results: Queue[Any]) -> None:
    """Ask over so many connections, as many to each worker of the service `pid`, until `ending` is set.

    results : gets lists of moments (by the clock of `perf_counter`, which is one for all processes), seconds and versions,
    a place for each answer; and what went wrong.
    """
    server = Server(process=psutil.Process(pid), port=port, path="")
    with server.connections(connections) as sockets:
        results.put(uvloop.run(_asked(sockets, request, ending)))


async def _asked(
    sockets: Sequence[socket.socket], request: bytes, ending: Event
) -> tuple[list[float], list[float], list[int], list[str]]:
    began: list[float] = []
    took: list[float] = []
    versions: list[int] = []

    def answered(at: float, answer: bytes) -> None:
        began.append(at)
        took.append(time.perf_counter() - at)
        start = answer.index(_VERSION) + len(_VERSION)
        versions.append(int(answer[start : answer.index(b"\r", start)]))

    loop = asyncio.get_running_loop()
    asking = [Asking(request, float("inf"), answered=answered) for _ in sockets]
    for one, sock in zip(asking, sockets, strict=True):
        await loop.create_connection(lambda one=one: one, sock=sock.dup())
    while not ending.is_set() and not all(one.ended.done() for one in asking):
        await asyncio.sleep(_LOOK_EVERY_S)
    for one in asking:
        one.stop()
    ends = await asyncio.gather(*(one.ended for one in asking), return_exceptions=True)
    return began, took, versions, [repr(end) for end in ends if isinstance(end, BaseException)]

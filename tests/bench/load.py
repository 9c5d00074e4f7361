"""A client that costs little: keep-alive connections that each send the same request as soon as they are answered."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What came back in `seconds`: the latency of each answer, in milliseconds."""

    seconds: float
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def send(sockets: Sequence[socket.socket], request: bytes, seconds: float, pause_s: float = 0.0) -> Served:
    """Send `request` over every connection for `seconds`, and wait for the last answers.

    pause_s : from an answer to the next request of a connection; 0 keeps all of them busy.
    """
    return asyncio.run(_send(sockets, request, seconds, pause_s))


async def _send(sockets: Sequence[socket.socket], request: bytes, seconds: float, pause_s: float) -> Served:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    each = [_keep_asking(loop, sock, request, started + seconds, pause_s) for sock in sockets]
    latencies = await asyncio.gather(*each)
    return Served(seconds=time.perf_counter() - started, latencies_ms=[ms for one in latencies for ms in one])


async def _keep_asking(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, request: bytes, until: float, pause_s: float
) -> list[float]:
    latencies = []
    while (began := time.perf_counter()) < until:
        await loop.sock_sendall(sock, request)
        await _answer(loop, sock)
        latencies.append((time.perf_counter() - began) * 1000)
        if pause_s:
            await asyncio.sleep(pause_s)
    return latencies


async def _answer(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """The body of one answer. Raises AssertionError for anything but 200 with a length."""
    got = b""
    while _HEAD_END not in got:
        got += await _more(loop, sock)
    head, _, body = got.partition(_HEAD_END)
    assert head.startswith(b"HTTP/1.1 200"), got[:500]
    length = _length(head)
    while len(body) < length:
        body += await _more(loop, sock)
    return body


async def _more(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    part = await loop.sock_recv(sock, 1 << 18)
    assert part, "the server closed the connection"
    return part


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError(f"an answer without a length: {head!r}")


def post(port: int, path: str, body: bytes) -> bytes:
    """An HTTP request that keeps its connection. Its host is the true one: a service may refuse any other."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

"""A client that costs little: keep-alive connections that each send the same request as soon as they are answered."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop

_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200"
_LENGTH = b"content-length:"


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
    Raises AssertionError for anything but answers of status 200 with a length.
    """
    return uvloop.run(_send(sockets, request, seconds, pause_s))


async def _send(sockets: Sequence[socket.socket], request: bytes, seconds: float, pause_s: float) -> Served:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    asking = []
    for sock in sockets:
        # A copy of the descriptor: the caller's connection stays open for the next turn.
        made = await loop.create_connection(lambda: Asking(request, started + seconds, pause_s), sock=sock.dup())
        asking.append(made[1])
    latencies = await asyncio.gather(*(one.ended for one in asking))
    return Served(seconds=time.perf_counter() - started, latencies_ms=[ms for one in latencies for ms in one])


class Asking(asyncio.Protocol):
    """One connection that asks again and again until a point of the clock of `perf_counter`.

    answered : told the moment, and the body, of each answer.
    """

    def __init__(
        self, request: bytes, until: float, pause_s: float = 0.0,
        answered: Callable[[float, bytes], None] | None = None,
    ) -> None:  # fmt: skip
        self._request, self._until, self._pause_s, self._answered = request, until, pause_s, answered
        self._loop = asyncio.get_running_loop()
        self._latencies: list[float] = []
        self._got, self._due, self._began = bytearray(), -1, 0.0
        self.ended: asyncio.Future[list[float]] = self._loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._due < 0:
            self._read_head()
        if 0 <= self._due <= len(self._got):
            self._take()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(AssertionError(f"the server closed the connection ({error})"))

    def stop(self) -> None:
        """Ask no more once the answer under way has come."""
        self._until = 0.0

    def _ask(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._until:
            self.ended.set_result(self._latencies)
            self._transport.abort()
            return
        self._transport.write(self._request)

    def _read_head(self) -> None:
        end = self._got.find(_HEAD_END)
        if end < 0:
            return
        head = bytes(self._got[:end])
        if not head.startswith(_OK):
            self.ended.set_exception(AssertionError(bytes(self._got[:500])))
            self._transport.abort()
            return
        self._due = end + len(_HEAD_END) + _length(head)

    def _take(self) -> None:
        now = time.perf_counter()
        self._latencies.append((now - self._began) * 1000)
        if self._answered is not None:
            self._answered(self._began, bytes(self._got[: self._due]))
        self._got.clear()
        self._due = -1
        if self._pause_s:
            self._loop.call_later(self._pause_s, self._ask)
        else:
            self._ask()


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    assert at >= 0, f"an answer without a length: {head!r}"
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


def post(port: int, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP request that keeps its connection. Its host is the true one: a service may refuse any other."""
    given = {"content-type": "application/json", **(headers or {})}
    more = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body

"""Uvicorn's HTTP protocol with limits that it lacks: how large a request's head may be, and how long it may take.

Before its head is through there is no request that the gate could refuse. A body that comes along with its head is
handed over with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pilothouse.data.log.ids import new_request_id
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.exchange import PROBLEM, WHOLE_BODY

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0
LINGER_S = 5.0


class Gathered:
    """A transport that sends what is written in one pass of the loop in one piece: uvicorn writes the head of an answer
    and its body apart, and a system call costs as much as checking a row.

    If the client is still sending when the connection is to be closed, what it sends is taken and dropped until it
    ends, for at most `LINGER_S`: a socket closed with bytes unread resets the connection, and the client would lose the
    very answer that tells it why.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, client_is_sending: Callable[[], bool]
    ) -> None:
        self._transport, self._loop, self._client_is_sending = transport, loop, client_is_sending
        self._held: list[bytes] = []
        self.lingering: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)

    def close(self) -> None:
        self._send()
        if self.lingering is None and not self._transport.is_closing() and self._client_is_sending():
            self.lingering = self._loop.call_later(LINGER_S, self._transport.abort)
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        return self.lingering is not None or self._transport.is_closing()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held:
            self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection. While no request is in hand, whatever comes belongs to a head."""

    _head_bytes = 0
    _head_just_came = False
    _head_timer: asyncio.TimerHandle | None = None
    _refused = False
    transport: Gathered  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathered(transport, self.loop, self._client_is_sending))  # type: ignore[arg-type]
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_through()
        if self.transport.lingering is not None:
            self.transport.lingering.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.lingering is not None:
            return
        super().data_received(data)
        self._head_just_came = False
        if self.cycle is None or self.cycle.response_complete:
            self._head_grows(len(data))
        elif self._head_timer is not None:
            self._head_is_through()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_just_came = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        # Nobody has been given any of it yet: the application runs once all that arrived has been parsed.
        if self._head_just_came and self.scope["type"] == "http":
            self.scope[WHOLE_BODY] = bytes(self.cycle.body)  # type: ignore[literal-required]

    def send_400_response(self, msg: str) -> None:
        """Uvicorn's own is plain text."""
        self._refuse(HTTPStatus.BAD_REQUEST, "not-http", "What came is no HTTP request.")

    def _client_is_sending(self) -> bool:
        return self._refused or (self.cycle is not None and self.cycle.more_body)

    def _head_grows(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            detail = f"A request's head may have at most {MAX_HEAD_BYTES} bytes."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", detail)
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _head_is_through(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if self._head_bytes:
            detail = f"The request's head did not arrive within {HEAD_TIMEOUT_S:g} s."
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", detail)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, kind: str, detail: str) -> None:
        if self.transport.is_closing():
            return
        problem = Problem(status=status, kind=kind, detail=detail)
        body = msgspec.json.encode(problem.to_json(new_request_id()))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {PROBLEM.decode()}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._refused = True
        self.transport.write(head.encode() + body)
        self.transport.close()

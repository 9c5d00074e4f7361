"""HTTP, one request at a time: reading a body within limits, and writing an answer or a problem."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from starlette.types import Receive, Scope, Send
from uuid6 import uuid7

from pilothouse.data.errors import PilothouseError
from pilothouse.ops.answers import Problem, problem_of

Header = tuple[bytes, bytes]
JSON = b"application/json"
PROBLEM = b"application/problem+json"
ARROW = b"application/vnd.apache.arrow.stream"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
# What is left of the body would have to be read before the next request of this connection.
_CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)

_HOST = re.compile(rb":\d+$")
_LOOPBACK = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})

_log = logging.getLogger("pilothouse.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


class HttpRefusal(Exception):
    """A request refused for its form alone, before anybody looked at what it says."""

    def __init__(self, problem: Problem, headers: tuple[Header, ...] = ()) -> None:
        self.problem, self.headers = problem, headers
        super().__init__(problem.detail)


class ClientGone(Exception):
    """The client closed the connection before its body was through; there is nobody to answer."""


def json_answer(value: Any, status: int = 200, headers: tuple[Header, ...] = ()) -> Answer:
    return Answer(status=status, body=orjson.dumps(value), headers=headers)


def problem_answer(problem: Problem, request_id: str, headers: tuple[Header, ...] = ()) -> Answer:
    retry: tuple[Header, ...] = ((b"retry-after", b"1"),) if problem.status == 503 else ()
    body = msgspec.json.encode(problem.to_json(request_id))
    return Answer(status=problem.status, body=body, content_type=PROBLEM, headers=(*retry, *headers))


def check_host(headers: Iterable[Header]) -> None:
    """Raises HttpRefusal (421) unless the request names this machine: a page of another site whose name was bent to the
    loopback must not reach the models through a browser."""
    named = next((value for name, value in headers if name == b"host"), b"")
    if _HOST.sub(b"", named) not in _LOOPBACK:
        detail = "This service answers as 127.0.0.1 or localhost only."
        raise HttpRefusal(Problem(status=421, kind="other-host", detail=detail), _CLOSE)


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def answer_or_problem(act: Awaitable[Answer], request_id: str) -> Answer:
    """The answer of `act`, or the problem that stood against it; of what nobody foresaw the client gets an id only."""
    try:
        return await act
    except HttpRefusal as refusal:
        return problem_answer(refusal.problem, request_id, refusal.headers)
    except PilothouseError as error:
        problem = problem_of(error)
        if problem.status >= 500:
            _log.error("request %s: %s", request_id, error)
        return problem_answer(problem, request_id)
    except ClientGone:
        raise
    except Exception:
        _log.exception("request %s failed", request_id)
        return problem_answer(unexpected(), request_id)


def unexpected() -> Problem:
    detail = "The service failed on this request. Its log has the reason under the request id."
    return Problem(status=500, kind="unexpected", detail=detail)


def request_id_of(headers: Iterable[Header]) -> str:
    """The caller's X-Request-Id where it is a plain one, else a new id."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return uuid7().hex


def is_arrow(scope: Scope) -> bool:
    """Whether the body is announced as a plain Arrow stream, in one header."""
    given = [value.strip().lower() for name, value in scope["headers"] if name == b"content-type"]
    return given == [ARROW] and not any(name == b"content-encoding" for name, _ in scope["headers"])


def check_json(scope: Scope) -> None:
    """Let through `application/json` in UTF-8 and nothing else, in one header. Raises HttpRefusal (415)."""
    given = [value for name, value in scope["headers"] if name == b"content-type"]
    media, _, parameters = (given[0] if len(given) == 1 else b"").partition(b";")
    encodings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    in_utf8 = parameters.strip().lower() in (b"", b"charset=utf-8", b'charset="utf-8"')
    if media.strip().lower() == JSON and in_utf8 and encodings in ([], [b"identity"]):
        return
    detail = "The body must be JSON: send it with the header Content-Type: application/json, in UTF-8, not compressed."
    raise HttpRefusal(Problem(status=415, kind="unsupported-media-type", detail=detail), _CLOSE)


async def read_body(scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises HttpRefusal: 413 above `max_bytes`, 408 after `timeout_s` seconds; or ClientGone."""
    if _announced(scope) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _parts(receive, max_bytes)
    except TimeoutError:
        detail = f"The body did not arrive within {timeout_s:g} s. Send it in one go, or split it."
        raise HttpRefusal(Problem(status=408, kind="request-timeout", detail=detail), _CLOSE) from None


async def _parts(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > max_bytes:
            raise _too_large(max_bytes)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large(max_bytes: int) -> HttpRefusal:
    detail = f"The body may have at most {max_bytes} bytes. Split it into several requests."
    return HttpRefusal(Problem(status=413, kind="body-too-large", detail=detail), _CLOSE)

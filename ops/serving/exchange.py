"""HTTP, one request at a time: reading a body within limits, and writing an answer or a problem."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
from starlette.types import Receive, Scope, Send

from pilothouse.data.errors import PilothouseError
from pilothouse.data.log.ids import new_request_id
from pilothouse.ops.answers import Problem, problem_of

Header = tuple[bytes, bytes]
JSON = b"application/json"
PROBLEM = b"application/problem+json"
ARROW = b"application/vnd.apache.arrow.stream"
WHOLE_BODY = "pilothouse.body"
"""In a request's scope: its body, where that arrived along with its head."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
# What is left of the body would have to be read before the next request of this connection.
CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)
RETRY: tuple[Header, ...] = ((b"retry-after", b"1"),)
LATER = (429, 503)
_NO_CONTENT = 204
_PIECE = 1 << 20

_PORT = re.compile(rb":\d+$")
# A client that is still sending when it is refused would lose the answer if the connection were closed at once.
_LINGER_S, _LINGER_BYTES = 1.0, 16 * 1024 * 1024

_log = logging.getLogger("pilothouse.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response. rows : how many the request brought, and version : which answered, for the access log."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()
    rows: int = 0
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer(Answer):
    """A response whose body is a file, however large it is."""

    file: Path
    body: bytes = b""


class HttpRefusal(Exception):
    """A request refused for its form alone, before anybody looked at what it says."""

    def __init__(self, problem: Problem, headers: tuple[Header, ...] = ()) -> None:
        self.problem, self.headers = problem, headers
        super().__init__(problem.detail)


class ClientGone(Exception):
    """The client closed the connection before its body was through; there is nobody to answer."""


def json_answer(
    value: Any, status: int = 200, headers: tuple[Header, ...] = (), *, rows: int = 0, version: int | None = None
) -> Answer:
    return Answer(status=status, body=orjson.dumps(value), headers=headers, rows=rows, version=version)


def problem_answer(problem: Problem, request_id: str, headers: tuple[Header, ...] = ()) -> Answer:
    retry = RETRY if problem.status in LATER else ()
    body = msgspec.json.encode(problem.to_json(request_id))
    return Answer(status=problem.status, body=body, content_type=PROBLEM, headers=(*retry, *headers))


def check_host(headers: Iterable[Header], names: Collection[bytes]) -> None:
    """Raises HttpRefusal (421) unless the request names one of `names`: a page of another site whose own name was bent
    to this address must not reach the models through a browser."""
    named = next((value for name, value in headers if name == b"host"), b"")
    if named not in names and _PORT.sub(b"", named.lower()) not in names:
        listed = " or ".join(sorted(name.decode() for name in names if not name.startswith(b"[")))
        detail = f"This service answers as {listed} only."
        raise HttpRefusal(Problem(status=421, kind="other-host", detail=detail), CLOSE)


async def send_answer(send: Send, receive: Receive, answer: Answer, request_id: str, *, head: bool = False) -> None:
    """Send `answer`, for a HEAD request without its body."""
    headers = [(b"x-request-id", request_id.encode()), *answer.headers]
    if isinstance(answer, FileAnswer):
        await _send_file(send, answer, headers, head=head)
        return
    if answer.status != _NO_CONTENT:
        headers += [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.headers and CLOSE[0] in answer.headers and not head:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await _linger(receive)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def _send_file(send: Send, answer: FileAnswer, headers: list[Header], *, head: bool) -> None:
    """The answer's file, piece by piece."""
    with answer.file.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        headers += [(b"content-type", answer.content_type), (b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while not head and (piece := await asyncio.to_thread(file.read, _PIECE)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    """Let go of what the client is still sending, until it has read its answer and hung up; for a moment, not longer."""
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


Tell = Callable[[Problem, str, tuple[Header, ...]], Answer]
"""A problem as the client of some protocol reads it, given the request's id and what the headers have to say."""


async def answer_or_problem(act: Awaitable[Answer], request_id: str, tell: Tell = problem_answer) -> Answer:
    """The answer of `act`, or the problem that stood against it; of what nobody foresaw the client gets an id only."""
    try:
        return await act
    except HttpRefusal as refusal:
        return tell(refusal.problem, request_id, refusal.headers)
    except PilothouseError as error:
        problem = problem_of(error)
        if problem.status >= 500:
            _log.error("request %s: %s", request_id, error)
        return tell(problem, request_id, ())
    except ClientGone:
        raise
    except Exception:
        _log.exception("request %s failed", request_id)
        return tell(unexpected(), request_id, ())


def unexpected() -> Problem:
    detail = "The service failed on this request. Its log has the reason under the request id."
    return Problem(status=500, kind="unexpected", detail=detail)


def request_id_of(headers: Iterable[Header]) -> str:
    """The caller's X-Request-Id where it is a plain one, else a new id."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return new_request_id()


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
    raise HttpRefusal(Problem(status=415, kind="unsupported-media-type", detail=detail), CLOSE)


def announced(scope: Scope) -> int:
    """The length that the request gives its body; 0 where it gives none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def too_large(max_bytes: int) -> HttpRefusal:
    detail = f"The body may have at most {max_bytes} bytes. Split it into several requests."
    return HttpRefusal(Problem(status=413, kind="body-too-large", detail=detail), CLOSE)

"""What the protocols share in answering: which content types they take, and how an error is put into one text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.exchange import CLOSE, JSON, LATER, RETRY, Answer, Header, HttpRefusal, check_json

BINARY = b"application/octet-stream"
FORM, TEXT = b"application/x-www-form-urlencoded", b"text/plain"
_FAULTS_TOLD = 10
_UNPROCESSABLE, _BAD_REQUEST = 422, 400


def taking(others: Collection[bytes]) -> partial[None]:
    """A check that lets through JSON, a body announced as nothing at all, and `others`."""
    return partial(_check_type, others)


def _check_type(others: Collection[bytes], scope: Scope) -> None:
    """Raises HttpRefusal (415).

    A page of any site can make a browser send these types here unasked; it would then write into the log. Browsers say
    so with the header Origin, which clients of other servers do not send: with it JSON alone is taken, as elsewhere.
    """
    headers: Iterable[Header] = scope["headers"]
    given = [value for name, value in headers if name == b"content-type"]
    media = given[0].partition(b";")[0].strip().lower() if given else b""
    plain = {name for name, _ in headers}.isdisjoint({b"origin", b"content-encoding"})
    if plain and len(given) <= 1 and media in {b"", *others}:
        return
    try:
        check_json(scope)
    except HttpRefusal:
        also = " or ".join(["no Content-Type", *sorted(other.decode() for other in others)])
        detail = f"The body must be application/json in UTF-8, not compressed; {also} will do outside of browsers."
        raise HttpRefusal(Problem(status=415, kind="unsupported-media-type", detail=detail), CLOSE) from None


def text_of(problem: Problem) -> str:
    """The problem in one text, with what is wrong at which place."""
    if not problem.faults:
        return problem.detail
    told = [f"{fault.pointer or '/'} {fault.detail}" for fault in problem.faults[:_FAULTS_TOLD]]
    more = len(problem.faults) - len(told)
    return "The request was not accepted: " + "; ".join([*told, *([f"and {more} more"] if more else [])]) + "."


def status_of(problem: Problem) -> int:
    """These servers know one status for bodies that they do not understand."""
    return _BAD_REQUEST if problem.status == _UNPROCESSABLE else problem.status


def tell_error(problem: Problem, _request_id: str, headers: tuple[Header, ...] = ()) -> Answer:
    """{"error": text}, as inference protocol v2 and TensorFlow Serving have it."""
    return answered_badly(problem, {"error": text_of(problem)}, headers)


def answered_badly(problem: Problem, body: dict[str, Any], headers: tuple[Header, ...]) -> Answer:
    status = status_of(problem)
    retry = RETRY if status in LATER else ()
    return Answer(status=status, body=orjson.dumps(body), content_type=JSON, headers=(*retry, *headers))

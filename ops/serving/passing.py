"""What passes between the gate and what answers: the call, with all that is known of it, and BentoML's reply."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace

from starlette.types import Message, Receive, Send

from pilothouse.data.state.keys import KeyRow
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving import exchange
from pilothouse.ops.serving.keyring import require_scope

BENTO_PREDICT = "/bentoml/predict"


@dataclass(slots=True, kw_only=True)
class Call:
    """A request on its way through the gate. What is found out about it is added as it goes.

    began : by the clock of `perf_counter`. headers : as they came, names in small letters. key : whose it is, where keys
    are required. model : as its path names it, or the only one. rows, version : of the answer.
    """

    request_id: str
    began: float
    method: str
    headers: Sequence[exchange.Header] = ()
    key: KeyRow | None = None
    model: str = ""
    body: bytes = b""
    rows: int = 0
    version: int | None = None

    @property
    def caller(self) -> str | None:
        return None if self.key is None else self.key.caller

    def check_scope(self, scope: str) -> None:
        """Raises HttpRefusal (403) where a key is required and lacks `scope`."""
        if self.key is not None:
            require_scope(self.key, scope)

    def answered(self, answer: exchange.Answer) -> exchange.Answer:
        """Remember what `answer` says of the rows."""
        self.rows, self.version = answer.rows, answer.version
        return answer


CALL: ContextVar[Call] = ContextVar("pilothouse_call")


class Reply:
    """What BentoML sends back: let through, but for errors that are not problem documents, which are held back.

    status : as BentoML gave it, 0 before it has. begun : whether anything was let through.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.status = 0
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            self.begun = self.status < 400 or (b"content-type", exchange.PROBLEM) in headers
            message["headers"] = [*headers, (b"x-request-id", self._request_id.encode())]
        if self.begun:
            await self._send(message)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that has been read already, and after it what the server has to say."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def inner_problem(status: int) -> Problem:
    """What a client is told of an error that BentoML answered with `status`."""
    known = {
        400: ("bad-body", "The body does not have the shape that /schema.json describes."),
        404: ("no-such-address", "Nothing is served at this address; /openapi.json lists what is."),
        405: ("wrong-method", "This address does not take this method."),
    }
    if status not in known:
        return replace(exchange.unexpected(), status=status)
    kind, detail = known[status]
    return Problem(status=status, kind=kind, detail=detail)

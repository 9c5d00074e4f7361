"""What passes between the gate and BentoML's application: the body that was read, and the reply."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace

from starlette.types import Message, Receive, Send

from pilothouse.ops.answers import Problem
from pilothouse.ops.serving import exchange

BENTO_PREDICT = "/bentoml/predict"


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to BentoML: its id, and its body as it came."""

    request_id: str
    body: bytes


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

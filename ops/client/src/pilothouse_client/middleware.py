"""For FastAPI, Starlette and every other ASGI application: what a path is asked and answers goes into the log."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import perf_counter
from typing import Any

from pilothouse_client.client import Client
from pilothouse_client.face import Face
from pilothouse_client.ids import new_id
from pilothouse_client.readings import Pick, Predicted, Record, picked, predictions_in, rows_in

ID_HEADER = b"x-pilothouse-id"
MAX_BODY_BYTES = 1024 * 1024
"""A larger request or answer passes as it is, and is not logged."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class PilothouseMiddleware:
    """Logs the rows and predictions of `POST path` once they have been answered, and puts their id into a header.

    The answer goes out as it is but for the header `x-pilothouse-id`; where a request holds several rows, their ids are
    the header's with -0, -1 and so on behind it. The latency is that of the whole request. Exceptions of the application
    pass through. Errors are not logged.

    Parameters
    ----------
    url, model, key, spool : of the client that is made, and closed when the application ends; or
    client : one that is there already, and stays open.
    path : where predictions are asked for; one or several.
    features : the names in a row that are features, or a function of the row that gives them. None: all of them.
    keys : the same, for business keys, such as ["order"]. version : the model's; None: the champion's.
    rows : a function of the request's JSON that gives its rows, one mapping each.
    predictions : a function of the answer's JSON that gives a pair (prediction, score) for each row.
    """

    def __init__(
        self,
        app: App,
        *,
        url: str = "",
        model: str = "",
        key: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        client: Face | None = None,
        path: str | Sequence[str] = "/predict",
        features: Pick | None = None,
        keys: Pick | None = None,
        version: int | None = None,
        rows: Callable[[Any], Sequence[Record]] = rows_in,
        predictions: Callable[[Any], Sequence[Predicted]] = predictions_in,
    ) -> None:
        self._app = app
        self._own = Client(url, model, key=key, spool=spool) if client is None else None
        self.client: Face = client or self._own  # type: ignore[assignment]
        self._paths = frozenset([path] if isinstance(path, str) else path)
        self._features, self._keys, self._version = features, keys, version
        self._rows, self._predictions = rows, predictions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            exchange = _Exchange(receive, send, self._note)
            await self._app(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """`send`, and before the application says that it has ended: our own client's end."""

        async def closing(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete" and self._own is not None:
                await asyncio.to_thread(self._own.close)
            await send(message)

        return closing

    def _note(self, base: str, asked: bytes, answered: bytes, latency_ms: float) -> None:
        try:
            if max(len(asked), len(answered)) > MAX_BODY_BYTES:
                raise ValueError(f"a body has more than {MAX_BODY_BYTES} bytes")
            rows = self._rows(json.loads(asked))
            found = self._predictions(json.loads(answered))
            if len(rows) != len(found):
                raise ValueError(f"the request holds {len(rows)} rows and the answer {len(found)} predictions")
            for place, (row, (prediction, score)) in enumerate(zip(rows, found)):
                self.client.log(
                    picked(row, self._features), prediction, score=score,
                    id=base if len(rows) == 1 else f"{base}-{place}",
                    key=None if self._keys is None else picked(row, self._keys), version=self._version,
                    latency_ms=latency_ms,
                )  # fmt: skip
        except Exception as error:
            # The answer is out. What we could not read is counted, and must not become the host's failure.
            self.client.refuse(error)


class _Exchange:
    """One request and its answer, copied as they pass. `done` is told once the answer is out, unless it is an error."""

    def __init__(self, receive: Receive, send: Send, done: Callable[[str, bytes, bytes, float], None]) -> None:
        self._began = perf_counter()
        self._receive, self._send, self._done = receive, send, done
        self._id = new_id()
        self._status = 0
        self._asked, self._answered = bytearray(), bytearray()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            _copy(message, self._asked)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status < 400:
                message = {**message, "headers": [*message.get("headers", ()), (ID_HEADER, self._id.encode())]}
        # Before it is sent: how fast its reader is says nothing of the model.
        latency_ms = (perf_counter() - self._began) * 1000
        await self._send(message)
        if message["type"] == "http.response.body" and self._status < 400:
            _copy(message, self._answered)
            if not message.get("more_body", False):
                self._done(self._id, bytes(self._asked), bytes(self._answered), latency_ms)


def _copy(message: Message, to: bytearray) -> None:
    # One byte past the bound shows that it was passed; the rest need not be held.
    to += message.get("body", b"")[: MAX_BODY_BYTES + 1 - len(to)]

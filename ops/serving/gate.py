"""The gate: a raw ASGI application that answers our routes, and holds all others to the same limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilothouse.data.settings import Settings
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving import exchange
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import (
    Answer,
    ClientGone,
    HttpRefusal,
    answer_or_problem,
    json_answer,
    problem_answer,
)
from pilothouse.ops.serving.openapi import document
from pilothouse.ops.serving.passing import BENTO_PREDICT, CALL, Call, Reply, inner_problem, replay

Act = Callable[[str | None, bytes], Awaitable[Answer]]

PASSED_ON = "other"
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. `template` names it in metrics; `model` is the name in its path, if there is one.

    arrow : what takes the body where it is an Arrow stream; None where none is taken.
    """

    method: str
    template: str
    act: Act
    model: str | None = None
    arrow: Act | None = None


class Gate:
    """Stands before BentoML's application `inner`.

    Answers the native routes itself: BentoML's own stack would cost a multiple of what scoring does. What it passes on
    has been read within the limits, is JSON, and comes back with problems in the one shape.
    """

    def __init__(self, serving: Serving, inner: ASGIApp, settings: Settings) -> None:
        self._serving, self._inner, self._settings = serving, inner, settings
        self._in_flight = 0
        s = serving
        self._fixed = {
            "/": Route("GET", "/", self._index),
            "/livez": Route("GET", "/livez", self._livez),
            "/readyz": Route("GET", "/readyz", self._readyz),
            "/metrics": Route("GET", "/metrics", self._metrics),
            "/openapi.json": Route("GET", "/openapi.json", self._openapi),
            "/models": Route("GET", "/models", self._list),
            "/model": Route("GET", "/model", self._describe),
            "/predict": Route("POST", "/predict", self._on(s.predict)),
            "/feedback": Route("POST", "/feedback", self._on(s.feedback)),
            "/log": Route("POST", "/log", self._on(s.log), arrow=self._on(s.log_arrow)),
        }
        self._verbs = {"predict": self._on(s.predict), "feedback": self._on(s.feedback), "log": self._on(s.log)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            try:
                await self._handle(scope, receive, send)
            except ClientGone:
                return
        else:
            await send({"type": "websocket.close"})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before BentoML's application does, and end after it."""

        async def started() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self._serving.start)
            return message

        async def stopped(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self._serving.stop)
            await send(message)

        await self._inner(scope, started, stopped)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        request_id = exchange.request_id_of(scope["headers"])
        route = self._route(scope["path"])
        if route is None:
            status = await self._pass_on(scope, receive, send, request_id)
            template = BENTO_PREDICT if scope["path"] == BENTO_PREDICT else PASSED_ON
            self._serving.metrics.answered(template, "", status, perf_counter() - began)
            return
        answer = await answer_or_problem(self._answer(route, scope, receive), request_id)
        await exchange.send_answer(send, answer, request_id)
        model = route.model if route.model in self._serving.models.all else ""
        self._serving.metrics.answered(route.template, model or "", answer.status, perf_counter() - began)

    def _route(self, path: str) -> Route | None:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        match path.split("/"):
            case ["", "models", name]:
                return Route("GET", "/models/{name}", self._describe, name)
            case ["", "models", name, verb] if verb in self._verbs:
                arrow = self._fixed["/log"].arrow if verb == "log" else None
                return Route("POST", f"/models/{{name}}/{verb}", self._verbs[verb], name, arrow)
        return None

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        exchange.check_host(scope["headers"])
        if scope["method"] != route.method and not (route.method == "GET" and scope["method"] == "HEAD"):
            raise _wrong_method(route.method)
        if route.method == "GET":
            return await route.act(route.model, b"")
        with _Place(self):
            if route.arrow is not None and exchange.is_arrow(scope):
                return await route.arrow(route.model, await self._read(scope, receive))
            return await route.act(route.model, await self._body(scope, receive))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        exchange.check_json(scope)
        return await self._read(scope, receive)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        return await exchange.read_body(
            scope, receive, self._settings.max_body_bytes, self._settings.body_timeout_s
        )  # fmt: skip

    def enter(self) -> None:
        """Raises HttpRefusal (503) when as many requests are in hand as may be."""
        if self._in_flight >= self._settings.max_in_flight:
            detail = f"{self._settings.max_in_flight} requests are in hand already. Try again in a second."
            raise HttpRefusal(Problem(status=503, kind="busy", detail=detail), ((b"connection", b"close"),))
        self._in_flight += 1
        self._serving.metrics.holds(self._in_flight)

    def leave(self) -> None:
        self._in_flight -= 1
        self._serving.metrics.holds(self._in_flight)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Let BentoML answer, and return the status. Its errors, which may repeat the input, are replaced by ours."""
        reply = Reply(send, request_id)

        async def passed_on() -> Answer:
            exchange.check_host(scope["headers"])
            with _Place(self):
                body = await self._inner_body(scope, receive)
                CALL.set(Call(request_id, body))
                await self._inner(scope, replay(body, receive), reply)
            return problem_answer(inner_problem(reply.status), request_id)

        answer = await answer_or_problem(passed_on(), request_id)
        if reply.begun:
            return reply.status
        await exchange.send_answer(send, answer, request_id)
        return answer.status

    async def _inner_body(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] in ("GET", "HEAD"):
            return b""
        if scope["method"] != "POST":
            raise _wrong_method("GET, POST")
        return await self._body(scope, receive)

    def _on(self, act: Callable[[str, bytes], Awaitable[Answer]]) -> Act:
        """`act` on the model named in the path, or on the only one."""
        return lambda name, body: act(self._serving.models.only().name if name is None else name, body)

    async def _index(self, _name: str | None, _body: bytes) -> Answer:
        # BentoML's own page at this address fetches a tracker from elsewhere.
        return json_answer({"service": "pilothouse", "openapi": "/openapi.json", "models": "/models"})

    async def _livez(self, _name: str | None, _body: bytes) -> Answer:
        return json_answer({"status": "alive"})

    async def _readyz(self, _name: str | None, _body: bytes) -> Answer:
        models = self._serving.models
        missing = sorted(name for name, served in models.all.items() if served.due and not served.champion)
        status = {"status": "ready", "models": models.versions(), "not_loaded": missing}
        if not self._serving.ready:
            return json_answer(status | {"status": "starting"}, 503)
        return json_answer(status)

    async def _metrics(self, _name: str | None, _body: bytes) -> Answer:
        text = await asyncio.to_thread(self._serving.metrics.text)
        return Answer(status=200, body=text, content_type=_PROMETHEUS)

    async def _openapi(self, _name: str | None, _body: bytes) -> Answer:
        self._serving.models.look()
        return json_answer(document(self._serving.models.all))

    async def _list(self, _name: str | None, _body: bytes) -> Answer:
        return self._serving.list_models()

    async def _describe(self, name: str | None, _body: bytes) -> Answer:
        return self._serving.describe(self._serving.models.only().name if name is None else name)


class _Place:
    """One of the places for requests in hand."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.enter()

    def __exit__(self, *_: object) -> None:
        self._gate.leave()


def _wrong_method(allowed: str) -> HttpRefusal:
    problem = Problem(status=405, kind="wrong-method", detail=f"This address takes {allowed} only.")
    return HttpRefusal(problem, ((b"allow", allowed.encode()), (b"connection", b"close")))

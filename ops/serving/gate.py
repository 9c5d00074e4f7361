"""The gate: a raw ASGI application that answers our routes, and holds all others to the same limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilothouse.data.settings import Settings
from pilothouse.data.state.keys import PREDICT
from pilothouse.data.windows import Clock
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving import exchange
from pilothouse.ops.serving.access import AccessLog, Line
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import (
    Answer,
    ClientGone,
    HttpRefusal,
    answer_or_problem,
    json_answer,
    problem_answer,
)
from pilothouse.ops.serving.hosts import names_of
from pilothouse.ops.serving.keyring import KeyRing
from pilothouse.ops.serving.lag import LoopLag
from pilothouse.ops.serving.openapi import document
from pilothouse.ops.serving.passing import BENTO_PREDICT, CALL, Call, Reply, inner_problem, replay
from pilothouse.ops.serving.places import Places
from pilothouse.ops.serving.protocols.table import Protocols
from pilothouse.ops.serving.reading import Reader
from pilothouse.ops.serving.routes import ANY_KEY, OPEN, Act, Route, Table
from pilothouse.ops.serving.service import admit

PASSED_ON = "other"
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
_CLIENT_GONE = 499
"""In the access log alone: there was nobody left to answer. The number is nginx's."""
_KEPT_ROUTES = 1024


class Gate:
    """Stands before BentoML's application `inner`.

    Answers the native routes itself: BentoML's own stack would cost a multiple of what scoring does. What it passes on
    has been read within the limits, is JSON, and comes back with problems in the one shape.

    keys : the keys of which every request must carry one; None where none is needed. access : None for no such log.
    tables : further addresses.
    """

    def __init__(
        self,
        serving: Serving,
        inner: ASGIApp,
        settings: Settings,
        clock: Clock,
        *,
        keys: KeyRing | None,
        access: AccessLog | None,
        tables: Sequence[Table] = (),
    ) -> None:
        self._serving, self._inner, self._clock = serving, inner, clock
        self._keys, self._access = keys, access
        self._names, self._lag = names_of(settings), LoopLag(serving.metrics.lagged)
        self._reader, self._places = Reader(settings), Places(settings, serving.metrics)
        self._tables = (*tables, Protocols(serving))
        self._arrow = {"predict": self._does(serving.predict_arrow), "log": self._does(serving.log_arrow)}
        self._verbs = {
            "predict": (self._does(serving.predict), PREDICT),
            "feedback": (self._does(serving.feedback), "feedback"),
            "log": (self._does(serving.log), "log"),
        }
        get = (
            Route(method="GET", template="/", act=self._index, scope="read"),
            Route(method="GET", template="/livez", act=self._livez, scope=OPEN),
            Route(method="GET", template="/readyz", act=self._readyz, scope=OPEN),
            Route(method="GET", template="/metrics", act=self._metrics, scope="metrics"),
            Route(method="GET", template="/openapi.json", act=self._openapi, scope="read"),
            Route(method="GET", template="/models", act=self._list, scope="read"),
            Route(method="GET", template="/model", act=self._describe, scope="read", model=None),
        )
        post = (self._model_route(f"/{verb}", verb, None) for verb in self._verbs)
        self._fixed = {route.template: route for route in (*get, *post)}
        self._route = lru_cache(_KEPT_ROUTES)(self._find_route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before BentoML's application does, and end after it."""

        async def started() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self._start)
                self._lag.start()
            return message

        async def stopped(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self._lag.stop()
                await asyncio.to_thread(self._stop)
            await send(message)

        await self._inner(scope, started, stopped)

    def _start(self) -> None:
        for part in (self._keys, self._access, self._serving):
            if part is not None:
                part.start()

    def _stop(self) -> None:
        for part in (self._keys, self._access):
            if part is not None:
                part.stop()
        # Last, for it closes the state store that the keys are read from.
        self._serving.stop()

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = exchange.request_id_of(scope["headers"])
        call = Call(
            request_id=request_id, began=perf_counter(), method=scope["method"], headers=scope["headers"]
        )  # fmt: skip
        route = self._route(scope["path"])
        try:
            if route is None:
                template = BENTO_PREDICT if scope["path"] == BENTO_PREDICT else PASSED_ON
                status = await self._pass_on(call, template, scope, receive, send)
            else:
                template = route.template
                answer = await answer_or_problem(self._answer(route, call, scope, receive), request_id, route.tell)
                await exchange.send_answer(send, receive, call.answered(answer), request_id, head=call.method == "HEAD")
                status = answer.status
        except ClientGone:
            self._note(call, route.template if route else PASSED_ON, _CLIENT_GONE)
            return
        model, metrics = call.model if call.model in self._serving.models.all else "", self._serving.metrics
        seconds = perf_counter() - call.began
        metrics.answered(template, model, status, seconds)
        if call.version is not None:
            metrics.predicted(model, seconds)
        self._note(call, template, status)

    def _note(self, call: Call, template: str, status: int) -> None:
        if self._access is None:
            return
        model = call.model if call.model in self._serving.models.all else ""
        ms = round((perf_counter() - call.began) * 1000, 3)
        self._access.note(
            Line(
                at=self._clock(), id=call.request_id, method=call.method, route=template, model=model,
                version=call.version, status=status, rows=call.rows, bytes=len(call.body), ms=ms, caller=call.caller,
            )
        )  # fmt: skip

    def _find_route(self, path: str) -> Route | None:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        match path.split("/"):
            case ["", "models", name]:
                return Route(
                    method="GET", template="/models/{name}", act=self._describe, scope="read", model=name
                )  # fmt: skip
            case ["", "models", name, verb] if verb in self._verbs:
                return self._model_route(f"/models/{{name}}/{verb}", verb, name)
        return next((route for table in self._tables if (route := table.route(path)) is not None), None)

    def _model_route(self, template: str, verb: str, name: str | None) -> Route:
        act, scope = self._verbs[verb]
        arrow = self._arrow.get(verb)
        return Route(method="POST", template=template, act=act, scope=scope, model=name, arrow=arrow)

    async def _answer(self, route: Route, call: Call, scope: Scope, receive: Receive) -> Answer:
        self._admit(call, scope, route.scope)
        if not route.takes_method(call.method):
            return _other_method(call.method, route.allowed)
        call.model = self._serving.models.only().name if route.model is None else route.model
        if route.scope not in (OPEN, ANY_KEY):
            call.check_scope(PREDICT + call.model if route.scope == PREDICT else route.scope)
        if route.method != "POST":
            return await route.act(call)
        act = route.act
        if route.arrow is not None and exchange.is_arrow(scope):
            act = route.arrow
        else:
            route.takes(scope)
        call.body = await self._reader.read(scope, receive)
        caller = call.caller
        await self._places.take(caller)
        try:
            return await act(call)
        finally:
            self._places.give_back(caller)

    def _admit(self, call: Call, scope: Scope, needs: str) -> None:
        """Raises HttpRefusal: 421 for another host's name, 401 without a key where `needs` is not OPEN."""
        exchange.check_host(scope["headers"], self._names)
        if self._keys is not None and needs != OPEN:
            call.key = self._keys.holder(scope["headers"])

    async def _pass_on(self, call: Call, template: str, scope: Scope, receive: Receive, send: Send) -> int:
        """Let BentoML answer, and return the status. Its errors, which may repeat the input, are replaced by ours."""
        reply = Reply(send, call.request_id)
        passed_on = self._passed_on(call, template, scope, receive, reply)
        answer = await answer_or_problem(passed_on, call.request_id)
        if reply.begun:
            return reply.status
        await exchange.send_answer(send, receive, answer, call.request_id, head=call.method == "HEAD")
        return answer.status

    async def _passed_on(self, call: Call, template: str, scope: Scope, receive: Receive, reply: Reply) -> Answer:
        ours = template == BENTO_PREDICT
        self._admit(call, scope, PREDICT if ours else "read")
        allowed = ("POST",) if ours else ("GET", "HEAD", "POST")
        if call.method not in allowed:
            return _other_method(call.method, ", ".join((*allowed, "OPTIONS")))
        if not ours:
            call.check_scope("read")
        if call.method == "POST":
            exchange.check_json(scope)
            call.body = await self._reader.read(scope, receive)
        await self._places.take(call.caller)
        try:
            if ours:
                await admit(self._serving, call)
            CALL.set(call)
            await self._inner(scope, replay(call.body, receive), reply)
        finally:
            self._places.give_back(call.caller)
        return problem_answer(inner_problem(reply.status), call.request_id)

    def _does(self, act: Callable[[str, bytes, str | None], Awaitable[Answer]]) -> Act:
        return lambda call: act(call.model, call.body, call.caller)

    async def _index(self, _call: Call) -> Answer:
        # BentoML's own page at this address fetches a tracker from elsewhere.
        return json_answer({"service": "pilothouse", "openapi": "/openapi.json", "models": "/models"})

    async def _livez(self, _call: Call) -> Answer:
        return json_answer({"status": "alive"})

    async def _readyz(self, _call: Call) -> Answer:
        models = self._serving.models
        missing = sorted(name for name, served in models.all.items() if served.due and not served.champion)
        # Without the reasons: this address needs no key.
        failed = {name: sorted(map(int, versions)) for name, versions in self._serving.failed.items()}
        status = {"status": "ready", "models": models.versions(), "not_loaded": missing, "failed": failed}
        if not self._serving.ready:
            return json_answer(status | {"status": "starting"}, 503)
        return json_answer(status)

    async def _metrics(self, _call: Call) -> Answer:
        text = await asyncio.to_thread(self._serving.metrics.text)
        return Answer(status=200, body=text, content_type=_PROMETHEUS)

    async def _openapi(self, _call: Call) -> Answer:
        self._serving.models.look()
        return json_answer(document(self._serving.models.all, keys=self._keys is not None))

    async def _list(self, _call: Call) -> Answer:
        return self._serving.list_models()

    async def _describe(self, call: Call) -> Answer:
        return self._serving.describe(call.model)


def _other_method(method: str, allowed: str) -> Answer:
    """What OPTIONS gets. Raises HttpRefusal (405) for a method that the address does not take."""
    allow = ((b"allow", allowed.encode()),)
    if method == "OPTIONS":
        return Answer(status=204, body=b"", headers=allow)
    problem = Problem(status=405, kind="wrong-method", detail=f"This address takes {allowed} only.")
    raise HttpRefusal(problem, (*allow, *exchange.CLOSE))

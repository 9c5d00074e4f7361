"""The BentoML service behind the gate: BentoML's own client calls `predict` on it, held to the same checks and log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from pilothouse.data.state.keys import PREDICT
from pilothouse.data.workspace import Workspace
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, answer_or_problem
from pilothouse.ops.serving.passing import BENTO_PREDICT, CALL, Call

_T = TypeVar("_T")

SERVICE_NAME = "pilothouse"
_TIMEOUT_S = 60


def bentoml_app(serving: Serving, workspace: Workspace) -> ASGIApp:
    """BentoML's ASGI application with one API, `predict`, at /bentoml/predict.

    It has a route of its own because /predict is the native short form, answered by the gate before BentoML's stack.
    Clients need not know: BentoML's client reads the route from /schema.json.
    """
    # BentoML reads both when it is first imported.
    os.environ["BENTOML_HOME"] = str(workspace.bento)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    app: ASGIApp = bentoml_service(lambda: serving).to_asgi()
    return app


def bentoml_service(serving: Callable[[], Serving], **options: Any) -> Any:
    """The service with that one API. serving : what answers, asked for with each call. options : further ones of BentoML's."""
    import bentoml

    @bentoml.service(
        name=SERVICE_NAME,
        metrics={"enabled": False},
        tracing={"excluded_urls": ".*"},
        logging={"access": {"enabled": False}},
        traffic={"timeout": _TIMEOUT_S},
        **options,
    )
    class Pilothouse:
        """Predictions of the registered models, checked and logged."""

        @bentoml.api(route=BENTO_PREDICT)  # type: ignore[untyped-decorator]
        async def predict(
            self,
            rows: list[dict[str, Any]],
            model: str | None = None,
            ids: list[str] | None = None,
            at: list[str] | None = None,
            entities: list[str | None] | None = None,
            keys: list[dict[str, Any] | None] | None = None,
            context: list[dict[str, Any] | None] | None = None,
        ) -> dict[str, Any]:
            """Predictions for `rows`, one object a row; `model` may be left out where one model is served."""
            # What counts is the body as it came: the arguments have lost doubled names.
            call = CALL.get()
            answer = await answer_or_problem(serving().predict(call.model, call.body, call.caller), call.request_id)
            return _as_response(call.answered(answer))  # type: ignore[return-value]

    return Pilothouse


class _Named(msgspec.Struct):
    """The part of a body that says which model is asked."""

    model: str | None = None


class _Arguments(_Named, kw_only=True):
    """A body that BentoML accepts for `predict`."""

    rows: list[dict[str, Any]]
    ids: list[str] | None = None
    at: list[str] | None = None
    entities: list[str | None] | None = None
    keys: list[dict[str, Any] | None] | None = None
    context: list[dict[str, Any] | None] | None = None


_named, _arguments = msgspec.json.Decoder(_Named), msgspec.json.Decoder(_Arguments)


async def admit(serving: Serving, call: Call) -> None:
    """Find the model that the body names, and refuse what BentoML would: it says so in words of its own, and writes the
    values into its output. Raises HttpRefusal (403), NotFound, NotJson or BadRows."""
    asked = _decoded(_arguments, call.body)
    named = asked or _decoded(_named, call.body)
    call.model = serving.models.only().name if named is None or named.model is None else named.model
    call.check_scope(PREDICT + call.model)
    if asked is None:
        raise await asyncio.to_thread(serving.models.served(call.model).form.bodies.predict_refusal, call.body)


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T | None:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _as_response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.content_type.decode())

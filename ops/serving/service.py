"""The BentoML service behind the gate: BentoML's own client calls `predict` on it, held to the same checks and log."""

from __future__ import annotations

import os
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp

from pilothouse.data.workspace import Workspace
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, answer_or_problem
from pilothouse.ops.serving.passing import BENTO_PREDICT, CALL

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
    import bentoml

    @bentoml.service(
        name=SERVICE_NAME,
        metrics={"enabled": False},
        tracing={"excluded_urls": ".*"},
        logging={"access": {"enabled": False}},
        traffic={"timeout": _TIMEOUT_S},
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
            # What counts is the body as it came: the arguments have lost doubled names, and NaN has become a number.
            call = CALL.get()
            answer = await answer_or_problem(self._predict(model, call.body), call.request_id)
            return _as_response(answer)  # type: ignore[return-value]

        async def _predict(self, model: str | None, body: bytes) -> Answer:
            return await serving.predict(serving.models.only().name if model is None else model, body)

    app: ASGIApp = Pilothouse.to_asgi()  # type: ignore[attr-defined]
    return app


def _as_response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.content_type.decode())

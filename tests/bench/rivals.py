"""Two plain services around the same model, as a team would write them in an afternoon: no checks, no log, no swap.

Run by `uvicorn tests.bench.rivals:bento --factory` (or `:starlette`). The environment names the model's file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pandas as pd
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

MODEL_VARIABLE = "BENCH_MODEL"
"""JSON: `path` of the skops file, `trusted` types, `features` in the model's order."""

Rows = list[dict[str, Any]]
Predict = Callable[[Rows], dict[str, Any]]


def load_model() -> Predict:
    from skops.io import load

    given = json.loads(os.environ[MODEL_VARIABLE])
    model, features = load(given["path"], trusted=given["trusted"]), given["features"]

    def predict(rows: Rows) -> dict[str, Any]:
        scores = model.predict_proba(pd.DataFrame(rows, columns=features))[:, 1]
        return {"predictions": [{"prediction": int(s >= 0.5), "score": s} for s in scores.tolist()]}

    return predict


def starlette() -> ASGIApp:
    """Starlette alone: the row is scored where it arrives."""
    score = load_model()

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse(score(body["rows"]))

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


def bento() -> ASGIApp:
    """A BentoML service with one API, as its first tutorial has it."""
    import bentoml

    @bentoml.service(name="rival")
    class Rival:
        def __init__(self) -> None:
            self.score = load_model()

        @bentoml.api  # type: ignore[untyped-decorator]
        def predict(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
            return self.score(rows)

    app: ASGIApp = Rival.to_asgi()  # type: ignore[attr-defined]
    return app

"""Plain services around the same model, as a team would write them in an afternoon: no keys, no log, no swap.

Run by `uvicorn tests.bench.rivals:NAME --factory`. The environment names the model's files.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from fastapi import FastAPI, Request
from pydantic import BaseModel, create_model
from starlette.types import ASGIApp

MODEL_VARIABLE = "BENCH_MODEL"
"""JSON: `joblib` and `onnx`, two files; `texts` and `numbers`, features in the order of the ONNX file's inputs;
`features`, all in the model's order."""
_CLASS_CUT = 0.5

Given = dict[str, Any]


def given() -> Given:
    read: Given = json.loads(os.environ[MODEL_VARIABLE])
    return read


def load_model() -> Callable[[pd.DataFrame], list[float]]:
    import joblib

    model = joblib.load(given()["joblib"])  # noqa: TID251  What a team would do; the file is made by the bench.
    return lambda frame: model.predict_proba(frame)[:, 1].tolist()


def row_model() -> type[BaseModel]:
    """A row as FastAPI's tutorial declares it."""
    told = given()
    texts = dict.fromkeys(told["texts"], (str | None, ...))
    numbers = dict.fromkeys(told["numbers"], (float | None, ...))
    row: type[BaseModel] = create_model("Row", **texts, **numbers)  # type: ignore[call-overload]
    return row


def fastapi_joblib() -> ASGIApp:
    """FastAPI with the joblib file: rows declared, scored in FastAPI's threads; and a route that takes Arrow."""
    import pyarrow as pa

    score, columns, row = load_model(), given()["features"], row_model()
    body = create_model("Body", rows=(list[row], ...))  # type: ignore[valid-type]
    app = FastAPI()

    def predict(asked: Any) -> Given:
        frame = pd.DataFrame([one.model_dump() for one in asked.rows], columns=columns)
        return _answer(score(frame))

    predict.__annotations__["asked"] = body
    app.post("/predict")(predict)

    @app.post("/arrow")
    async def arrow(request: Request) -> Given:
        with pa.ipc.open_stream(io.BytesIO(await request.body())) as reader:
            frame = reader.read_pandas()
        return _answer(score(frame[columns]))

    return app


def fastapi_onnx() -> ASGIApp:
    """FastAPI with the very ONNX file that ours answers with: rows declared, scored on the event loop."""
    import onnxruntime

    told, row = given(), row_model()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(told["onnx"], options, providers=["CPUExecutionProvider"])
    texts, numbers, names = told["texts"], told["numbers"], told["inputs"]
    body = create_model("Body", rows=(list[row], ...))  # type: ignore[valid-type]
    app = FastAPI()

    async def predict(asked: Any) -> Given:
        rows = asked.rows
        feed = {
            names[0]: np.array([[getattr(r, name) or "" for name in texts] for r in rows], dtype=object),
            names[1]: np.array([[getattr(r, name) for name in numbers] for r in rows], dtype=np.float32),
        }
        return _answer(session.run([told["output"]], feed)[0][:, 1].tolist())

    predict.__annotations__["asked"] = body
    app.post("/predict")(predict)
    return app


def bento() -> ASGIApp:
    """A BentoML service with one API, as its first tutorial has it."""
    import bentoml

    @bentoml.service(name="rival")
    class Rival:
        def __init__(self) -> None:
            self.score, self.columns = load_model(), given()["features"]

        @bentoml.api  # type: ignore[untyped-decorator]
        def predict(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
            return _answer(self.score(pd.DataFrame(rows, columns=self.columns)))

    app: ASGIApp = Rival.to_asgi()  # type: ignore[attr-defined]
    return app


def _answer(scores: list[float]) -> Given:
    return {"predictions": [{"prediction": int(s >= _CLASS_CUT), "score": s} for s in scores]}


def without_log() -> ASGIApp:
    """Ours, all checks and keys on, with nothing written down: what the log alone costs is the difference."""
    from pilothouse.data.log.spool import Entry
    from pilothouse.ops.serving import core, main

    async def forget(_serving: core.Serving, _entry: Entry) -> None:
        return

    core.Serving._keep = forget  # type: ignore[method-assign]
    return main.create_app()

"""Loaded by schemathesis: what valid requests have to hold beyond what JSON Schema can say.

Arrays have one item a row, ids differ, a time lies within two centuries, a tensor has as many values as its shape says.
Only requests meant to be valid are mended, so that the check that valid ones are accepted can stay on; what is meant
to be refused is sent as it was made.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import schemathesis
from hypothesis import strategies
from schemathesis.generation import GenerationMode
from schemathesis.transport.serialization import Binary

from tests.faults.hostile import ANSWERED
from tests.support.small import ROW

TIME = "2026-03-03T10:00:00Z"
LARGEST = 1e6
"""Beyond it a linear model's sum may overflow, and then it gives no score."""
_counter = itertools.count()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    generation = case.meta.generation if case.meta else None
    body = case.body
    if generation is None or generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(body, dict | list):
        case.body = _mended(body, case.operation.path)
    elif body == _LOGGED and case.operation.path.endswith("/predict"):
        # A strategy is made for a type, wherever that is taken.
        case.body = Binary(_ASKED)


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: Any) -> None:
    """Note which rows were answered: those have to be in the log."""
    if response.status_code == 200 and case.method == "POST":
        with Path(os.environ[ANSWERED]).open("a") as told:
            told.writelines(f"{json.dumps(one)}\n" for one in _ids(response.json()))


def _ids(answer: Any) -> Iterator[str]:
    """The ids of rows, wherever a protocol has them."""
    if isinstance(answer, list):
        for item in answer:
            yield from _ids(item)
    elif isinstance(answer, dict):
        if answer.get("name") == "id":
            yield from answer["data"]
        elif isinstance(answer.get("id"), list):
            yield from answer["id"]
        elif "prediction" in answer:
            yield answer["id"]
        else:
            for item in answer.values():
                yield from _ids(item)


def _mended(body: Any, path: str) -> Any:
    body = _small(body)
    if path.endswith("/infer"):
        return _tensors(body)
    if path.endswith("/feedback"):
        return body
    if path.endswith(("/predict", "/log")):
        return _arrays(body)
    return _rows_anywhere(body)


def _small(value: Any) -> Any:
    if isinstance(value, list):
        return [_small(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _time(_small(item)) if name in ("at", "observed_at") else _small(item) for name, item in value.items()
        }
    if isinstance(value, int | float) and not isinstance(value, bool):
        return type(value)(max(-LARGEST, min(LARGEST, value)))
    return value


def _time(value: Any) -> Any:
    if isinstance(value, list):
        return [_time(item) for item in value]
    return TIME if isinstance(value, str) else value


def _new_id() -> str:
    return f"hostile-{next(_counter)}"


def _arrays(body: dict[str, Any]) -> dict[str, Any]:
    """The native body: arrays as long as rows."""
    rows = len(body["rows"])
    for name in ("at", "entities", "keys", "context", "predictions", "scores", "latency_us"):
        if isinstance(body.get(name), list) and body[name]:
            body[name] = list(itertools.islice(itertools.cycle(body[name]), rows))
    if isinstance(body.get("ids"), list):
        body["ids"] = [_new_id() for _ in range(rows)]
    if isinstance(body.get("latency_us"), list):
        body["latency_us"] = [None if value is None else abs(value) for value in body["latency_us"]]
    return body


def _rows_anywhere(body: Any) -> Any:
    """Rows of the other protocols: an id in each or in none, and each its own."""
    if isinstance(body, dict):
        if isinstance(body.get("inputs"), dict):
            body["inputs"] = _columns(body["inputs"])
        for name in ("instances", "examples", "inputs"):
            if isinstance(body.get(name), list):
                body[name] = _rows(body[name])
        return body
    return _rows(body)


def _rows(rows: list[Any]) -> list[Any]:
    """An id, and a time, in every row or in none."""
    objects = [row for row in rows if isinstance(row, dict)]
    for name, made in (("id", _new_id), ("at", lambda: TIME)):
        everywhere = len(objects) == len(rows) and all(name in row for row in objects)
        for row in objects:
            if everywhere:
                row[name] = made()
            else:
                row.pop(name, None)
    return rows


def _columns(columns: dict[str, Any]) -> dict[str, Any]:
    rows = max((len(values) for name, values in columns.items() if name in ROW), default=1)
    mended = {name: list(itertools.islice(itertools.cycle(values), rows)) for name, values in columns.items()}
    if "id" in mended:
        mended["id"] = [_new_id() for _ in range(rows)]
    return mended


def _tensors(body: dict[str, Any]) -> dict[str, Any]:
    """A tensor for each feature, of one row each, and the outputs each once."""
    given = {one["name"]: one for one in body["inputs"]}
    body["inputs"] = [_one_value(given.get(name) or _tensor(name, value)) for name, value in ROW.items()]
    body["inputs"] += [_one_value(one) for name, one in given.items() if name not in ROW]
    if isinstance(body.get("outputs"), list):
        body["outputs"] = list({one["name"]: one for one in body["outputs"]}.values())
    return body


def _tensor(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}


def _one_value(tensor: dict[str, Any]) -> dict[str, Any]:
    replaced: dict[str, Callable[[], Any]] = {"id": _new_id, "at": lambda: TIME, "keys": lambda: '{"order": 17}'}
    value = replaced[tensor["name"]]() if tensor["name"] in replaced else tensor["data"][0]
    # What parameters mean is the protocol's, and no schema's: a size in bytes would make the data wrong.
    return {**tensor, "shape": [1], "data": [value], "parameters": {}}


def _arrow(row: dict[str, Any]) -> bytes:
    table = pa.table({name: [value] for name, value in row.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


# Bytes of these types cannot be described any closer, so valid ones are given.
_ASKED, _LOGGED = _arrow(ROW), _arrow(ROW | {"prediction": 1})
schemathesis.openapi.media_type("application/vnd.apache.arrow.stream", strategies.just(_LOGGED))
schemathesis.openapi.media_type(
    "application/octet-stream",
    strategies.just(json.dumps({"inputs": [_tensor(name, value) for name, value in ROW.items()]}).encode()),
)

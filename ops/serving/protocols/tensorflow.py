"""The REST interface of TensorFlow Serving: model status, metadata, predict, classify and regress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pilothouse.data.errors import BadRows, Fault, NotFound
from pilothouse.data.signature import Signature, Task, Value
from pilothouse.data.state.keys import PREDICT
from pilothouse.ops.serving import faults
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, json_answer
from pilothouse.ops.serving.faults import Faults, load_json
from pilothouse.ops.serving.given import Given
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols.inferring import outputs_of
from pilothouse.ops.serving.protocols.rows import Came, ask, by_row, off_loop, outputs_by_name
from pilothouse.ops.serving.protocols.telling import FORM, TEXT, taking, tell_error
from pilothouse.ops.serving.protocols.tensors import input_type
from pilothouse.ops.serving.protocols.versions import check_live, live_versions, version_in
from pilothouse.ops.serving.routes import Route

_SIGNATURE = "serving_default"
_TYPES = {"FP64": "DT_DOUBLE", "INT64": "DT_INT64", "BOOL": "DT_BOOL", "BYTES": "DT_STRING"}

Versioned = Callable[[Call, int | None], Awaitable[Answer]]


class TensorFlow:
    """Its addresses, over one service."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._takes = taking([FORM, TEXT])
        self._verbs: Mapping[str, Versioned] = {
            "predict": self._predict, "classify": self._classify, "regress": self._regress,
        }  # fmt: skip

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where nobody does."""
        address, _, verb = path.partition(":")
        match address.split("/"):
            case ["", "v1", "models", name]:
                return self._of_model("/v1/models/{name}", name, None, verb)
            case ["", "v1", "models", name, "metadata"] if not verb:
                return self._get("/v1/models/{name}/metadata", name, None, self._metadata)
            case ["", "v1", "models", name, "versions", number, *rest]:
                return self._below("/v1/models/{name}/versions/{version}", name, version_in(number), rest, verb)
            case ["", "v1", "models", name, "labels", label, *rest]:
                return self._below("/v1/models/{name}/labels/{label}", name, label, rest, verb)
        return None

    def _below(self, template: str, name: str, version: int | str, rest: list[str], verb: str) -> Route | None:
        if rest == ["metadata"] and not verb:
            return self._get(f"{template}/metadata", name, version, self._metadata)
        return None if rest else self._of_model(template, name, version, verb)

    def _of_model(self, template: str, name: str, version: int | str | None, verb: str) -> Route | None:
        if not verb:
            return self._get(template, name, version, self._status)
        if verb not in self._verbs:
            return None
        act = self._verbs[verb]
        return Route(
            method="POST", template=f"{template}:{verb}", act=lambda call: act(call, self._number(call, version)),
            scope=PREDICT, model=name, takes=self._takes, tell=tell_error,
        )  # fmt: skip

    def _get(self, template: str, name: str, version: int | str | None, act: Versioned) -> Route:
        return Route(
            method="GET", template=template, act=lambda call: act(call, self._number(call, version)), scope="read",
            model=name, tell=tell_error,
        )  # fmt: skip

    def _number(self, call: Call, version: int | str | None) -> int | None:
        """The version that a path names by number or by label. Raises NotFound for another label."""
        if not isinstance(version, str):
            return version
        served = self._serving.models.served(call.model)
        live = live_versions(served)
        if version not in live:
            raise NotFound(f"{served.name} has no version of that label. It has: {', '.join(live)}.")
        return live[version]

    async def _status(self, call: Call, version: int | None) -> Answer:
        served = self._serving.models.served(call.model)
        check_live(served, version)
        status = {"error_code": "OK", "error_message": ""}
        asked = live_versions(served).values() if version is None else [version]
        found = [{"version": str(number), "state": "AVAILABLE", "status": status} for number in asked]
        return json_answer({"model_version_status": found})

    async def _metadata(self, call: Call, version: int | None) -> Answer:
        served = self._serving.models.served(call.model)
        check_live(served, version)
        spec = {"name": served.name, "signature_name": "", "version": str(version or served.live().version)}
        signature = {"signature_def": {_SIGNATURE: _described(served.form.signature)}}
        return json_answer({"model_spec": spec, "metadata": {"signature_def": signature}})

    async def _predict(self, call: Call, version: int | None) -> Answer:
        asked = await off_loop(call, lambda: _asked(call.body, "predict"))
        by_row = "instances" in asked
        if by_row == ("inputs" in asked):
            raise _bad("", "must have either instances or inputs")
        read = _rows if by_row else _columns
        given = await ask(self._serving, call, version, lambda signature: read(asked, signature))
        outputs = outputs_by_name(given)
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        return self._answer(given, {"predictions": rows} if by_row else {"outputs": outputs})

    async def _classify(self, call: Call, version: int | None) -> Answer:
        given = await self._examples(call, version, "classify")
        return self._answer(given, {"results": _classes(given)})

    async def _regress(self, call: Call, version: int | None) -> Answer:
        given = await self._examples(call, version, "regress")
        return self._answer(given, {"results": given.scored.prediction})

    async def _examples(self, call: Call, version: int | None, verb: str) -> Given:
        asked = await off_loop(call, lambda: _asked(call.body, verb))

        def read(signature: Signature) -> Came:
            if (signature.task is Task.REGRESSION) != (verb == "regress"):
                other = "classify" if verb == "regress" else "regress"
                raise _bad("", f"asks for :{verb}, and this model is for :{other} and :predict")
            return _example_rows(asked)

        return await ask(self._serving, call, version, read)

    def _answer(self, given: Given, said: dict[str, Any]) -> Answer:
        return json_answer(said, headers=self._serving.marks(given), rows=len(given.ids), version=given.by.version)


def _described(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {f.name: _tensor(f.name, input_type(f), [-1]) for f in signature.features},
        "outputs": {name: _tensor(name, datatype, shape) for name, datatype, shape in outputs_of(signature)},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    lengths = [{"size": str(length), "name": ""} for length in shape]
    return {"dtype": _TYPES[datatype], "tensor_shape": {"dim": lengths, "unknown_rank": False}, "name": name}


def _asked(body: bytes, verb: str) -> dict[str, Any]:
    """The object in `body`. Raises NotJson, or BadRows where it asks for another signature than there is."""
    asked, found = load_json(body), Faults()
    if faults.is_object(asked, "", found) and asked.get("signature_name") not in (
        None, "", _SIGNATURE, f"tensorflow/serving/{verb}",
    ):  # fmt: skip
        found.add("/signature_name", f"must be {_SIGNATURE}, or be left out")
    if found.found:
        raise BadRows(found.listed())
    checked: dict[str, Any] = asked
    return checked


def _rows(asked: dict[str, Any], _signature: Signature) -> Came:
    return Came(rows=_list(asked["instances"], "/instances"), place=by_row("/instances"))


def _example_rows(asked: dict[str, Any]) -> Came:
    """The examples, each with what all have in common."""
    examples, common, found = _list(asked.get("examples"), "/examples"), asked.get("context"), Faults()
    if common is None:
        return Came(rows=examples, place=by_row("/examples"))
    if faults.is_object(common, "/context", found):
        for position, example in enumerate(examples):
            for name in common.keys() & example.keys() if isinstance(example, dict) else ():
                found.add(faults.step(f"/examples/{position}", name), "stands in context already")
    if found.found:
        raise BadRows(found.listed())
    rows = [common | example if isinstance(example, dict) else example for example in examples]
    return Came(rows=rows, place=by_row("/examples"))


def _columns(asked: dict[str, Any], signature: Signature) -> Came:
    """The rows of named columns, or of the one list that a model of a single input takes."""
    given, found = asked["inputs"], Faults()
    if isinstance(given, list):
        return Came(rows=given, place=by_row("/inputs"))
    if not faults.is_object(given, "/inputs", found):
        raise BadRows(found.listed())
    for name in (name for name in signature.names if name not in given):
        found.add(faults.step("/inputs", name), "is missing")
    lengths = {len(column) if isinstance(column, list) else 0 for column in given.values()}
    if not found.found and (len(lengths) > 1 or 0 in lengths):
        found.add("/inputs", "must have lists of one length, of at least one value, one a row")
    if found.found:
        raise BadRows(found.listed())
    rows = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
    return Came(rows=rows, place=_by_column)


def _by_column(row: int | None, column: str | None) -> str:
    if column is None:
        return "/inputs" if row is None else f"row {row}"
    return f"/inputs/{column}" if row is None else f"/inputs/{column}/{row}"


def _list(value: Any, pointer: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _bad(pointer, "must be an array with one item a row")
    return value


def _classes(given: Given) -> list[list[tuple[str, float]]]:
    """Each class of each row with its probability."""
    labels = [_label(value) for value in given.by.row.signature.target.classes]
    shares = given.scored.scores or [[1 - score, score] for score in given.scored.score or ()]
    return [list(zip(labels, row, strict=True)) for row in shares]


def _label(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bad(pointer: str, detail: str) -> BadRows:
    return BadRows([Fault(pointer, detail)])

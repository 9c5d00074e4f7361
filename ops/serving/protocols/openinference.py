"""The Open Inference Protocol, version 2, as Triton, KServe and MLServer speak it over HTTP."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

import orjson

from pilothouse.data.signature import Value
from pilothouse.data.state.keys import PREDICT
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, Header, json_answer
from pilothouse.ops.serving.given import Given
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols.inferring import JSON_LENGTH, came_in, outputs_of, request_in
from pilothouse.ops.serving.protocols.rows import ask, off_loop, versions_of
from pilothouse.ops.serving.protocols.telling import BINARY, taking, tell_error
from pilothouse.ops.serving.protocols.tensors import Tensor, input_type, to_binary, to_json
from pilothouse.ops.serving.protocols.versions import check_live, live_versions, version_in
from pilothouse.ops.serving.routes import OPEN, Act, Route

_PLATFORM = "pilothouse"


class OpenInference:
    """Its addresses, over one service."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._takes = taking([BINARY])

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where nobody does."""
        match path.split("/"):
            case ["", "v2"]:
                return self._get("/v2", self._server, "")
            case ["", "v2", "health", ("live" | "ready") as which]:
                return self._get(f"/v2/health/{which}", self._health(which), "", OPEN)
            case ["", "v2", "models", name, *rest] if rest[:1] != ["versions"]:
                return self._of_model("/v2/models/{name}", name, None, rest)
            case ["", "v2", "models", name, "versions", number, *rest]:
                return self._of_model("/v2/models/{name}/versions/{version}", name, version_in(number), rest)
        return None

    def _of_model(self, template: str, name: str, version: int | None, rest: list[str]) -> Route | None:
        match rest:
            case []:
                return self._get(template, lambda call: self._describe(call, version), name)
            case ["ready"]:
                return self._get(f"{template}/ready", lambda call: self._ready(call, version), name)
            case ["infer"]:
                return Route(
                    method="POST", template=f"{template}/infer", act=lambda call: self._infer(call, version),
                    scope=PREDICT, model=name, takes=self._takes, tell=tell_error,
                )  # fmt: skip
        return None

    def _get(self, template: str, act: Act, model: str, scope: str = "read") -> Route:
        return Route(method="GET", template=template, act=act, scope=scope, model=model, tell=tell_error)

    def _health(self, which: str) -> Act:
        async def health(_call: Call) -> Answer:
            ready = self._serving.ready
            return json_answer({"live": True, "ready": ready}, 200 if ready or which == "live" else 503)

        return health

    async def _server(self, _call: Call) -> Answer:
        return json_answer(
            {"name": _PLATFORM, "version": installed("pilothouse"), "extensions": ["binary_tensor_data"]}
        )  # fmt: skip

    async def _ready(self, call: Call, version: int | None) -> Answer:
        served = self._serving.models.served(call.model)
        check_live(served, version)
        return json_answer({"name": served.name, "version": str(version or served.live().version), "ready": True})

    async def _describe(self, call: Call, version: int | None) -> Answer:
        served = self._serving.models.served(call.model)
        check_live(served, version)
        live = [] if served.version is None else live_versions(served).values()
        signature = served.form.signature
        return json_answer(
            {
                "name": served.name,
                "versions": [str(number) for number in live],
                "platform": _PLATFORM,
                "inputs": [_described(f.name, input_type(f), [-1]) for f in signature.features],
                "outputs": [_described(*output) for output in outputs_of(signature)],
            }
        )

    async def _infer(self, call: Call, version: int | None) -> Answer:
        asked, binary = await off_loop(call, lambda: request_in(call))
        given = await ask(self._serving, call, version, lambda signature: came_in(asked, binary, signature))
        return _answer(given, asked, self._serving.marks(given))


def _described(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _answer(given: Given, asked: dict[str, Any], marks: tuple[Header, ...]) -> Answer:
    chosen = _chosen(given, asked)
    heads, parts = [], []
    for tensor, binary in chosen:
        head, content = to_binary(tensor) if binary else (to_json(tensor), b"")
        heads.append(head)
        parts.append(content)
    said = {"model_name": given.by.name, "model_version": str(given.by.version), "outputs": heads}
    if isinstance(asked.get("id"), str):
        said["id"] = asked["id"]
    facts = {"rows": len(given.ids), "version": given.by.version}
    if not any(binary for _, binary in chosen):
        return json_answer(said, headers=marks, **facts)
    text = orjson.dumps(said)
    return Answer(
        status=200, body=b"".join([text, *parts]), content_type=BINARY,
        headers=(*marks, (JSON_LENGTH, b"%d" % len(text))), **facts,
    )  # fmt: skip


def _chosen(given: Given, asked: dict[str, Any]) -> list[tuple[Tensor, bool]]:
    """The outputs that are asked for, or all; and of each whether its values go behind the JSON."""
    outputs = {tensor.name: tensor for tensor in _outputs(given)}
    in_binary = (asked.get("parameters") or {}).get("binary_data_output") is True
    wanted = asked.get("outputs") or [{"name": name} for name in outputs]
    return [
        (outputs[one["name"]], (one.get("parameters") or {}).get("binary_data", in_binary) is True) for one in wanted
    ]


def _outputs(given: Given) -> list[Tensor]:
    values: dict[str, list[Value]] = {"prediction": given.scored.prediction, "id": [*given.ids]}
    if given.scored.score is not None:
        values["score"] = [*given.scored.score]
    if given.scored.scores is not None:
        values["scores"] = [share for shares in given.scored.scores for share in shares]
    rows = len(given.ids)
    values["version"] = [*versions_of(given)]
    return [
        Tensor(name=name, datatype=datatype, shape=(rows, *shape[1:]), values=values[name])
        for name, datatype, shape in outputs_of(given.by.row.signature)
    ]

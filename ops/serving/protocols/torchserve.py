"""TorchServe's inference interface: ping and predictions."""

from __future__ import annotations

from typing import Any

from pilothouse.data.signature import Signature
from pilothouse.data.state.keys import PREDICT
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, Header, json_answer
from pilothouse.ops.serving.faults import load_json
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols.rows import Came, Place, ask, by_row, off_loop, outputs_by_name
from pilothouse.ops.serving.protocols.telling import FORM, TEXT, answered_badly, status_of, taking, text_of
from pilothouse.ops.serving.protocols.versions import version_in
from pilothouse.ops.serving.routes import OPEN, Route

_AROUND = ("instances", "data", "body")
"""Names under which clients wrap their rows; not where a feature is called so."""
_TYPES = {
    401: "InvalidKeyException", 403: "InvalidKeyException", 404: "ResourceNotFoundException",
    405: "MethodNotAllowedException", 429: "ServiceUnavailableException", 500: "InternalServerException",
    503: "ServiceUnavailableException",
}  # fmt: skip
_KINDS = {"unknown-model": "ModelNotFoundException", "version-not-live": "ModelVersionNotFoundException"}


class TorchServe:
    """Its addresses, over one service."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._takes = taking([FORM, TEXT])

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where nobody does."""
        match path.split("/"):
            case ["", "ping"]:
                return Route(method="GET", template="/ping", act=self._ping, scope=OPEN, tell=tell)
            case ["", "predictions", name]:
                return self._predictions("/predictions/{name}", name, None)
            case ["", "predictions", name, number]:
                return self._predictions("/predictions/{name}/{version}", name, version_in(number))
        return None

    def _predictions(self, template: str, name: str, version: int | None) -> Route:
        return Route(
            method="POST", template=template, act=lambda call: self._predict(call, version), scope=PREDICT, model=name,
            takes=self._takes, tell=tell,
        )  # fmt: skip

    async def _ping(self, _call: Call) -> Answer:
        ready = self._serving.ready
        return json_answer({"status": "Healthy" if ready else "Unhealthy"}, 200 if ready else 503)

    async def _predict(self, call: Call, version: int | None) -> Answer:
        """One object for one object, a list for a list, and predictions for instances."""
        asked = await off_loop(call, lambda: load_json(call.body))
        signature = self._serving.models.served(call.model).form.signature
        base, rows = _unwrapped(asked, signature)
        came = Came(rows=rows, place=by_row(base)) if isinstance(rows, list) else Came(rows=[rows], place=_only(base))
        given = await ask(self._serving, call, version, lambda _signature: came)
        outputs = outputs_by_name(given)
        found = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        said: Any = found if isinstance(rows, list) else found[0]
        if base == "/instances":
            said = {"predictions": found}
        return json_answer(said, headers=self._serving.marks(given), rows=len(given.ids), version=given.by.version)


def _unwrapped(asked: Any, signature: Signature) -> tuple[str, Any]:
    """The rows, or the one row, and where they stand."""
    if isinstance(asked, dict) and len(asked) == 1:
        (name,) = asked
        if name in _AROUND and name not in signature.names:
            return f"/{name}", asked[name]
    return "", asked


def _only(base: str) -> Place:
    """Places in a body that holds one row and no array of them."""

    def place(_row: int | None, column: str | None) -> str:
        return base if column is None else f"{base}/{column}"

    return place


def tell(problem: Problem, _request_id: str, headers: tuple[Header, ...] = ()) -> Answer:
    status = status_of(problem)
    kind = _KINDS.get(problem.kind) or _TYPES.get(status, "BadRequestException")
    return answered_badly(problem, {"code": status, "type": kind, "message": text_of(problem)}, headers)

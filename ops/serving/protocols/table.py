"""The addresses of other servers that this one answers as well, so that their clients need not change."""

from __future__ import annotations

from pilothouse.data.errors import NotFound
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.exchange import Answer, Tell
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols import torchserve
from pilothouse.ops.serving.protocols.openinference import OpenInference
from pilothouse.ops.serving.protocols.telling import tell_error
from pilothouse.ops.serving.protocols.tensorflow import TensorFlow
from pilothouse.ops.serving.protocols.torchserve import TorchServe
from pilothouse.ops.serving.routes import ANY, Route

_BELOW: tuple[tuple[str, Tell], ...] = (("/v2/", tell_error), ("/v1/", tell_error), ("/predictions/", torchserve.tell))


class Protocols:
    """All of them, over one service."""

    def __init__(self, serving: Serving) -> None:
        self._all = (OpenInference(serving), TensorFlow(serving), TorchServe(serving))

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where no protocol has it."""
        found = next((route for protocol in self._all if (route := protocol.route(path)) is not None), None)
        return found or next((_nowhere(tell) for below, tell in _BELOW if path.startswith(below)), None)


def _nowhere(tell: Tell) -> Route:
    """What clients of a protocol are told of an address that it has not, or not here."""
    return Route(method=ANY, template="other", act=_not_there, scope="read", tell=tell)


async def _not_there(_call: Call) -> Answer:
    raise NotFound("Nothing is served at this address; /openapi.json lists what is.")

"""What the gate knows of an address: who answers it, what a key must be allowed, what it takes and how it tells errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

from pilothouse.ops.serving.exchange import Answer, Tell, check_json, problem_answer
from pilothouse.ops.serving.passing import Call

Act = Callable[[Call], Awaitable[Answer]]

ANY = "ANY"
"""Whatever the method is."""
ANY_KEY = "any"
"""The scope of routes that need a key, and find out themselves whether it may: it depends on what is asked for."""
OPEN = ""
"""The scope of routes that need no key: whoever starts the service has to know whether it is up."""


class Table(Protocol):
    """Addresses beside the native ones."""

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where it is none of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes.

    template : names it in metrics and in the access log. scope : what a key must be allowed; PREDICT means the model's
    own. model : the name in its path; None on a short route, which means the only model; "" where it is about none.
    arrow : what takes the body where it is an Arrow stream; None where none is taken. takes : lets through the content
    types that are taken, or raises HttpRefusal. tell : an error as clients of this address read it.
    """

    method: str
    template: str
    act: Act
    scope: str
    model: str | None = ""
    arrow: Act | None = None
    takes: Callable[[Scope], None] = check_json
    tell: Tell = problem_answer

    def takes_method(self, method: str) -> bool:
        return self.method in (method, ANY) or (self.method == "GET" and method == "HEAD")

    @property
    def allowed(self) -> str:
        return "GET, HEAD, OPTIONS" if self.method == "GET" else f"{self.method}, OPTIONS"

"""The one place that turns the error tree into HTTP answers and exit codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pilothouse.data import errors
from pilothouse.data.errors import BadRows, Fault, PilothouseError

# The first class that fits counts, so leaves stand before their branches.
_STATUS: tuple[tuple[type[PilothouseError], int], ...] = (
    (errors.NotAllowed, 403),
    (errors.NotJson, 400),
    (errors.NotFound, 404),
    (errors.Refused, 409),
    (errors.BadData, 422),
    (errors.Unavailable, 503),
)
_EXIT: tuple[tuple[type[PilothouseError], int], ...] = (
    (errors.InvalidSetting, 2),
    (errors.OpenWithoutKeys, 2),
    (errors.NotFound, 4),
    (errors.Refused, 5),
    (errors.BadData, 6),
    (errors.Unavailable, 75),
)
DONE, USAGE, UNEXPECTED = 0, 2, 70

# These sentences carry paths or the words of a library; a stranger is told the same without them.
_PUBLIC: dict[type[PilothouseError], str] = {
    errors.UnknownWorkspace: "The workspace is not there.",
    errors.InvalidSetting: "The service's settings are not in order.",
    errors.BadArtifact: "The model's artifact could not be loaded.",
    errors.StoreDown: "The service's own records cannot be reached just now. Try again in a moment.",
    errors.LogUnavailable: "The prediction log cannot be written just now. Nothing was answered or taken; try again.",
    errors.LogBusy: "The prediction log cannot keep up. Nothing was answered or taken; try again in a moment.",
    errors.DiskFull: "The disk of the prediction log is all but full. Nothing was answered or taken.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong, as RFC 9457 has it. `kind` is stable and machine-readable; `faults` point into the body."""

    status: int
    kind: str
    detail: str
    faults: tuple[Fault, ...] = ()

    @property
    def title(self) -> str:
        return self.kind.replace("-", " ").capitalize()

    def to_json(self, request_id: str) -> dict[str, Any]:
        """The members of an application/problem+json document."""
        document: dict[str, Any] = {
            "type": f"urn:pilothouse:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.faults:
            document["faults"] = [{"pointer": f.pointer, "detail": f.detail} for f in self.faults]
        return document


def problem_of(error: PilothouseError) -> Problem:
    """What a client is told about `error`: never a path, a stack or an input value."""
    return Problem(
        status=_first(_STATUS, error, 500),
        kind=_kebab(type(error).__name__),
        detail=_PUBLIC.get(type(error), str(error)),
        faults=error.faults if isinstance(error, BadRows) else (),
    )


def exit_code(error: PilothouseError) -> int:
    """The exit code of a command that ended in `error`.

    >>> exit_code(errors.UnknownModel("fligths", ["flights"]))
    4
    """
    return _first(_EXIT, error, UNEXPECTED)


def _first(table: tuple[tuple[type[PilothouseError], int], ...], error: PilothouseError, default: int) -> int:
    return next((code for kind, code in table if isinstance(error, kind)), default)


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()

"""What a request leaves in the log: the fields that its answer's entry takes from it, and from what the model said."""

from __future__ import annotations

import math
from typing import Any

from pilothouse.data.errors import BadRows, Fault
from pilothouse.ops.scoring import Scored
from pilothouse.ops.serving.bodies import Asked
from pilothouse.ops.serving.models import Form


def kept(form: Form, asked: Asked, caller: str | None) -> dict[str, Any]:
    """What the log may keep of a request, as fields of its entry."""
    door = form.door
    if door.open:
        return {
            "rows": asked.raw, "at": asked.at, "entities": asked.entities, "keys": asked.keys, "context": asked.context,
            "caller": caller,
        }  # fmt: skip
    return {
        "rows": door.rows(asked.raw, asked.rows),
        "at": asked.at,
        "entities": door.entities(asked.entities),
        "keys": asked.keys,
        "context": door.context(asked.context),
        "caller": caller,
    }


def check_finite(scored: Scored) -> None:
    """Raises BadRows naming the rows for which the model gave no number: not every model copes with missing values."""
    given: list[Any] = scored.scores or scored.score or scored.prediction
    if scored.score is None and scored.scores is None and not isinstance(given[0], float):
        return
    # One value that is not finite makes the sum so.
    sums = given if isinstance(given[0], float) else map(sum, given)
    if math.isfinite(sum(sums)):
        return
    silent = [i for i, value in enumerate(given) if not _finite(value)]
    if silent:
        raise BadRows(
            Fault(f"/rows/{i}", "got no finite score: does the model accept missing values?") for i in silent[:50]
        )


def _finite(value: float | list[float]) -> bool:
    return math.isfinite(value) if isinstance(value, float) else all(map(math.isfinite, value))


def optional_scores(scored: Scored) -> list[float | None] | None:
    return None if scored.score is None else [*scored.score]


def class_scores(scored: Scored) -> list[list[float] | None] | None:
    return None if scored.scores is None else [*scored.scores]

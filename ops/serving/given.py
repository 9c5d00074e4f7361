"""What a request for predictions got, as values: every protocol says it in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilothouse.ops.scoring import Scored
from pilothouse.ops.serving.models import LiveModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a request for predictions got.

    by : the version that answered; the champion where a canary answered some of the rows. versions : by row then, else
    None. logged : False where it was answered without its rows in the log.
    """

    by: LiveModel
    scored: Scored
    ids: list[str]
    logged: bool
    versions: list[int] | None = None


def predictions_of(given: Given) -> dict[str, Any]:
    """The answer of the native protocol: a row names its version where not all have the same."""
    scored, ids = given.scored, given.ids
    scores: Sequence[Any] | None = scored.score if scored.scores is None else scored.scores
    name = "score" if scored.scores is None else "scores"
    rows: list[dict[str, Any]]
    if scores is None:
        rows = [{"id": i, "prediction": p} for i, p in zip(ids, scored.prediction, strict=True)]
    else:
        answers = zip(ids, scored.prediction, scores, strict=True)
        rows = [{"id": i, "prediction": p, name: s} for i, p, s in answers]
    if given.versions is not None:
        for row, version in zip(rows, given.versions, strict=True):
            row["version"] = version
    return {"model": given.by.name, "version": given.by.version, "predictions": rows}

"""A request that a canary takes part in: which rows are whose, and one answer of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from pilothouse.data.log.schema import Role
from pilothouse.ops.releases.assignment import Assignment
from pilothouse.ops.scoring import Scored
from pilothouse.ops.serving.bodies import Asked
from pilothouse.ops.serving.models import Canary, LiveModel, Served

_T = TypeVar("_T")
_RAW_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The rows that one version answers.

    role : in what part. live : the version; None for the champion, whichever it is when the rows are scored.
    places : where the rows stand in the request. asked : has their ids.
    """

    role: Role
    live: LiveModel | None
    places: Sequence[int]
    asked: Asked


def sides_of(served: Served, asked: Asked, ids: list[str], version: int | None = None) -> list[Side]:
    """The request divided between champion and canary: by the entity, else by the row's id.

    ids : of the rows, the caller's or new ones. version : the only one whose answer will do; None for either.
    """
    asked = replace(asked, ids=ids)
    everything = range(len(ids))
    canary = None if served.beside is None else served.beside.canary
    if canary is None or version not in (None, canary.live.version):
        return [Side(role=Role.CHAMPION, live=None, places=everything, asked=asked)]
    taken = [version is not None or held for held in _held(canary.assignment, asked, ids)]
    if all(taken) or not any(taken):
        return [_side(canary if taken[0] else None, everything, asked)]
    mine, rest = ([i for i in everything if taken[i] is side] for side in (True, False))
    return [_side(None, rest, _part(asked, rest)), _side(canary, mine, _part(asked, mine))]


def _side(canary: Canary | None, places: Sequence[int], asked: Asked) -> Side:
    if canary is None:
        return Side(role=Role.CHAMPION, live=None, places=places, asked=asked)
    return Side(role=Role.CANARY, live=canary.live, places=places, asked=asked)


def _held(assignment: Assignment, asked: Asked, ids: list[str]) -> list[bool]:
    """For each row whether the canary has it. A row without an entity goes by its id."""
    entities = asked.entities or [None] * len(ids)
    return [
        assignment.holds(prediction_id if entity is None else entity)
        for entity, prediction_id in zip(entities, ids, strict=True)
    ]


def _part(asked: Asked, places: Sequence[int]) -> Asked:
    raw = _RAW_ROWS.decode(asked.raw)
    return Asked(
        model=asked.model,
        rows=_picked(asked.rows, places),
        raw=msgspec.Raw(b"[" + b",".join(bytes(raw[place]) for place in places) + b"]"),
        **{name: _optional(getattr(asked, name), places) for name in ("ids", "at", "entities", "keys", "context")},
    )


def _picked(values: Sequence[_T], places: Sequence[int]) -> list[_T]:
    return [values[place] for place in places]


def _optional(values: Sequence[Any] | None, places: Sequence[int]) -> list[Any] | None:
    return None if values is None else _picked(values, places)


def merged(parts: Sequence[tuple[Sequence[int], Scored]]) -> Scored:
    """What was said of all rows, in the request's order. parts : places and scores, one for each version."""
    if len(parts) == 1:
        return parts[0][1]
    return Scored(
        prediction=_in_order([(places, scored.prediction) for places, scored in parts]),
        score=_all_in_order([(places, scored.score) for places, scored in parts]),
        scores=_all_in_order([(places, scored.scores) for places, scored in parts]),
    )


def in_order(parts: Sequence[tuple[Sequence[int], int]]) -> list[int]:
    """The version that answered each row. parts : places and versions."""
    return _in_order([(places, [version] * len(places)) for places, version in parts])


def _all_in_order(parts: Sequence[tuple[Sequence[int], list[_T] | None]]) -> list[_T] | None:
    """None where a version gives none: all have one task."""
    given = [(places, values) for places, values in parts if values is not None]
    return _in_order(given) if len(given) == len(parts) else None


def _in_order(parts: Sequence[tuple[Sequence[int], list[_T]]]) -> list[_T]:
    placed = {place: value for places, values in parts for place, value in zip(places, values, strict=True)}
    return [placed[place] for place in range(len(placed))]

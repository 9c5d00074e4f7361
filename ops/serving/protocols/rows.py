"""From the body of another server's client to ours, and back from our pointers to where a fault stands in the former."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from pilothouse.data.errors import BadRows, Fault
from pilothouse.data.signature import Signature
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.faults import Faults, NotFinite, is_object, step
from pilothouse.ops.serving.given import Given
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols.versions import check_live

BESIDE = {"id": "ids", "at": "at", "entity_id": "entities", "keys": "keys"}
"""What may stand in a row beside its features, and the array of our own body that takes it; called as in the Arrow form."""
_LARGE_BODY = 64 * 1024
_POINTER = re.compile(r"/(rows|ids|at|entities|keys|context)(?:/(\d+))?(?:/([^/]*))?(.*)")
_REPEATS = re.compile(r"/ids/\d+")

T = TypeVar("T")
Place = Callable[[int | None, str | None], str]
"""The pointer to a row, a column, or a row's value in a column (as RFC 6901 writes its name), in the body that came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """Rows as they came: objects by feature, or arrays in the features' order. place : where each stands in the body."""

    rows: list[Any]
    place: Place


async def ask(serving: Serving, call: Call, version: int | None, read: Callable[[Signature], Came]) -> Given:
    """The answer to the rows that `read` finds in the body of `call`, checked and logged like any other.

    version : that its path names. Raises what `Serving.answered` raises, with pointers into the body that came.
    """
    served = serving.models.served(call.model)
    check_live(served, version)
    came, body = await off_loop(call, lambda: _read(served.form.signature, read))
    try:
        return await serving.answered(call.model, body, call.caller, version=version)
    except BadRows as error:
        raise placed(error, came.place) from None


def by_row(base: str) -> Place:
    """Places of rows that stand in the array at `base`."""

    def place(row: int | None, column: str | None) -> str:
        found = base if row is None else f"{base}/{row}"
        return found if column is None else f"{found}/{column}"

    return place


def outputs_by_name(given: Given) -> dict[str, list[Any]]:
    """Every output's values, one a row."""
    scored = given.scored
    outputs: dict[str, list[Any]] = {"prediction": scored.prediction}
    if scored.score is not None:
        outputs["score"] = [*scored.score]
    if scored.scores is not None:
        outputs["scores"] = [*scored.scores]
    return outputs | {"version": versions_of(given), "id": [*given.ids]}


def versions_of(given: Given) -> list[int]:
    """The version that answered each row: a canary may have answered some."""
    return given.versions or [given.by.version] * len(given.ids)


def placed(error: BadRows, place: Place) -> BadRows:
    """`error`, which points into our body, with pointers into the body that came."""

    def move(pointer: str) -> str:
        found = _POINTER.fullmatch(pointer)
        if found is None:
            return pointer
        array, row, name, rest = found.groups()
        if array in BESIDE.values():
            own = next(own for own, beside in BESIDE.items() if beside == array)
            name, rest = own, f"/{name}{rest}" if name else rest
        return place(None if row is None else int(row), name) + rest

    def said(detail: str) -> str:
        return _REPEATS.sub(lambda found: move(found[0]), detail)

    return BadRows(Fault(move(fault.pointer), said(fault.detail)) for fault in error.faults)


async def off_loop(call: Call, act: Callable[[], T]) -> T:
    """What `act` makes of the body of `call`; in a thread where that is large, so that others need not wait."""
    return await asyncio.to_thread(act) if len(call.body) > _LARGE_BODY else act()


def _read(signature: Signature, read: Callable[[Signature], Came]) -> tuple[Came, bytes]:
    came = read(signature)
    try:
        return came, native(came.rows, signature)
    except BadRows as error:
        raise placed(error, came.place) from None


def native(rows: Sequence[Any], signature: Signature) -> bytes:
    """The body of `POST /models/{name}/predict` that says the same as `rows`.

    A value may stand in a list of one. NaN is a missing value. What is called as in BESIDE or as a context column goes
    beside the rows, unless a feature is called so. Raises BadRows for what our body could not say.
    """
    found = Faults()
    named = [_named(row, f"/rows/{i}", signature, found) for i, row in enumerate(rows)]
    if found.found:
        raise BadRows(found.listed())
    own, context = {*signature.names}, {column.name for column in signature.context}
    beside = {name: array for name, array in BESIDE.items() if name not in own | context}
    aside = (context | {*beside}) - own
    body: dict[str, Any] = {"rows": named}
    if any(name in aside for row in named for name in row):
        body["rows"] = [{name: value for name, value in row.items() if name not in aside} for row in named]
        for name, array in beside.items():
            if any(name in row for row in named):
                body[array] = [_keys(row.get(name)) if name == "keys" else row.get(name) for row in named]
        if any(name in context for row in named for name in row):
            body["context"] = [{name: row[name] for name in context if name in row} for row in named]
    return _encoded(body)


def _named(row: Any, pointer: str, signature: Signature, found: Faults) -> dict[str, Any]:
    """`row` as an object of plain values."""
    names = signature.names
    if isinstance(row, list) and len(row) == len(names):
        row = dict(zip(names, row, strict=True))
    elif len(names) == 1 and not isinstance(row, list | dict):
        row = {names[0]: row}
    elif isinstance(row, list):
        found.add(
            pointer, f"must have {len(names)} values, one a feature in the order of the signature; got {len(row)}"
        )
        return {}
    if not is_object(row, pointer, found):
        return {}
    return {
        name: value if _is_plain(value) else _value(name, value, pointer, signature, found)
        for name, value in row.items()
    }


def _value(name: str, value: Any, pointer: str, signature: Signature, found: Faults) -> Any:
    where = step(pointer, name)
    if name != "keys" or name in signature.names:
        return plain(value, where, found)
    keys = _unwrapped(value)
    if isinstance(keys, dict) and is_object(keys, where, found):
        return {own: plain(item, step(where, own), found) for own, item in keys.items()}
    return plain(keys, where, found)


def _is_plain(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value is None or isinstance(value, str | bool | int)


def plain(value: Any, pointer: str, found: Faults) -> Any:
    """`value` out of the lists of one around it, None for NaN. Of other lists and objects only their type is kept."""
    value = _unwrapped(value)
    if isinstance(value, NotFinite):
        if value.word != "NaN":
            found.add(pointer, f"{value.word} is not a value here; NaN or null is a missing one")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        found.add(pointer, "is out of the range of a double")
    if isinstance(value, dict):
        return _text_of(value)
    return [] if isinstance(value, list) else value


def _unwrapped(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _text_of(value: dict[str, Any]) -> Any:
    """The text that TensorFlow's clients may write as {"b64": ...}; an empty object for any other."""
    if value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except ValueError:
            return {}
    return {}


def _keys(value: Any) -> Any:
    """Business keys, which may be written as JSON in a text."""
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # Numbers of too many digits and half surrogate pairs: written out, they are refused by their place.
        return json.dumps(body).encode()

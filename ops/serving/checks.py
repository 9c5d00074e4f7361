"""The full checks of a model's bodies, made from its signature. They name every fault, and never a value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pilothouse.data.log.schema import MAX_LATENCY_US
from pilothouse.data.signature import NUMERIC, Feature, Kind, Signature, Target, Task
from pilothouse.ops.serving import faults
from pilothouse.ops.serving.faults import Check, Faults

MAX_TEXT = 512
MAX_ID = 128
MAX_KEYS = 16
MAX_VERSION = 2**31 - 1
_PARALLEL = ("ids", "at", "entities", "keys", "context")
# Times outside this span are slips, and would each open a partition of the log's tables.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _feature_check(feature: Feature) -> Check:
    if feature.numeric:
        return faults.number(nullable=feature.nullable, whole=feature.kind is Kind.INTEGER)
    if feature.kind is Kind.BOOLEAN:
        return faults.boolean(nullable=feature.nullable)
    return faults.text(longest=MAX_TEXT, nullable=feature.nullable)


def _value_check(target: Target) -> Check:
    if target.kind in NUMERIC:
        return faults.one_of(faults.number(), target.classes)
    if target.kind is Kind.BOOLEAN:
        return faults.boolean()
    return faults.one_of(faults.text(longest=MAX_TEXT), target.classes)


def _score_check(signature: Signature) -> Check:
    one = faults.number(nullable=True, within=(0, 1))
    if signature.task is not Task.MULTICLASS:
        return one
    classes = len(signature.target.classes)
    each = faults.array(faults.number(within=(0, 1)), shortest=classes, longest=classes, of="probabilities")

    def check(value: Any, pointer: str, found: Faults) -> None:
        (each if isinstance(value, list) else one)(value, pointer, found)

    return check


def _key_check(*, nullable: bool) -> Check:
    def check(value: Any, pointer: str, found: Faults) -> None:
        as_text, as_number = faults.text(longest=MAX_TEXT), faults.number()
        (as_text if isinstance(value, str) else as_number)(value, pointer, found)

    return faults.mapping(check, longest=MAX_KEYS, longest_name=MAX_ID, nullable=nullable)


def _context_check(signature: Signature) -> Check:
    given = faults.record({c.name: _feature_check(Feature(name=c.name, kind=c.kind)) for c in signature.context}, [])
    return _optional(given)


def _row_arrays(signature: Signature, max_rows: int) -> dict[str, Check]:
    def each(check: Check, of: str, shortest: int = 0) -> Check:
        return faults.array(check, shortest=shortest, longest=max_rows, of=of)

    row = faults.record({f.name: _feature_check(f) for f in signature.features}, signature.names)
    some_id = faults.text(shortest=1, longest=MAX_ID)
    return {
        "rows": each(row, "rows", shortest=1),
        "ids": _optional(each(some_id, "ids")),
        "at": _optional(each(faults.time(EARLIEST, LATEST), "times")),
        "entities": _optional(each(faults.text(shortest=1, longest=MAX_ID, nullable=True), "entities")),
        "keys": _optional(each(_key_check(nullable=True), "keys")),
        "context": _optional(each(_context_check(signature), "context")),
    }


def _optional(check: Check) -> Check:
    def checked(value: Any, pointer: str, found: Faults) -> None:
        if value is not None:
            check(value, pointer, found)

    return checked


def _with_equal_lengths(check: Check, arrays: Sequence[str]) -> Check:
    """`check`, and beyond it: each of `arrays` has as many items as rows, and no id stands twice."""

    def checked(value: Any, pointer: str, found: Faults) -> None:
        check(value, pointer, found)
        if not isinstance(value, dict) or not isinstance(rows := value.get("rows"), list):
            return
        for name in arrays:
            given = value.get(name)
            if isinstance(given, list) and len(given) != len(rows):
                found.add(f"/{name}", f"must have one item a row: {len(rows)}; got {len(given)}")
        if isinstance(ids := value.get("ids"), list):
            _check_distinct(ids, found)

    return checked


def _check_distinct(ids: list[Any], found: Faults) -> None:
    first: dict[str, int] = {}
    for position, given in enumerate(ids):
        if isinstance(given, str) and first.setdefault(given, position) != position:
            found.add(f"/ids/{position}", f"repeats /ids/{first[given]}; each row needs an id of its own")


def predict_check(signature: Signature, max_rows: int) -> Check:
    fields = _row_arrays(signature, max_rows) | {"model": faults.text(longest=MAX_TEXT, nullable=True)}
    return _with_equal_lengths(faults.record(fields, ["rows"]), [*_PARALLEL])


def explain_check(signature: Signature, max_rows: int) -> Check:
    fields = {"rows": _row_arrays(signature, max_rows)["rows"], "model": faults.text(longest=MAX_TEXT, nullable=True)}
    if signature.task is Task.MULTICLASS:
        fields["class"] = _optional(_value_check(signature.target))
    return faults.record(fields, ["rows"])


def log_check(signature: Signature, max_rows: int) -> Check:
    latency = faults.number(nullable=True, within=(0, MAX_LATENCY_US))
    fields = _row_arrays(signature, max_rows) | {
        "model": faults.text(longest=MAX_TEXT, nullable=True),
        "predictions": faults.array(_value_check(signature.target), shortest=1, longest=max_rows, of="predictions"),
        "scores": _optional(faults.array(_score_check(signature), shortest=1, longest=max_rows, of="scores")),
        "latency_us": _optional(faults.array(latency, shortest=1, longest=max_rows, of="latencies")),
        "version": _optional(faults.number(whole=True, within=(1, MAX_VERSION))),
    }
    parallel = [*_PARALLEL, "predictions", "scores", "latency_us"]
    return _with_equal_lengths(faults.record(fields, ["rows", "predictions"]), parallel)


def labels_check(signature: Signature, max_rows: int) -> Check:
    fields = {
        "id": _optional(faults.text(shortest=1, longest=MAX_ID)),
        "key": _key_check(nullable=True),
        "label": _value_check(signature.target),
        "observed_at": _optional(faults.time(EARLIEST, LATEST)),
    }
    one = faults.record(fields, ["label"])

    def either(value: Any, pointer: str, found: Faults) -> None:
        one(value, pointer, found)
        if isinstance(value, dict) and (value.get("id") is None) == (value.get("key") is None):
            found.add(pointer, "must have either an id or a key")

    labels = faults.array(either, shortest=1, longest=max_rows, of="labels")
    return faults.record({"labels": labels}, ["labels"])

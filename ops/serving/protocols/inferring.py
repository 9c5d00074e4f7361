"""Requests of the Open Inference Protocol: what they must look like, and the rows that their tensors hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.data.errors import BadRows, Fault
from pilothouse.data.signature import Kind, Signature, Task, Value
from pilothouse.ops.serving import faults
from pilothouse.ops.serving.checks import MAX_TEXT
from pilothouse.ops.serving.faults import Check, Faults, load_json
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.protocols.rows import BESIDE, Came
from pilothouse.ops.serving.protocols.tensors import BYTES, DATATYPES, Tensor, output_type, read_tensors

JSON_LENGTH = b"inference-header-content-length"
MISSING = "missing"
"""The request's parameter that says which text of a BYTES tensor is a missing value."""
_MOST_TENSORS = 10_000
_ABOUT_ROWS = (("version", "INT64", [-1]), ("id", BYTES, [-1]))


def request_in(call: Call) -> tuple[dict[str, Any], bytes]:
    """The checked JSON of a body, and the bytes behind it. Raises NotJson or BadRows."""
    text, binary = _parts(call)
    asked = load_json(text)
    _check(asked)
    return asked, binary


def _parts(call: Call) -> tuple[bytes, bytes]:
    lengths = [value for name, value in call.headers if name == JSON_LENGTH]
    if not lengths:
        return call.body, b""
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 12 or int(lengths[0]) > len(call.body):
        raise _bad("", "must begin with as many bytes of JSON as the header Inference-Header-Content-Length says")
    length = int(lengths[0])
    return call.body[:length], call.body[length:]


def _check(asked: Any) -> None:
    """Raises BadRows unless what is read of a request is of the right types. What the protocol leaves open may stand."""
    found = Faults()
    if faults.is_object(asked, "", found):
        _fields(asked, {"id": faults.text(longest=MAX_TEXT, nullable=True)}, "", found)
        _parameters(asked, "", found)
        _check_each(asked.get("inputs"), "/inputs", _INPUT, _no_other_coding, found, shortest=1)
        if asked.get("outputs") is not None:
            _check_each(asked["outputs"], "/outputs", {"name": _TEXT}, _no_classification, found, shortest=0)
    if found.found:
        raise BadRows(found.listed())


def _check_each(
    given: Any, pointer: str, fields: Mapping[str, Check], parameters: Check, found: Faults, *, shortest: int
) -> None:
    """Look at the tensors of an array: their `fields`, which all must be there, and their `parameters`."""

    def one(value: Any, at: str, found: Faults) -> None:
        if faults.is_object(value, at, found):
            _fields(value, fields, at, found, required=True)
            _parameters(value, at, found, parameters)

    faults.array(one, shortest=shortest, longest=_MOST_TENSORS, of="tensors")(given, pointer, found)


def _fields(
    given: dict[str, Any], checks: Mapping[str, Check], pointer: str, found: Faults, *, required: bool = False
) -> None:
    for name, check in checks.items():
        if name in given:
            check(given[name], f"{pointer}/{name}", found)
        elif required:
            found.add(f"{pointer}/{name}", "is missing")


def _parameters(given: dict[str, Any], pointer: str, found: Faults, check: Check | None = None) -> None:
    parameters = given.get("parameters")
    if parameters is not None and faults.is_object(parameters, f"{pointer}/parameters", found) and check is not None:
        check(parameters, f"{pointer}/parameters", found)


def _no_other_coding(parameters: Any, pointer: str, found: Faults) -> None:
    if parameters.get("content_type") == "base64":
        found.add(f"{pointer}/content_type", "is not taken: send texts as they are")
    if any(name.startswith("shared_memory") for name in parameters):
        found.add(pointer, "must not refer to shared memory: send the data itself")


def _no_classification(parameters: Any, pointer: str, found: Faults) -> None:
    if "classification" in parameters:
        found.add(f"{pointer}/classification", "is not taken: ask for the output itself")


def _datatype(value: Any, pointer: str, found: Faults) -> None:
    if value not in DATATYPES:
        found.add(pointer, f"must be one of {', '.join(DATATYPES)}")


def _shape(value: Any, pointer: str, found: Faults) -> None:
    length = faults.number(whole=True, within=(0, 2**31))
    faults.array(length, shortest=1, longest=2, of="lengths")(value, pointer, found)
    if isinstance(value, list) and any(isinstance(given, float) for given in value):
        found.add(pointer, "must have lengths written without a fraction")


_TEXT = faults.text(longest=MAX_TEXT, shortest=1)
_INPUT: Mapping[str, Check] = {"name": _TEXT, "datatype": _datatype, "shape": _shape}


def came_in(asked: dict[str, Any], binary: bytes, signature: Signature) -> Came:
    """The rows that a request's tensors hold. Raises BadRows, with pointers into its JSON."""
    _check_outputs(asked, signature)
    tensors = read_tensors(asked["inputs"], binary)
    kinds = dict.fromkeys(BESIDE, Kind.CATEGORY) | {column.name: column.kind for column in signature.columns}
    matrix = _matrix(tensors, kinds, signature)
    if matrix is not None:
        return _of_matrix(matrix, signature)
    _check_names(tensors, kinds, signature)
    missing = (asked.get("parameters") or {}).get(MISSING)
    columns = {tensor.name: _column(tensor, kinds[tensor.name], missing) for tensor in tensors}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    where = {faults.step("", tensor.name)[1:]: tensor.pointer for tensor in tensors}

    def place(row: int | None, column: str | None) -> str:
        if column is None:
            return "/inputs" if row is None else f"row {row}"
        pointer = where.get(column, "/inputs")
        return pointer if row is None else f"{pointer}/data/{row}"

    return Came(rows=rows, place=place)


def _matrix(tensors: Sequence[Tensor], kinds: Mapping[str, Kind], signature: Signature) -> Tensor | None:
    """The one tensor of all features, where there is such."""
    only = tensors[0]
    of_all = len(tensors) == 1 and only.name not in kinds and len(only.shape) == 2
    return only if of_all and only.shape[1] == len(signature.features) else None


def _of_matrix(tensor: Tensor, signature: Signature) -> Came:
    unfit = [f.name for f in signature.features if not tensor.fits(f.kind)]
    if unfit:
        told = f"{tensor.datatype} does not fit {', '.join(unfit[:5])}"
        raise _bad(f"{tensor.pointer}/datatype", f"{told}: send one tensor for each feature")
    given = zip(signature.features, tensor.columns(len(signature.features)), strict=True)
    columns = [_values(values, tensor, feature.kind) for feature, values in given]
    order = {faults.step("", name)[1:]: i for i, name in enumerate(signature.names)}

    def place(row: int | None, column: str | None) -> str:
        found = tensor.pointer if row is None else f"{tensor.pointer}/data/{row}"
        return found if column is None else f"{found}/{order.get(column, column)}"

    return Came(rows=[list(values) for values in zip(*columns, strict=True)], place=place)


def _check_names(tensors: Sequence[Tensor], kinds: Mapping[str, Kind], signature: Signature) -> None:
    found, seen, names = Faults(), set[str](), {tensor.name for tensor in tensors}
    for name in (name for name in signature.names if name not in names):
        found.add("/inputs", f"must have a tensor for each feature; none is called {name}")
    length = tensors[0].shape[0]
    for tensor in tensors:
        if tensor.name not in kinds:
            found.add(f"{tensor.pointer}/name", f"must be a feature: {', '.join(signature.names[:20])}")
        elif tensor.name in seen:
            found.add(f"{tensor.pointer}/name", "stands twice")
        elif not tensor.fits(kinds[tensor.name]):
            found.add(f"{tensor.pointer}/datatype", f"{tensor.datatype} does not fit a {kinds[tensor.name]}")
        if tensor.shape not in ((length,), (length, 1)):
            found.add(f"{tensor.pointer}/shape", f"must be [{length}] or [{length}, 1], as that of the first tensor")
        seen.add(tensor.name)
    if found.found:
        raise BadRows(found.listed())


def _column(tensor: Tensor, kind: Kind, missing: Any) -> list[Value]:
    if kind is Kind.CATEGORY and missing is not None:
        return [None if value == missing else value for value in tensor.values]
    return _values(tensor.values, tensor, kind)


def _values(values: list[Value], tensor: Tensor, kind: Kind) -> list[Value]:
    """Numbers that stand for booleans as such; what is neither 0 nor 1 stays, and is refused as no boolean."""
    if kind is not Kind.BOOLEAN or tensor.datatype == "BOOL":
        return values
    return [bool(value) if value in (0, 1) else value for value in values]


def _check_outputs(asked: dict[str, Any], signature: Signature) -> None:
    """Raises BadRows for outputs that the model has not, before anything is scored and logged."""
    known, found, seen = [name for name, _, _ in outputs_of(signature)], Faults(), set[str]()
    for position, one in enumerate(asked.get("outputs") or ()):
        if one["name"] not in known:
            found.add(f"/outputs/{position}/name", f"must be one of {', '.join(known)}")
        elif one["name"] in seen:
            found.add(f"/outputs/{position}/name", "stands twice")
        seen.add(one["name"])
    if found.found:
        raise BadRows(found.listed())


def outputs_of(signature: Signature) -> list[tuple[str, str, list[int]]]:
    """Name, datatype and shape of each output; -1 stands for the rows."""
    return [("prediction", output_type(signature.target), [-1]), *_scores(signature), *_ABOUT_ROWS]


def _scores(signature: Signature) -> list[tuple[str, str, list[int]]]:
    if signature.task is Task.BINARY:
        return [("score", "FP64", [-1])]
    return [("scores", "FP64", [-1, len(signature.target.classes)])] if signature.task is Task.MULTICLASS else []


def _bad(pointer: str, detail: str) -> BadRows:
    return BadRows([Fault(pointer, detail)])

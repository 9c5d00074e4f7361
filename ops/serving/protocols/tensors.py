"""Tensors of the Open Inference Protocol, in JSON or as raw bytes behind it, as columns of plain values and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.data.errors import BadRows, Fault
from pilothouse.data.signature import NUMERIC, Feature, Kind, Target, Value
from pilothouse.ops.serving.faults import Faults, step
from pilothouse.ops.serving.protocols.rows import plain

# Little-endian, whatever the machine: the protocol has it so.
_NUMPY = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
BYTES = "BYTES"
DATATYPES = (*_NUMPY, BYTES)
FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
NUMBERS = frozenset(_NUMPY) - {"BOOL"}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """values : in row-major order, None where one is missing. pointer : where it stands in the request."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Value]
    pointer: str = ""

    def fits(self, kind: Kind) -> bool:
        """Whether values of this datatype can be those of a feature; a number may stand for a boolean as 0 or 1."""
        if kind is Kind.CATEGORY:
            return self.datatype == BYTES
        return self.datatype in NUMBERS or (kind is Kind.BOOLEAN and self.datatype == "BOOL")

    def columns(self, width: int) -> list[list[Value]]:
        """The values of each of `width` columns."""
        return [self.values[i::width] for i in range(width)]


def input_type(feature: Feature) -> str:
    """The datatype that a feature is described with: one that can hold its missing values, where it may have such.

    >>> input_type(Feature(name="age", kind=Kind.INTEGER)), input_type(Feature(name="plan", kind=Kind.CATEGORY))
    ('FP64', 'BYTES')
    """
    if feature.numeric:
        return "INT64" if feature.kind is Kind.INTEGER and not feature.nullable else "FP64"
    return "BOOL" if feature.kind is Kind.BOOLEAN else BYTES


def output_type(target: Target) -> str:
    """The datatype of predictions.

    >>> output_type(Target(name="late", kind=Kind.INTEGER, classes=(0, 1)))
    'INT64'
    """
    if target.kind in NUMERIC:
        return "INT64" if target.classes and all(isinstance(value, int) for value in target.classes) else "FP64"
    return "BOOL" if target.kind is Kind.BOOLEAN else BYTES


def read_tensors(given: Sequence[dict[str, Any]], binary: bytes) -> list[Tensor]:
    """The tensors of a request's `inputs`, each a checked object; `binary` : what came behind the JSON.

    Raises BadRows, with pointers into the JSON.
    """
    tensors, rest = [], memoryview(binary)
    for position, one in enumerate(given):
        pointer = f"/inputs/{position}"
        size = (one.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = _from_json(one, pointer)
        else:
            values = _from_binary(one, _taken(rest, size, pointer), pointer)
            rest = rest[size:]
        shape = tuple(one["shape"])
        tensors.append(Tensor(name=one["name"], datatype=one["datatype"], shape=shape, values=values, pointer=pointer))
    if len(rest):
        raise _bad("/inputs", f"must account for all bytes behind the JSON; {len(rest)} are left over")
    return tensors


def _taken(rest: memoryview, size: Any, pointer: str) -> bytes:
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise _bad(f"{pointer}/parameters/binary_data_size", f"must be a whole number up to the {len(rest)} bytes left")
    return bytes(rest[:size])


def _from_json(one: dict[str, Any], pointer: str) -> list[Value]:
    if not isinstance(one.get("data"), list):
        raise _bad(f"{pointer}/data", "must be an array, unless parameters hold a binary_data_size")
    values, found = _flat(one["data"], one["shape"], f"{pointer}/data"), Faults()
    wants = None if one["datatype"] in FLOATS or one["datatype"] == BYTES else int
    for position, value in enumerate(values):
        if isinstance(value, float) and wants is int and math.isfinite(value):
            found.add(step(f"{pointer}/data", position), f"must be whole, as {one['datatype']} says")
    known = [plain(value, step(f"{pointer}/data", position), found) for position, value in enumerate(values)]
    if found.found:
        raise BadRows(found.listed())
    return known


def _flat(data: list[Any], shape: Sequence[int], pointer: str) -> list[Any]:
    """The values of nested or flat `data`, in row-major order. Raises BadRows unless they are as many as `shape` says."""
    for length in shape[1:]:
        if not any(isinstance(part, list) for part in data):
            break
        if not all(isinstance(part, list) and len(part) == length for part in data):
            raise _bad(pointer, f"must be flat, or nested as the shape {list(shape)} says")
        data = [value for part in data for value in part]
    _check_count(len(data), shape, pointer)
    return data


def _check_count(count: int, shape: Sequence[int], pointer: str) -> None:
    if count != math.prod(shape):
        raise _bad(pointer, f"must have {math.prod(shape)} values, as the shape {list(shape)} says; got {count}")


def _from_binary(one: dict[str, Any], content: bytes, pointer: str) -> list[Value]:
    where, shape = f"{pointer}/data", one["shape"]
    if "data" in one:
        raise _bad(where, "must not be there beside a binary_data_size")
    if one["datatype"] == BYTES:
        texts: list[Value] = list(_texts(content, where))
        _check_count(len(texts), shape, where)
        return texts
    code = np.dtype(_NUMPY[one["datatype"]])
    if len(content) != math.prod(shape) * code.itemsize:
        raise _bad(
            where, f"must have {math.prod(shape) * code.itemsize} bytes, as shape and datatype say; got {len(content)}"
        )
    return _numbers(np.frombuffer(content, code), one["datatype"], where)


def _numbers(array: np.ndarray[Any, Any], datatype: str, pointer: str) -> list[Value]:
    if datatype == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    values: list[Value] = array.tolist()
    if datatype not in FLOATS:
        return values
    infinite = np.flatnonzero(np.isinf(array)).tolist()
    if infinite:
        found = Faults()
        for position in infinite:
            found.add(step(pointer, position), "is infinite; NaN is a missing value")
        raise BadRows(found.listed())
    return [None if missing else value for missing, value in zip(np.isnan(array).tolist(), values, strict=True)]


def _texts(content: bytes, pointer: str) -> Iterator[str]:
    """Texts that each have their length before them, in four bytes."""
    at = position = 0
    while at < len(content):
        end = at + _LENGTH.size
        length = _LENGTH.unpack_from(content, at)[0] if end <= len(content) else len(content)
        if end + length > len(content):
            raise _bad(step(pointer, position), "is cut off")
        try:
            yield content[end : end + length].decode()
        except UnicodeDecodeError:
            raise _bad(step(pointer, position), "is not UTF-8") from None
        at, position = end + length, position + 1


def to_json(tensor: Tensor) -> dict[str, Any]:
    return _head(tensor) | {"data": tensor.values}


def to_binary(tensor: Tensor) -> tuple[dict[str, Any], bytes]:
    """What the JSON says of a tensor whose values stand behind it, and these."""
    if tensor.datatype == BYTES:
        texts = [str(value).encode() for value in tensor.values]
        content = b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    else:
        content = np.asarray(tensor.values, _NUMPY[tensor.datatype]).tobytes()
    return _head(tensor) | {"parameters": {"binary_data_size": len(content)}}, content


def _head(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _bad(pointer: str, detail: str) -> BadRows:
    return BadRows([Fault(pointer, detail)])

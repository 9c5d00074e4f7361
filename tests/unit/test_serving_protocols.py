"""From other servers' bodies to ours, without a server: tensors of every kind, names that meet, and where faults stand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pilothouse.data.errors import BadRows, Fault
from pilothouse.data.signature import ContextColumn, Feature, Kind, Signature, Target, Task
from pilothouse.ops.serving.faults import load_json
from pilothouse.ops.serving.protocols.inferring import came_in
from pilothouse.ops.serving.protocols.rows import by_row, native, placed
from pilothouse.ops.serving.protocols.tensors import Tensor, read_tensors, to_binary

LATE = Target(name="late", kind=Kind.BOOLEAN, classes=(False, True))


def signature(*features: tuple[str, Kind], context: tuple[ContextColumn, ...] = ()) -> Signature:
    named = tuple(Feature(name=name, kind=kind) for name, kind in features)
    return Signature(features=named, target=LATE, task=Task.BINARY, context=context)


def said(rows: list[Any], of: Signature) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(native(rows, of))
    return body


def refusal(act: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadRows) as caught:
        act()
    return [(fault.pointer, fault.detail) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("datatype", "content", "values"),
    [
        ("INT8", np.array([-1, 7], "i1"), [-1, 7]),
        ("UINT64", np.array([0, 2**63], "<u8"), [0, 2**63]),
        ("BOOL", np.array([True, False]), [True, False]),
        ("FP16", np.array([1.5, np.nan], "<f2"), [1.5, None]),
        ("BF16", (np.array([1.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2"), [1.5, -2.0]),
        ("FP64", np.array([1e300, np.nan], "<f8"), [1e300, None]),
    ],
)
def test_every_datatype_is_read_from_its_bytes(datatype: str, content: Any, values: list[Any]) -> None:
    raw = content.tobytes()
    head = {"name": "x", "datatype": datatype, "shape": [2], "parameters": {"binary_data_size": len(raw)}}
    assert read_tensors([head], raw)[0].values == values


def test_texts_come_back_as_they_went_and_broken_ones_are_named() -> None:
    tensor = Tensor(name="id", datatype="BYTES", shape=(3,), values=["", "äö", "x" * 300])
    head, raw = to_binary(tensor)
    assert read_tensors([head], raw)[0].values == tensor.values
    for broken, told in ((raw[:-1], "/inputs/0/data/2"), (raw[:2], "/inputs/0/data/0"), (raw[:4], "/inputs/0/data")):
        short = head | {"parameters": {"binary_data_size": len(broken)}}
        assert refusal(lambda short=short, broken=broken: read_tensors([short], broken))[0][0] == told
    wild = b"\x01\0\0\0\xff"
    one = head | {"shape": [1], "parameters": {"binary_data_size": len(wild)}}
    assert refusal(lambda: read_tensors([one], wild)) == [("/inputs/0/data/0", "is not UTF-8")]


def test_one_matrix_of_all_features() -> None:
    numbers = signature(("a", Kind.NUMBER), ("b", Kind.INTEGER), ("c", Kind.BOOLEAN))
    matrix = {"name": "input-0", "datatype": "FP32", "shape": [2, 3], "data": [[1.5, 2, 0], [None, 4, 1]]}
    came = came_in({"inputs": [matrix]}, b"", numbers)
    assert said(came.rows, numbers)["rows"] == [{"a": 1.5, "b": 2, "c": False}, {"a": None, "b": 4, "c": True}]
    wrong = BadRows([Fault("/rows/1/b", "must be whole"), Fault("/rows/1", "got no finite score")])
    assert [fault.pointer for fault in placed(wrong, came.place).faults] == ["/inputs/0/data/1/1", "/inputs/0/data/1"]
    texts = signature(("a", Kind.NUMBER), ("b", Kind.CATEGORY))
    body = {"inputs": [matrix | {"shape": [3, 2], "data": [1, 2, 3, 4, 5, 6]}]}
    assert refusal(lambda: came_in(body, b"", texts)) == [
        ("/inputs/0/datatype", "FP32 does not fit b: send one tensor for each feature")
    ]


def test_a_nested_tensor_never_moves_a_value_to_another_row() -> None:
    ragged = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1.0, 2.0, 3.0], [4.0]]}
    assert refusal(lambda: read_tensors([ragged], b""))[0][1].startswith("must be flat, or nested as the shape [2, 2]")


def test_what_stands_beside_the_features_goes_beside_the_rows() -> None:
    plan = ContextColumn(name="plan", kind=Kind.CATEGORY)
    of = signature(("a", Kind.NUMBER), context=(plan,))
    row = {
        "a": [1.5],
        "id": "r1",
        "at": "2026-03-03T00:00:00Z",
        "entity_id": None,
        "keys": {"order": [17]},
        "plan": "x",
    }
    assert said([row], of) == {
        "rows": [{"a": 1.5}], "ids": ["r1"], "at": ["2026-03-03T00:00:00Z"], "entities": [None],
        "keys": [{"order": 17}], "context": [{"plan": "x"}],
    }  # fmt: skip
    doubled = load_json(b'{"a": 1, "keys": {"order": 1, "order": 2}}')
    assert refusal(lambda: native([doubled], of)) == [("/rows/0/keys/order", "is given twice")]
    own = signature(("id", Kind.CATEGORY), ("keys", Kind.NUMBER))
    assert said([{"id": "blue", "keys": 2}], own) == {"rows": [{"id": "blue", "keys": 2}]}


def test_values_as_other_clients_write_them() -> None:
    of = signature(("a", Kind.NUMBER), ("b", Kind.CATEGORY))
    rows = [{"a": [[2]], "b": {"b64": "dGFnZXM="}}, [3.5, ["x"]]]
    assert said(rows, of)["rows"] == [{"a": 2, "b": "tages"}, {"a": 3.5, "b": "x"}]
    assert said([7], signature(("a", Kind.NUMBER)))["rows"] == [{"a": 7}]
    assert refusal(lambda: native([[1.0]], of)) == [
        ("/rows/0", "must have 2 values, one a feature in the order of the signature; got 1")
    ]
    assert said([{"a": {"secret": [1, {}]}, "b": [1, 2]}], of)["rows"] == [{"a": {}, "b": []}]


def test_faults_are_placed_in_the_body_that_came() -> None:
    ours = [
        Fault("/rows/3/a~1b", "is missing"), Fault("/ids/1", "repeats /ids/0; each row"), Fault("/keys/2/order", "must"),
        Fault("/context/0/plan", "must"), Fault("/rows", "must have 1 to 10000 rows"), Fault("", "and 9 more"),
    ]  # fmt: skip
    found = placed(BadRows(ours), by_row("/instances")).faults
    assert [fault.pointer for fault in found] == [
        "/instances/3/a~1b", "/instances/1/id", "/instances/2/keys/order", "/instances/0/plan", "/instances", "",
    ]  # fmt: skip
    assert found[1].detail == "repeats /instances/0/id; each row"

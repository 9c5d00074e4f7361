"""Arrow streams: they say what the JSON body says, and no bytes from outside do harm."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest

from pilothouse.data.errors import BadRows
from pilothouse.data.signature import ContextColumn, Feature, Kind, Signature, Target, Task
from pilothouse.ops.serving.arrow import as_json

SIGNATURE = Signature(
    features=(Feature(name="carrier", kind=Kind.CATEGORY), Feature(name="hour", kind=Kind.INTEGER)),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
    context=(ContextColumn(name="region", kind=Kind.CATEGORY),),
)
COLUMNS: dict[str, Any] = {
    "carrier": pa.array(["UA", None]).dictionary_encode(),
    "hour": [9.0, float("nan")],
    "region": ["north", "south"],
    "prediction": [1, 0],
    "id": ["a", "b"],
    "at": pa.array([datetime(2026, 3, 3, tzinfo=UTC)] * 2),
    "keys": [{"flight": 3}, {"flight": 4}],
    "version": [2, 2],
}


def stream(columns: dict[str, Any], compression: str | None = None) -> bytes:
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def refused(body: bytes, max_rows: int = 10) -> list[tuple[str, str]]:
    with pytest.raises(BadRows) as raised:
        as_json(body, SIGNATURE, max_rows)
    return [(fault.pointer, fault.detail) for fault in raised.value.faults]


def test_it_says_what_the_json_body_says() -> None:
    assert orjson.loads(as_json(stream(COLUMNS), SIGNATURE, 10)) == {
        "rows": [{"carrier": "UA", "hour": 9.0}, {"carrier": None, "hour": None}],
        "context": [{"region": "north"}, {"region": "south"}],
        "predictions": [1, 0],
        "ids": ["a", "b"],
        "at": ["2026-03-03T00:00:00+00:00"] * 2,
        "keys": [{"flight": 3}, {"flight": 4}],
        "version": 2,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"new": [1, 2]}, ("/new", "is not a column here")),
        ({"version": [1, 2]}, ("/version", "must be the same in every row; send versions in requests of their own")),
        ({"carrier": [["UA"], []]}, ("/carrier", "is of a type that is not taken: give numbers, booleans, texts or times")),
        ({"keys": [{"a": {"b": 1}}] * 2}, ("/keys/a", "must be a number or a text")),
        (
            {"carrier": pa.array(["x" * 100_000] * 2).dictionary_encode()},
            ("/carrier", "must have texts of at most 512 characters"),
        ),
    ],
)  # fmt: skip
def test_columns_without_a_place_are_named(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refused(stream(COLUMNS | changes)) == [expected]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_nothing_is_unpacked(compression: str) -> None:
    assert refused(stream(COLUMNS, compression)) == [("", "must be an Arrow stream without compression")]


def test_too_many_rows_are_not_read() -> None:
    assert refused(stream(COLUMNS), max_rows=1) == [
        ("/rows", "must have 1 to 1 rows; send them in several requests")
    ]  # fmt: skip


def test_broken_streams_are_refused_and_never_crash() -> None:
    whole, chance = stream(COLUMNS), random.Random(5)
    for _ in range(1000):
        broken = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        if broken:
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        with suppress(BadRows):
            as_json(bytes(broken), SIGNATURE, 10)

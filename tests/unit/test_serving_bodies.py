"""Bodies: what passes, and what is said about everything that does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pilothouse.data.errors import BadRows, NotJson
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.ops.serving.bodies import Bodies, micros

SIGNATURE = Signature(
    features=(
        Feature(name="carrier", kind=Kind.CATEGORY),
        Feature(name="a/b ~", kind=Kind.INTEGER),
        Feature(name="class", kind=Kind.NUMBER, nullable=False),
        Feature(name="wet", kind=Kind.BOOLEAN),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)
BODIES = Bodies(SIGNATURE, max_rows=3)
ROW: dict[str, Any] = {"carrier": "UA", "a/b ~": 3, "class": 1.5, "wet": True}


def body(**changes: Any) -> bytes:
    return json.dumps({"rows": [ROW]} | changes).encode()


def faults(raw: bytes, kind: str = "predict") -> list[tuple[str, str]]:
    assert getattr(BODIES, kind)(raw) is None
    error = getattr(BODIES, f"{kind}_refusal")(raw)
    assert isinstance(error, BadRows), error
    return [(f.pointer, f.detail) for f in error.faults]


def test_rows_come_as_tuples_in_the_signature_s_order_and_the_raw_text_is_kept() -> None:
    asked = BODIES.predict(b'{"rows": [{"wet":null,"class":2,"carrier":null,"a/b ~":3.0} ]}')
    assert asked is not None
    assert asked.rows == [(None, 3.0, 2.0, None)]
    assert bytes(asked.raw) == b'[{"wet":null,"class":2,"carrier":null,"a/b ~":3.0} ]'


def test_everything_beside_the_rows_is_read() -> None:
    asked = BODIES.predict(
        body(ids=["x"], at=["2026-03-03T01:00:00+01:00"], entities=[None], keys=[{"flight": 12, "day": "3"}])
    )
    assert asked is not None
    assert (asked.ids, asked.entities, asked.keys) == (["x"], [None], [{"flight": 12, "day": "3"}])
    assert asked.at == [micros(datetime(2026, 3, 3, tzinfo=UTC))]


def test_colons_inside_text_are_not_taken_for_doubled_names() -> None:
    assert BODIES.predict(body(rows=[ROW | {"carrier": "a:b"}], at=["2026-03-03T00:00:00Z"])) is not None


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"carrier": 3}, "/rows/0/carrier", "must be a string or null; got a number"),
        ({"carrier": "x" * 513}, "/rows/0/carrier", "must have 0 to 512 characters; got 513"),
        ({"a/b ~": 3.5}, "/rows/0/a~1b ~0", "must be a whole number or null; got one with a fraction"),
        ({"a/b ~": True}, "/rows/0/a~1b ~0", "must be a whole number or null; got a boolean"),
        ({"class": None}, "/rows/0/class", "must be a number; got null"),
        ({"class": "12"}, "/rows/0/class", "must be a number; got a string"),
        ({"class": float("nan")}, "/rows/0/class", "NaN is not a number in JSON"),
        ({"a/b ~": float("inf")}, "/rows/0/a~1b ~0", "Infinity is not a number in JSON; send null for a missing value"),
        ({"class": 10**400}, "/rows/0/class", "is out of the range of a double"),
        ({"wet": 1}, "/rows/0/wet", "must be true, false or null; got a number"),
        ({"new": 1}, "/rows/0/new", "is not a field here; allowed: carrier, a/b ~, class, wet"),
    ],
)  # fmt: skip
def test_a_bad_field_is_pointed_at(changes: dict[str, Any], pointer: str, detail: str) -> None:
    assert faults(body(rows=[ROW | changes])) == [(pointer, detail)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rows": []}, ("/rows", "must have 1 to 3 rows; got 0")),
        ({"rows": [ROW] * 4}, ("/rows", "must have 1 to 3 rows; got 4; send them in several requests")),
        ({"rows": {}}, ("/rows", "must be an array; got an object")),
        ({"rows": [3]}, ("/rows/0", "must be an object; got a number")),
        ({"ids": ["a", "b"]}, ("/ids", "must have one item a row: 1; got 2")),
        ({"ids": [""]}, ("/ids/0", "must have 1 to 128 characters; got 0")),
        ({"rows": [ROW, ROW], "ids": ["a", "a"]}, ("/ids/1", "repeats /ids/0; each row needs an id of its own")),
        ({"at": ["2026-03-03T00:00"]}, ("/at/0", "must be an ISO 8601 time with a zone, such as 2026-03-03T00:00:00Z")),
        ({"at": ["9026-03-03T00:00:00Z"]}, ("/at/0", "must lie from the year 1970 to 2199")),
        ({"keys": [{}]}, ("/keys/0", "must have 1 to 16 fields; got 0")),
        ({"row": 1}, ("/row", "is not a field here; allowed: rows, ids, at, entities, keys, context, model")),
    ],
)  # fmt: skip
def test_a_bad_request_is_pointed_at(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert expected in faults(body(**changes))


def test_all_faults_are_named_at_once() -> None:
    assert [pointer for pointer, _ in faults(body(rows=[{"carrier": 1}, ROW | {"wet": 0}]))] == [
        "/rows/0/a~1b ~0",
        "/rows/0/class",
        "/rows/0/wet",
        "/rows/0/carrier",
        "/rows/1/wet",
    ]


def test_after_fifty_faults_the_others_are_counted() -> None:
    named = faults(body(rows=[dict.fromkeys(map(str, range(80)), 1)]))
    assert len(named) == 51
    assert named[-1] == ("", "and 34 more")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"rows":[{"carrier":"UA","a/b ~":3,"class":1,"class":2,"wet":true}]}',
        b'{"rows":[{"carrier":"a:","a/b ~":3,"class":1,"wet":true,"class":2}]}',
    ],
)
def test_a_doubled_name_is_refused(raw: bytes) -> None:
    assert faults(raw) == [("/rows/0/class", "is given twice")]


def test_a_doubled_array_is_refused() -> None:
    rows = json.dumps([ROW]).encode()
    assert faults(b'{"rows":' + rows + b',"rows":' + rows + b"}") == [("/rows", "is given twice")]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"rows", "expecting value, at line 1, column 1"),
        (b"", "expecting value, at line 1, column 1"),
        (b'{"rows": "\xff"}', "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_not_json_is_said_to_be_none(raw: bytes, why: str) -> None:
    error = BODIES.predict_refusal(raw)
    assert isinstance(error, NotJson)
    assert error.why == why


def test_no_fault_repeats_a_value() -> None:
    secret = "4111-1111"
    row = {"carrier": 1, "a/b ~": secret, "class": secret, "wet": secret}
    assert secret not in str(faults(body(rows=[row], ids=[secret * 30], at=[secret], model=[secret])))


def test_half_a_surrogate_pair_is_refused() -> None:
    raw = b'{"rows":[{"carrier":"\\ud800","a/b ~":3,"class":1,"wet":true}]}'
    assert faults(raw) == [("/rows/0/carrier", "is not text: it holds half of a surrogate pair")]


def told(*labels: dict[str, Any]) -> bytes:
    return json.dumps({"labels": labels}).encode()


def test_labels_come_by_id_or_by_key() -> None:
    labels = BODIES.labels(
        told({"id": "x", "label": 1}, {"key": {"flight": 3}, "label": 0.0, "observed_at": "2026-03-03T00:00:00Z"})
    )
    assert labels is not None
    assert [(t.id, t.key, t.label) for t in labels] == [("x", None, 1), (None, {"flight": 3}, 0)]
    assert labels[1].observed_at == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"id": "x", "label": 2}, ("/labels/0/label", "must be one of 0, 1")),
        ({"id": "x", "label": True}, ("/labels/0/label", "must be a number; got a boolean")),
        ({"id": "x", "label": "1"}, ("/labels/0/label", "must be a number; got a string")),
        ({"id": "x"}, ("/labels/0/label", "is missing")),
        ({"label": 1}, ("/labels/0", "must have either an id or a key")),
        ({"id": "x", "key": {"a": 1}, "label": 1}, ("/labels/0", "must have either an id or a key")),
    ],
)
def test_a_bad_label_is_pointed_at(label: dict[str, Any], expected: tuple[str, str]) -> None:
    assert expected in faults(told(label), "labels")


def test_predictions_made_elsewhere_are_held_to_the_target() -> None:
    good = BODIES.elsewhere(body(predictions=[1], scores=[0.75], version=2))
    assert good is not None
    assert (good.predictions, good.scores, good.version) == ([1], [0.75], 2)
    assert faults(body(predictions=[3]), "elsewhere") == [("/predictions/0", "must be one of 0, 1")]
    assert faults(body(predictions=[1], scores=[7]), "elsewhere") == [("/scores/0", "must lie from 0 to 1")]
    assert faults(body(predictions=[1, 0]), "elsewhere") == [("/predictions", "must have one item a row: 1; got 2")]
    for version in (0, 2**31):
        found = faults(body(predictions=[1], version=version), "elsewhere")
        assert found == [("/version", "must lie from 1 to 2147483647")]

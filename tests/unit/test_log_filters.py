"""Conditions that people write: read as meant, or refused with what is allowed."""

from __future__ import annotations

import pytest

from pilothouse.data.errors import BadFilter
from pilothouse.data.log.filters import Filter, Op, condition, parse_filter
from pilothouse.data.signature import ContextColumn, Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import parse_time

SIGNATURE = Signature(
    features=(
        Feature(name="wind", kind=Kind.NUMBER),
        Feature(name="carrier", kind=Kind.CATEGORY),
        Feature(name="snow", kind=Kind.BOOLEAN),
        Feature(name="score", kind=Kind.CATEGORY),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
    context=(ContextColumn(name="region", kind=Kind.CATEGORY),),
)


@pytest.mark.parametrize(
    ("text", "column", "op", "value"),
    [
        ("wind>30", "wind", Op.ABOVE, 30.0),
        ("wind >= -1.5", "wind", Op.AT_LEAST, -1.5),
        ("carrier=UA", "carrier", Op.EQUAL, "UA"),
        ("carrier != in doubt", "carrier", Op.UNEQUAL, "in doubt"),
        ("carrier in UA, AA", "carrier", Op.IN, ("UA", "AA")),
        ("region contains no", "region", Op.CONTAINS, "no"),
        ("snow=true", "snow", Op.EQUAL, True),
        ("wind is missing", "wind", Op.MISSING, None),
        ("label=1", "label", Op.EQUAL, 1.0),
        ("score<0.5", "score", Op.BELOW, 0.5),
        ("x_score=high", "x_score", Op.EQUAL, "high"),
        ("at<2026-03-03T00:00Z", "at", Op.BELOW, parse_time("2026-03-03T00:00Z")),
    ],
)
def test_conditions_are_read_as_meant(text: str, column: str, op: Op, value: object) -> None:
    found = parse_filter(text, SIGNATURE)
    assert (found.column, found.op, found.value) == (column, op, value)
    condition([found], SIGNATURE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wind", "it has no comparison. Allowed: =, !=, <, <="),
        ("wnd>3", "no such column to ask about. Allowed: at, c_region, caller, carrier"),
        ("wind>strong", "'strong' is not of its type. Allowed: a number such as 30"),
        ("snow=maybe", "'maybe' is not of its type. Allowed: true or false"),
        ("role=boss", "'boss' is none of its values. Allowed: champion, canary, shadow, batch"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_can(text: str, message: str) -> None:
    with pytest.raises(BadFilter) as refused:
        condition([parse_filter(text, SIGNATURE)], SIGNATURE)
    assert message in str(refused.value)


def test_comparisons_fit_the_kind_and_values_are_bound() -> None:
    with pytest.raises(BadFilter, match="< is for numbers and times"):
        condition([Filter(column="carrier", op=Op.BELOW, value="UA")], SIGNATURE)
    with pytest.raises(BadFilter, match="contains is for texts"):
        condition([Filter(column="wind", op=Op.CONTAINS, value="3")], SIGNATURE)
    evil = "UA' OR '1'='1"
    found = condition([Filter(column="carrier", op=Op.EQUAL, value=evil)], SIGNATURE)
    assert evil not in found.sql
    assert list(found.values.values()) == [evil]

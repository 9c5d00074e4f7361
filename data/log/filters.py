"""Conditions on rows of the log: typed, checked against what the log has, never text that a database would read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pilothouse.data.errors import BadFilter
from pilothouse.data.log.schema import Role, Status
from pilothouse.data.signature import NUMERIC, Kind, Signature
from pilothouse.data.sql.duck import quoted
from pilothouse.data.windows import as_utc, parse_time

Term = str | float | bool | datetime
_TIME = "time"


class Op(StrEnum):
    EQUAL = "="
    UNEQUAL = "!="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    IN = "in"
    MISSING = "is missing"
    CONTAINS = "contains"


_ORDERED = frozenset({Op.BELOW, Op.AT_MOST, Op.ABOVE, Op.AT_LEAST})
_TEXT = re.compile(
    r"\s*(?P<column>.+?)\s*"
    r"(?P<op>\bis missing\b|!=|<=|>=|=|<|>|\bin\b|\bcontains\b)"
    r"\s*(?P<value>.*?)\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A condition that a row meets or does not. value : None for "is missing", several for "in".

    column : a feature or context column by its name, or a column of the log itself. A missing value meets "is missing"
    and "!=", and nothing else.
    """

    column: str
    op: Op
    value: Term | tuple[Term, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that may be asked about. stored : its name in the table. kind : what its values are, "time" for times."""

    stored: str
    kind: str
    allowed: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC


def askable(signature: Signature) -> dict[str, Column]:
    """Columns that may be asked about, by the name to use.

    A feature that is called like a column of the log itself is asked about as x_<name>, as every feature may be.
    """
    target = signature.target.kind
    own = {
        "prediction": Column(stored="prediction", kind=target),
        "label": Column(stored="label", kind=target),
        "score": Column(stored="score", kind=Kind.NUMBER),
        "version": Column(stored="version", kind=Kind.INTEGER),
        "role": Column(stored="role", kind=Kind.CATEGORY, allowed=tuple(Role)),
        "status": Column(stored="status", kind=Kind.CATEGORY, allowed=tuple(Status)),
        "entity_id": Column(stored="entity_id", kind=Kind.CATEGORY),
        "caller": Column(stored="caller", kind=Kind.CATEGORY),
        "latency_us": Column(stored="latency_us", kind=Kind.INTEGER),
        "at": Column(stored="at", kind=_TIME),
    }
    columns = {c.column: Column(stored=c.column, kind=c.kind) for c in signature.logged}
    named = {name: columns[column] for column, name in signature.shown().items()}
    return {**columns, **named, **own}


def parse_filter(text: str, signature: Signature) -> Filter:
    """The condition that `text` writes: `carrier=UA`, `wind>30`, `carrier in UA,AA`, `wind is missing`.

    Raises BadFilter when it cannot be read, or asks about what the log does not have.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadFilter(text, "it has no comparison", tuple(Op))
    name, op, value = found["column"], Op(found["op"]), found["value"]
    column = _column(name, signature)
    if op is Op.MISSING:
        return Filter(column=name, op=op)
    if op is Op.IN:
        parts = value.strip("()").split(",")
        return Filter(column=name, op=op, value=tuple(_parsed(name, column, part.strip()) for part in parts))
    return Filter(column=name, op=op, value=_parsed(name, column, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Filters as SQL over a relation of the log's columns, and the values that it binds."""

    sql: str
    values: Mapping[str, Any]
    labels: bool


def condition(filters: Sequence[Filter], signature: Signature) -> Condition:
    """All of `filters` at once. labels : whether one of them asks about the label.

    Raises BadFilter for a column that is not there, a comparison that its kind does not have, a value of another type.
    """
    parts, values = ["true"], {}
    for number, each in enumerate(filters):
        column, name = _column(each.column, signature), f"filter_{number}"
        parts.append(_sql(each, column, name))
        if each.op is not Op.MISSING:
            values[name] = _checked(each, column)
    return Condition(sql=" AND ".join(parts), values=values, labels=any(f.column == "label" for f in filters))


def _sql(each: Filter, column: Column, name: str) -> str:
    stored = quoted(column.stored)
    if each.op is Op.MISSING:
        return f"{stored} IS NULL"
    if each.op is Op.IN:
        return f"list_contains(${name}, {stored})"
    if each.op is Op.CONTAINS:
        return f"contains({stored}, ${name})"
    return f"{stored} {'IS DISTINCT FROM' if each.op is Op.UNEQUAL else each.op.value} ${name}"


def _column(name: str, signature: Signature) -> Column:
    known = askable(signature)
    if name not in known:
        raise BadFilter(name, "the log has no such column to ask about", sorted(known))
    return known[name]


def _checked(each: Filter, column: Column) -> Any:
    """The value to bind, of the column's own type."""
    if each.op in _ORDERED and not (column.numeric or column.kind == _TIME):
        raise BadFilter(each.column, f"{each.op} is for numbers and times", [Op.EQUAL, Op.UNEQUAL, Op.IN, Op.MISSING])
    if each.op is Op.CONTAINS and column.kind != Kind.CATEGORY:
        raise BadFilter(each.column, "contains is for texts", [op for op in Op if op is not Op.CONTAINS])
    if each.op is Op.IN:
        several = each.value if isinstance(each.value, tuple) else (each.value,)
        return [_typed(each.column, column, value) for value in several]
    return _typed(each.column, column, each.value)


def _typed(name: str, column: Column, value: object) -> Term:
    if isinstance(value, datetime) and column.kind == _TIME:
        return as_utc(value, f"the filter on {name}")
    if column.kind == Kind.BOOLEAN and isinstance(value, bool):
        return value
    if column.numeric and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if column.kind == Kind.CATEGORY and isinstance(value, str):
        if column.allowed and value not in column.allowed:
            raise BadFilter(name, f"{value!r} is none of its values", column.allowed)
        return value
    raise BadFilter(name, f"{value!r} is not of its type", [_example(column)])


def _parsed(name: str, column: Column, text: str) -> Term:
    """`text` in the column's own type."""
    try:
        if column.numeric:
            return float(text)
        if column.kind == _TIME:
            return parse_time(text, f"the filter on {name}")
        return {"true": True, "false": False}[text.lower()] if column.kind == Kind.BOOLEAN else text
    except (ValueError, KeyError):
        raise BadFilter(name, f"{text!r} is not of its type", [_example(column)]) from None


def _example(column: Column) -> str:
    if column.numeric:
        return "a number such as 30"
    if column.kind == _TIME:
        return "a time such as 2026-03-03T00:00:00Z"
    return "true or false" if column.kind == Kind.BOOLEAN else "a text"

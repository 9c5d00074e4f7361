"""Rules in pandera's form: inferred from reference rows, kept as its JSON, exported as its YAML, checked by it.

pandera takes most of a second to load, so that happens where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from pilothouse.data.errors import BadPolicy
from pilothouse.data.measures.rules import TYPES, ColumnTerms, Demand, Rule, Terms, without_nan

if TYPE_CHECKING:
    import pandera.polars as pa

SLACK = 0.5
"""By what part of its reference range a number may lie outside it, at either end; zero is not passed for that."""
MOST_VALUES = 200
"""A text with more values than this in the reference may have any: its values are names of things, not categories."""
FEW_NUMBERS = 40
"""A whole number with up to so many values in the reference counts a class or a step: its range gets no slack."""
_BOUNDS = {"greater_than_or_equal_to": "at_least", "less_than_or_equal_to": "at_most"}


def infer(rows: pl.DataFrame) -> Terms:
    """What `rows` of a reference keep to: types, whether values are missing, ranges with slack, categories.

    rows : at least one, columns of the types of TYPES; NaN is missing. Ranges and missing values are as pandera infers them.
    Where every value of a column is missing or infinite there is no range.
    """
    from pandera.schema_inference.polars import infer_schema

    plain = without_nan(rows)
    finite = plain.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name)
        for name, dtype in plain.schema.items()
        if dtype.is_float()
    )
    found = infer_schema(finite)
    return Terms(columns=tuple(_inferred(found.columns[name], plain[name]) for name in plain.columns))


def _inferred(column: Any, values: pl.Series) -> ColumnTerms:
    kind = str(values.dtype)
    terms = ColumnTerms(name=values.name, type=kind, nullable=values.null_count() > 0)
    if kind == "Float64":
        given = {_BOUNDS[c.name]: next(iter(c.statistics.values())) for c in column.checks if c.name in _BOUNDS}
        low, high = given.get("at_least"), given.get("at_most")
        if low is None or high is None:
            return terms
        slack = 0.0 if _steps(values) else SLACK * (high - low)
        return ColumnTerms(
            name=terms.name,
            type=kind,
            nullable=terms.nullable,
            at_least=_moved(low, -slack),
            at_most=_moved(high, slack),
        )
    if kind == "String" and 0 < values.n_unique() <= MOST_VALUES and values.null_count() < len(values):
        known = tuple(values.drop_nulls().unique().sort().to_list())
        return ColumnTerms(name=terms.name, type=kind, nullable=terms.nullable, one_of=known)
    return terms


def _steps(values: pl.Series) -> bool:
    known = values.drop_nulls()
    return known.n_unique() <= FEW_NUMBERS and bool((known == known.floor()).all())


def _moved(end: float, by: float) -> float:
    """An end of a range with its slack; what was never negative stays so."""
    there = end + by
    return 0.0 if end * there < 0 or end == 0 else float(there)


def to_pandera(terms: Terms) -> pa.DataFrameSchema:
    """The same as a schema of pandera, for frames of polars."""
    import pandera.polars as pa

    columns = {
        column.name: pa.Column(
            TYPES[column.type], [_check(rule) for rule in _checked(column)], nullable=column.nullable, required=True
        )
        for column in terms.columns
    }
    return pa.DataFrameSchema(columns)


def _checked(column: ColumnTerms) -> list[Rule]:
    return [rule for rule in column.rules if rule.demand not in (Demand.TYPE, Demand.PRESENT)]


def _check(rule: Rule) -> pa.Check:
    import pandera.polars as pa

    make: dict[Demand, Callable[[Any], pa.Check]] = {
        Demand.AT_LEAST: pa.Check.ge,
        Demand.AT_MOST: pa.Check.le,
        Demand.ONE_OF: pa.Check.isin,
        Demand.MATCHES: pa.Check.str_matches,
    }
    return make[rule.demand](list(rule.bound) if isinstance(rule.bound, tuple) else rule.bound)


def to_json(terms: Terms) -> str:
    """pandera's JSON, which `from_json` reads again and any pandera does."""
    return str(to_pandera(terms).to_json())


def to_yaml(terms: Terms) -> str:
    """pandera's YAML."""
    return str(to_pandera(terms).to_yaml())


def from_json(document: str) -> tuple[ColumnTerms, ...]:
    """The columns that `to_json` wrote. It is pandera's own form, read without loading pandera. Raises BadPolicy."""
    return tuple(_read(name, column) for name, column in json.loads(document)["columns"].items())


def _read(name: str, column: dict[str, Any]) -> ColumnTerms:
    known = {"dtype", "nullable", "isin", "str_matches", *_BOUNDS}
    if unknown := sorted(set(column) - known):
        raise BadPolicy(f"schema of {name}", ", ".join(unknown), ", ".join(sorted(known)))
    values = column.get("isin")
    return ColumnTerms(
        name=name,
        type=column["dtype"],
        nullable=column.get("nullable", False),
        at_least=column.get("greater_than_or_equal_to"),
        at_most=column.get("less_than_or_equal_to"),
        one_of=None if values is None else tuple(values),
        matches=column.get("str_matches"),
    )


def failures(terms: Terms, rows: pl.DataFrame) -> dict[str, int]:
    """How many of `rows` break each rule, as pandera itself counts them, by the rule's name; rules without any are left out."""
    import pandera.polars as pa

    try:
        to_pandera(terms).validate(without_nan(rows), lazy=True)
    except pa.errors.SchemaErrors as error:
        return _by_rule(error.failure_cases, terms)
    return {}


def _by_rule(cases: pl.DataFrame, terms: Terms) -> dict[str, int]:
    told = {_told(rule): rule.name for rule in terms.rules}
    counted = cases.group_by("column", "check").len()
    return {told[column, _kind(check)]: n for column, check, n in counted.iter_rows()}


def _told(rule: Rule) -> tuple[str, str]:
    return rule.column, {
        Demand.TYPE: "dtype",
        Demand.PRESENT: "not_nullable",
        Demand.AT_LEAST: "greater_than_or_equal_to",
        Demand.AT_MOST: "less_than_or_equal_to",
        Demand.ONE_OF: "isin",
        Demand.MATCHES: "str_matches",
    }[rule.demand]


def _kind(check: str) -> str:
    return check.partition("(")[0]

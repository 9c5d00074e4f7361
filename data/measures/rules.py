"""What the values of a model's columns are to keep to: rules, how a row breaks one, and how people change them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import polars as pl

from pilothouse.data.errors import BadPolicy, UnknownColumn

TYPES = {"Float64": pl.Float64(), "String": pl.String(), "Boolean": pl.Boolean()}
"""The types that the log has for a caller's own columns, by the name that polars gives them."""
_EDITS = (
    "one of: COLUMN >= NUMBER, COLUMN <= NUMBER, COLUMN in A,B,C, COLUMN matches REGEX, COLUMN may be missing, "
    "COLUMN not missing, COLUMN no minimum, COLUMN no maximum, COLUMN any value, COLUMN any text, COLUMN off, "
    "tolerate 1%, stop above 5%, failed tests stop, failed tests warn"
)
_SHARE = re.compile(r"(tolerate|stop above) (\d{1,2}(?:\.\d{1,4})?) ?%")
_TESTS = {"failed tests stop": True, "failed tests warn": False}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LONGEST_PATTERN = 200


class Demand(StrEnum):
    """What a rule asks of a value. All but the first two say nothing of a missing one."""

    TYPE = "type"
    PRESENT = "present"
    AT_LEAST = "at least"
    AT_MOST = "at most"
    ONE_OF = "one of"
    MATCHES = "matches"


Bound = str | float | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One demand on one column. bound : what it is measured by; None where there is nothing, or where it is not shown."""

    column: str
    demand: Demand
    bound: Bound = None

    @property
    def name(self) -> str:
        """Stable and unique among the rules of a model: at most one of a kind stands for a column."""
        return f"{self.column}: {self.demand}"

    @property
    def words(self) -> str:
        """
        >>> Rule(column="age", demand=Demand.AT_MOST, bound=120.0).words
        'age is at most 120'
        """
        return f"{self.column} {_said(self)}"

    def broken(self) -> pl.Expr:
        """Whether each row breaks the rule; never null. NaN has to be null already, as `without_nan` makes it.

        The expressions are those of pandera's checks of the same names: a pattern has to match from the first character on.
        """
        value = pl.col(self.column)
        if self.demand is Demand.PRESENT:
            return value.is_null()
        return ~_kept(value, self).fill_null(True)


def _kept(value: pl.Expr, rule: Rule) -> pl.Expr:
    """Whether a value keeps to the rule; null for a missing one."""
    if rule.demand is Demand.AT_LEAST:
        return value >= pl.lit(rule.bound)
    if rule.demand is Demand.AT_MOST:
        return value <= pl.lit(rule.bound)
    if rule.demand is Demand.ONE_OF:
        return value.is_in(list(rule.bound) if isinstance(rule.bound, tuple) else [])
    return value.str.contains(from_start(str(rule.bound)))


def _said(rule: Rule) -> str:
    if rule.demand is Demand.TYPE:
        return f"is of type {rule.bound}"
    if rule.demand is Demand.PRESENT:
        return "is not missing"
    if rule.bound is None:
        return f"is {rule.demand} …"
    if isinstance(rule.bound, tuple):
        shown = ", ".join(rule.bound[:6]) + (f" and {len(rule.bound) - 6} more" if len(rule.bound) > 6 else "")
        return f"is one of {len(rule.bound)} values: {shown}"
    return f"{rule.demand} {rule.bound}" if rule.demand is Demand.MATCHES else f"is {rule.demand} {rule.bound:,.10g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnTerms:
    """What is agreed of one column. type : a name of TYPES. A bound that is None asks nothing.

    at_least, at_most : of numbers. one_of, matches : of texts.
    """

    name: str
    type: str
    nullable: bool = True
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        bounds: dict[Demand, Bound] = {
            Demand.AT_LEAST: self.at_least,
            Demand.AT_MOST: self.at_most,
            Demand.ONE_OF: self.one_of,
            Demand.MATCHES: self.matches,
        }
        asked = [Rule(column=self.name, demand=demand, bound=b) for demand, b in bounds.items() if b is not None]
        present = [] if self.nullable else [Rule(column=self.name, demand=Demand.PRESENT)]
        return (Rule(column=self.name, demand=Demand.TYPE, bound=self.type), *present, *asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed of all columns.

    tolerated : share of the rows, 0 to 1, that may break a rule before it counts. stops_above : share of the rows of a
    training snapshot above which a retraining stops. tests_stop : whether a failed test of Evidently's stops it too.
    """

    columns: tuple[ColumnTerms, ...]
    tolerated: float = 0.01
    stops_above: float = 0.05
    tests_stop: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for column in self.columns for rule in column.rules)


def changed(terms: Terms, edits: Sequence[str], model: str) -> Terms:
    """`terms` with each edit made, such as `age <= 120`. Raises BadPolicy, UnknownColumn.

    >>> age = Terms(columns=(ColumnTerms(name="age", type="Float64", at_most=99.0),))
    >>> changed(age, ["age <= 120", "age not missing", "tolerate 0.5%"], "loans").rules[1:]
    (Rule(column='age', demand=<Demand.PRESENT: 'present'>, bound=None), \
Rule(column='age', demand=<Demand.AT_MOST: 'at most'>, bound=120.0))
    """
    for edit in edits:
        terms = _edited(terms, edit.strip(), model)
    return terms


def _edited(terms: Terms, edit: str, model: str) -> Terms:
    if edit in _TESTS:
        return replace(terms, tests_stop=_TESTS[edit])
    if share := _SHARE.fullmatch(edit):
        part = float(share[2]) / 100
        return replace(terms, tolerated=part) if share[1] == "tolerate" else replace(terms, stops_above=part)
    # The longest name first, so that of "age" and "age at entry" the right one is meant.
    names = sorted((column.name for column in terms.columns), key=len, reverse=True)
    name = next((n for n in names if edit.startswith(f"{n} ")), None)
    if name is None:
        raise UnknownColumn(model, edit.split(" ")[0][:60], sorted(names))
    column = next(c for c in terms.columns if c.name == name)
    new = _with_edit(column, edit[len(name) :].strip(), edit)
    _check(new)
    return replace(terms, columns=tuple(new if c.name == name else c for c in terms.columns))


def _with_edit(column: ColumnTerms, asked: str, edit: str) -> ColumnTerms:
    plain = {
        "may be missing": {"nullable": True},
        "not missing": {"nullable": False},
        "no minimum": {"at_least": None},
        "no maximum": {"at_most": None},
        "any value": {"one_of": None},
        "any text": {"matches": None},
        "off": {"nullable": True, "at_least": None, "at_most": None, "one_of": None, "matches": None},
    }
    if asked in plain:
        return replace(column, **plain[asked])  # type: ignore[arg-type]
    if found := re.fullmatch(rf"(>=|<=) ?({_NUMBER})", asked):
        _require(column, "Float64", edit)
        return replace(column, **{"at_least" if found[1] == ">=" else "at_most": float(found[2])})  # type: ignore[arg-type]
    if found := re.fullmatch(r"in (.+)", asked):
        _require(column, "String", edit)
        return replace(column, one_of=tuple(dict.fromkeys(text.strip() for text in found[1].split(","))))
    if found := re.fullmatch(r"matches (.+)", asked):
        _require(column, "String", edit)
        return replace(column, matches=checked_pattern(found[1]))
    raise BadPolicy("rule", edit[:80], _EDITS)


def _require(column: ColumnTerms, kind: str, edit: str) -> None:
    if column.type != kind:
        kinds = {"Float64": "numbers", "String": "texts", "Boolean": "yes or no"}
        raise BadPolicy("rule", edit[:80], f"for a column of {kinds[kind]}; {column.name} holds {kinds[column.type]}")


def _check(column: ColumnTerms) -> None:
    if column.at_least is not None and column.at_most is not None and column.at_least > column.at_most:
        said = f"{column.at_least:g} to {column.at_most:g}"
        raise BadPolicy(f"range of {column.name}", said, "a minimum that is not above the maximum")


def checked_pattern(pattern: str) -> str:
    """`pattern`, if it is a regular expression that polars runs (without look-around). Raises BadPolicy."""
    allowed = f"a regular expression of at most {_LONGEST_PATTERN} characters, without look-around or references back"
    if len(pattern) > _LONGEST_PATTERN:
        raise BadPolicy("matches", pattern[:80], allowed)
    try:
        pl.Series([""]).str.contains(from_start(pattern))
    except pl.exceptions.ComputeError as error:
        raise BadPolicy("matches", pattern[:80], allowed) from error
    return pattern


def from_start(pattern: str) -> str:
    return pattern if pattern.startswith("^") else f"^{pattern}"


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with NaN as missing, as the log keeps it."""
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(pl.col(numbers).fill_nan(None)) if numbers else frame

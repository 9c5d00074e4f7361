"""What a model takes and gives: its features, its target, its task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa

from pilothouse.data.errors import BadData, MissingColumn

Value = str | float | int | bool | None


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Kind(StrEnum):
    """What a feature's values are. `integer`: a number whose values are whole, stored as double."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"
    BOOLEAN = "boolean"


NUMERIC = frozenset({Kind.NUMBER, Kind.INTEGER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One input column. `nullable`: a missing value is accepted (null in JSON, null or NaN in a frame)."""

    name: str
    kind: Kind
    nullable: bool = True

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    @property
    def column(self) -> str:
        """Name of the column that holds it in the prediction log."""
        return f"x_{self.name}"

    @property
    def arrow_type(self) -> pa.DataType:
        # Numbers are double from the first day: an integer column took 1.5 as 1 without a word.
        return pa.float64() if self.numeric else pa.bool_() if self.kind is Kind.BOOLEAN else pa.string()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The column a model predicts. `classes` in the model's order; for a binary task the positive one is the last."""

    name: str
    kind: Kind
    classes: tuple[Value, ...] = ()

    @property
    def positive(self) -> Value:
        return self.classes[-1]

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.float64() if self.kind in NUMERIC else pa.bool_() if self.kind is Kind.BOOLEAN else pa.string()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The features in the order the model was fitted with, and the target."""

    features: tuple[Feature, ...]
    target: Target
    task: Task

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    def to_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Signature:
        return msgspec.convert(dict(value), cls)


def _kind(name: str, column: pl.Series) -> Kind:
    if column.dtype == pl.Boolean:
        return Kind.BOOLEAN
    if column.dtype.is_integer():
        return Kind.INTEGER
    if column.dtype.is_numeric():
        return Kind.NUMBER
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return Kind.CATEGORY
    raise BadData(
        f"Column {name!r} is of type {column.dtype}; a feature is a number, a string or a boolean. "
        "Convert it, or leave it out."
    )


def infer_signature(frame: pl.DataFrame, target: str, task: Task, features: tuple[str, ...] | None = None) -> Signature:
    """The signature of a model fitted on `frame`'s columns other than `target` (or on `features`, in that order).

    frame : one row an example. Integer columns are offered as integers, strings as categories. A feature is always
    nullable: whether its model copes with missing values is for the model to say, not for a sample of rows.
    Raises MissingColumn, or BadData for a column type that no feature has, or for a binary target that has not exactly
    two values.
    """
    names = features if features is not None else tuple(c for c in frame.columns if c != target)
    for name in (*names, target):
        if name not in frame.columns:
            raise MissingColumn("the reference", name, frame.columns)
    classes: tuple[Value, ...] = ()
    if task is not Task.REGRESSION:
        classes = tuple(frame[target].drop_nulls().unique().sort().to_list())
        if task is Task.BINARY and len(classes) != 2:
            raise BadData(f"A binary target has two values; {target!r} has {len(classes)} in the reference.")
    described = tuple(Feature(name=n, kind=_kind(n, frame[n])) for n in names)
    return Signature(
        features=described, target=Target(name=target, kind=_kind(target, frame[target]), classes=classes), task=task
    )

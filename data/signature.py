"""What a model takes and gives: its features, its target, its task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


def arrow_type(kind: Kind) -> pa.DataType:
    """How values of `kind` are stored. Numbers are double from the first day: a whole-number column took 1.5 as 1."""
    return pa.float64() if kind in NUMERIC else pa.bool_() if kind is Kind.BOOLEAN else pa.string()


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One input column. `nullable`: a missing value is accepted (null in JSON, null or NaN in a frame).

    edition : which column of that name it is in the log; one more for each change of how its values are stored.
    """

    name: str
    kind: Kind
    nullable: bool = True
    edition: int = 1

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    @property
    def column(self) -> str:
        """Name of the column that holds it in the prediction log."""
        return f"x_{self.name}" if self.edition == 1 else f"x_{self.name}__{self.edition}"

    @property
    def arrow_type(self) -> pa.DataType:
        return arrow_type(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextColumn:
    """A column that travels with each row and is no feature: a segment, a protected attribute, a reason code."""

    name: str
    kind: Kind

    @property
    def column(self) -> str:
        """Name of the column that holds it in the prediction log."""
        return f"c_{self.name}"

    @property
    def arrow_type(self) -> pa.DataType:
        return arrow_type(self.kind)


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
        return arrow_type(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The features of a model as `versions` take them, in the order they were fitted with."""

    features: tuple[Feature, ...]
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The features in the order the model was fitted with, the target, and what else is logged with each row.

    variants : none as long as all versions take the same features; else each version stands in one of them, and
    `features` are those that came last, or of the version that `of_version` was asked for.
    """

    features: tuple[Feature, ...]
    target: Target
    task: Task
    context: tuple[ContextColumn, ...] = ()
    variants: tuple[Variant, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    @property
    def columns(self) -> tuple[Feature | ContextColumn, ...]:
        """Everything of the caller's own that a row of the log holds."""
        return (*self.features, *self.context)

    @property
    def logged(self) -> tuple[Feature | ContextColumn, ...]:
        """What the log holds of the caller's own: the features of every variant, and the context."""
        taken = [variant.features for variant in self.variants] or [self.features]
        features = {feature.column: feature for features in taken for feature in features}
        return (*features.values(), *self.context)

    def shown(self) -> dict[str, str]:
        """What people call each column of the log: a feature that is taken in another way now is told by its kind too.

        >>> now, before = Feature(name="age", kind=Kind.CATEGORY, edition=2), Feature(name="age", kind=Kind.NUMBER)
        >>> target = Target(name="late", kind=Kind.BOOLEAN)
        >>> takes = (Variant(features=(before,), versions=(1,)), Variant(features=(now,), versions=(2,)))
        >>> Signature(features=(now,), target=target, task=Task.BINARY, variants=takes).shown()
        {'x_age': 'age (number)', 'x_age__2': 'age'}
        """
        own, times = {c.column for c in self.columns}, Counter(c.name for c in self.logged)
        return {
            c.column: c.name if c.column in own or times[c.name] == 1 else f"{c.name} ({c.kind})" for c in self.logged
        }

    def stored_as(self, name: str) -> str | None:
        """The log's column of a feature or context column, by the name that `shown` gives it; None for neither."""
        return next((column for column, shown in self.shown().items() if shown == name), None)

    def own_name(self, shown: str) -> str:
        """The name that a feature or context column has of its own, by the one that `shown` gives it."""
        column = self.stored_as(shown)
        return next((c.name for c in self.logged if c.column == column), shown)

    def all_stored_as(self, name: str) -> tuple[str, ...]:
        """Every column in which the log holds, or has held, the feature or context column called `name`."""
        return tuple(c.column for c in self.logged if c.name == name)

    def holds(self, column: str) -> bool:
        """Whether rows by these features have a value of their own in a feature's column of the log."""
        return any(feature.column == column for feature in self.features)

    @property
    def takers(self) -> tuple[int, ...] | None:
        """The versions that take `features`; None where all do."""
        return next((v.versions for v in self.variants if v.features == self.features), None)

    def of_version(self, version: int) -> Signature:
        """The same with the features as `version` takes them."""
        taken = next((v.features for v in self.variants if version in v.versions), self.features)
        return self if taken == self.features else replace(self, features=taken)

    def with_version(self, version: int, features: tuple[Feature, ...], earlier: Sequence[int]) -> Signature:
        """The signature of the model once `version`, which takes `features`, has followed the versions `earlier`."""
        if not self.variants and features == self.features:
            return self
        variants = self.variants or (Variant(features=self.features, versions=tuple(earlier)),)
        if all(v.features != features for v in variants):
            return replace(
                self, features=features, variants=(*variants, Variant(features=features, versions=(version,)))
            )
        joined = (replace(v, versions=(*v.versions, version)) if v.features == features else v for v in variants)
        return replace(self, variants=tuple(joined))

    def to_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Signature:
        return msgspec.convert(dict(value), cls)


def following(signature: Signature, logged: Signature) -> Signature:
    """`signature` as the log of a model that has logged by `logged` takes it.

    A feature whose values are stored otherwise than before gets a column of its own, so that the rows of both kinds
    stay readable in one table; one that returns to an earlier kind returns to its column.
    """
    held = [c for c in logged.logged if isinstance(c, Feature)]
    return replace(signature, features=tuple(_in_log(feature, held) for feature in signature.features))


def _in_log(feature: Feature, held: Sequence[Feature]) -> Feature:
    before = [f for f in held if f.name == feature.name]
    if same := next((f for f in before if f.arrow_type == feature.arrow_type), None):
        return replace(feature, edition=same.edition)
    taken = {f.column for f in held}
    editions = (replace(feature, edition=edition) for edition in range(1, len(taken) + 2))
    return next(f for f in editions if f.column not in taken)


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


def infer_signature(
    frame: pl.DataFrame,
    target: str,
    task: Task,
    features: tuple[str, ...] | None = None,
    context: tuple[str, ...] = (),
    classes: Sequence[Value] | None = None,
) -> Signature:
    """The signature of a model fitted on `frame`'s columns other than `target` (or on `features`, in that order).

    context : columns of `frame` that are logged with each row and are no features.
    classes : the target's, in order, the positive one last; None for those of the frame, sorted. With them the target's
    column may be empty.

    frame : one row an example. Integer columns are offered as integers, strings as categories. A feature is always
    nullable: whether its model copes with missing values is for the model to say, not for a sample of rows.
    Raises MissingColumn, or BadData for a column type that no feature has, or for a binary target that has not exactly
    two values.
    """
    names = features if features is not None else tuple(c for c in frame.columns if c not in (target, *context))
    for name in (*names, *context, target):
        if name not in frame.columns:
            raise MissingColumn("the reference", name, frame.columns)
    if both := sorted({*context} & {*names, target}):
        raise BadData(f"{', '.join(both)}: a context column is neither a feature nor the target. Name it once.")
    found: tuple[Value, ...] = ()
    if task is not Task.REGRESSION:
        found = tuple(frame[target].drop_nulls().unique().sort().to_list() if classes is None else classes)
        if task is Task.BINARY and len(found) != 2:
            raise BadData(f"A binary target has two values; {target!r} has {len(found)} in the reference.")
    described = tuple(Feature(name=n, kind=_kind(n, frame[n])) for n in names)
    return Signature(
        features=described,
        target=Target(name=target, kind=_kind(target, frame[target]), classes=found),
        task=task,
        context=tuple(ContextColumn(name=n, kind=_kind(n, frame[n])) for n in context),
    )

"""The probability of each class in frames that callers give: one column of lists, or one column a class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.errors import BadData, MissingColumn
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.signature import Signature, Target, Task

_SLACK = 1e-6
"""How far beyond 0 and 1 a probability may lie that was added up in single precision."""


def class_columns(target: Target) -> tuple[str, ...]:
    """What a column of one class's probability is called, in the target's order.

    >>> from pilothouse.data.signature import Kind
    >>> class_columns(Target(name="colour", kind=Kind.CATEGORY, classes=("blue", "red")))
    ('score_blue', 'score_red')
    """
    return tuple(f"score_{value}" for value in target.classes)


def class_scores_in(frame: pl.DataFrame, signature: Signature, model: str) -> pl.Series | None:
    """The probabilities of a multiclass frame as lists of doubles, null where there are none; None where it has no such
    column.

    frame : a column `scores` of lists in the target's order, or one column a class, called as `class_columns` says; a
    feature or context column of such a name is left alone. A row in which one of them is null or NaN has none.
    Raises MissingColumn for a class without its column, BadData for what is no list of so many probabilities.
    """
    if signature.task is not Task.MULTICLASS:
        return None
    names, classes = {column.name for column in signature.columns}, class_columns(signature.target)
    if CLASS_SCORES in frame.columns and CLASS_SCORES not in names:
        return _checked(_as_lists(frame[CLASS_SCORES]), len(classes))
    if not any(name in frame.columns and name not in names for name in classes):
        return None
    for name in classes:
        if name not in frame.columns or name in names:
            raise MissingColumn(f"the frame for {model}", name, frame.columns)
        if not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Null):
            raise BadData(f"Column {name!r} is of type {frame[name].dtype}; it wants probabilities. Convert it.")
    return _checked(frame.select(_listed(classes)).to_series(), len(classes))


def class_matrix(scores: pl.Series, classes: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which rows of a column of lists have one number a class, and those numbers: float64, shape (such rows, classes)."""
    whole = (scores.list.len() == classes).fill_null(False)
    numbers = scores.filter(whole).explode(empty_as_null=False).cast(pl.Float64).to_numpy()
    return whole.to_numpy(), numbers.reshape(-1, classes)


def _listed(names: tuple[str, ...]) -> pl.Expr:
    return pl.concat_list(pl.col(name).cast(pl.Float64) for name in names).alias(CLASS_SCORES)


def _as_lists(given: pl.Series) -> pl.Series:
    kind = given.dtype
    if kind == pl.Null:
        return given.cast(pl.List(pl.Float64))
    if not isinstance(kind, pl.List | pl.Array) or not (kind.inner.is_numeric() or kind.inner == pl.Null):
        raise BadData(
            f"Column {CLASS_SCORES!r} is of type {kind}; it wants a list of probabilities in each row, in the target's order."
        )
    return given.cast(pl.List(pl.Float64))


def _checked(scores: pl.Series, classes: int) -> pl.Series:
    lengths = scores.list.len().drop_nulls().unique().sort()
    if wrong := [length for length in lengths.to_list() if length != classes]:
        raise BadData(
            f"Column {CLASS_SCORES!r} has lists of {wrong[0]} numbers; the target has {classes} classes. "
            "Give each row one probability a class, in the target's order, or null."
        )
    flat = scores.explode(empty_as_null=False) if len(lengths) else pl.Series(dtype=pl.Float64)
    if not flat.drop_nans().drop_nulls().is_between(-_SLACK, 1 + _SLACK).all():
        raise BadData(f"Column {CLASS_SCORES!r} holds numbers outside of 0 to 1. Give probabilities, or null for none.")
    known = scores.list.eval(pl.element().fill_nan(None).is_not_null()).list.all()
    return pl.select(pl.when(known).then(scores).alias(CLASS_SCORES)).to_series()

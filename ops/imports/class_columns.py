"""The probability of each class in somebody else's log: a column a class, or one column of lists or of named fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import polars as pl

from pilothouse.data.errors import BadData, BadMapping, MissingColumn
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.signature import Kind, Signature, Task
from pilothouse.ops.imports import values
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part
from pilothouse.ops.imports.raw import RawRows
from pilothouse.ops.imports.words import words_of

_SLACK, _SUM_SLACK = 1e-6, 1e-3
"""How far a probability may lie beyond 0 and 1, and how far those of a row may be from 1 together: rounding of printed ones."""
_MEAN_SLACK = 0.01
"""How far the means of columns may be from 1 together for a guess: a few rows have slips."""
_WORD = r"(?:y|pred|predicted|class)?[ _.\-]*(?:probability|proba|probs|prob|score|wahrscheinlichkeit)"
_BEFORE = re.compile(rf"^(?:{_WORD}|p)(?:[ _.\-:/]+|(?=[(\[]))[(\[]?(.+?)[)\]]?$", re.IGNORECASE)
_BEHIND = re.compile(r"^(.+?)[ _.\-](?:probability|proba|prob|score|wahrscheinlichkeit)$", re.IGNORECASE)
_LIST = r"^\s*\[[\s\d.,;eE+\-]*\]\s*$"

_T = TypeVar("_T")


def class_in(name: str) -> tuple[str, str] | None:
    """How a column that is called like the probability of a class calls such things, and the class; None for another name.

    >>> class_in("proba_red"), class_in("P(New York)"), class_in("red probability"), class_in("price")
    (('proba_', 'red'), ('P(', 'New York'), (' probability', 'red'), None)
    """
    found = _BEFORE.match(name) or _BEHIND.match(name)
    if found is None:
        return None
    around = name[: found.start(1)] or name[found.end(1) :]
    return around, found[1]


def same_class(said: str, known: Iterable[str]) -> str | None:
    """The class of `known` that a column's name speaks of: the very one, or the only one of the same words.

    >>> same_class("new_york", ["New York", "Boston"])
    'New York'
    """
    classes = list(known)
    alike = [one for one in classes if one == said] or [one for one in classes if words_of(one) == words_of(said) != ()]
    return alike[0] if len(alike) == 1 else None


def is_list(column: pl.Series) -> bool:
    """Whether the rows hold several values each: lists, named fields, or a text such as [0.2, 0.8]."""
    if column.dtype.is_nested():
        return True
    first = column.drop_nulls().head(100)
    return column.dtype == pl.String and len(first) > 0 and bool(first.str.contains(_LIST).all())


def class_groups(means: Mapping[str, float], classes: Sequence[str]) -> list[dict[str, str]]:
    """Groups of columns that are called alike, speak of every class, and add up to 1: their classes by their names.

    means : of the columns that may be probabilities. classes : those that are known by now. A column of the group that
    speaks of none of them names a further one, if it takes that one to add up to 1.

    >>> class_groups({"p_a": 0.5, "p_b": 0.3, "p_c": 0.2, "p_value": 0.4}, ["a", "b", "c"])
    [{'p_a': 'a', 'p_b': 'b', 'p_c': 'c'}]
    """
    groups: dict[str, dict[str, str]] = {}
    for name in means:
        if (found := class_in(name)) is not None:
            around, said = found
            groups.setdefault(around.lower(), {})[name] = same_class(said, classes) or said
    known = [{n: of for n, of in group.items() if of in classes} for group in groups.values()]
    fitting = [
        next((group for group in (few, every) if abs(sum(means[name] for name in group) - 1) <= _MEAN_SLACK), {})
        for few, every in zip(known, groups.values(), strict=True)
    ]
    return [group for group in fitting if group and set(classes) <= {*group.values()}]


def named_classes(mapping: ColumnMap, schema: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """The classes that the columns of probabilities name, each once."""
    whole = mapping.one(Part.PROBABILITIES)
    fields = _fields(schema[whole.source]) if whole else ()
    return (*(_class_of(column) for column in mapping.all(Part.PROBABILITY)), *fields)


def check_classes(mapping: ColumnMap, signature: Signature, source: str) -> None:
    """Raises BadMapping for a class that the target does not have, or a task without them, MissingColumn for a class
    that no column speaks of."""
    columns, whole = mapping.all(Part.PROBABILITY), mapping.one(Part.PROBABILITIES)
    if not columns and whole is None:
        return
    if signature.task is not Task.MULTICLASS:
        part = Part.PROBABILITY if columns else Part.PROBABILITIES
        raise BadMapping(
            part.value, f"the model is {signature.task}; only one of several classes has a probability of each"
        )
    if columns and whole is not None:
        raise BadMapping(
            Part.PROBABILITIES.value, "there are columns of single classes too; name the one or the others"
        )
    known = _texts(signature)
    for name in map(_class_of, columns):
        if same_class(name, known) is None:
            raise BadMapping(f"{Part.PROBABILITY}.{name}", "the target has no such class", known)
    if columns:
        _of_each_class({_class_of(column): column for column in columns}, known, source, list(mapping.sources))


def check_order(mapping: ColumnMap, schema: Mapping[str, pl.DataType], classes: Sequence[str]) -> None:
    """Raises BadData where a new model's lists name no classes and nobody has said in which order they stand."""
    whole = mapping.one(Part.PROBABILITIES)
    if whole is not None and not classes and not _fields(schema[whole.source]):
        raise BadData(
            f"Column {whole.source!r} holds lists of probabilities, and nothing says which class comes first. "
            "Name the classes in that order: --classes red,green,blue."
        )


def read_class_scores(rows: RawRows, mapping: ColumnMap, signature: Signature) -> pl.Series:
    """The probability of each class as lists in the target's order; null in rows that have none at all.

    A row is at fault where some of them are missing or no numbers, where one is outside of 0 to 1, or where they do not
    add up to 1 within a thousandth.
    """
    columns, whole = mapping.all(Part.PROBABILITY), mapping.one(Part.PROBABILITIES)
    known = _texts(signature)
    if columns:
        chosen = _of_each_class({_class_of(column): column for column in columns}, known, "the source", [])
        wide = [rows.read(column, Kind.NUMBER).alias(str(place)) for place, column in enumerate(chosen)]
        said = ", ".join(column.source for column in chosen[:3]) + ("" if len(chosen) <= 3 else ", …")
    elif whole is not None:
        wide, said = _unpacked(rows, whole, known), whole.source
    else:
        return pl.Series(CLASS_SCORES, [None] * rows.frame.height, pl.List(pl.Float64))
    return _checked(rows, pl.DataFrame(wide), said)


def likeliest(scores: pl.Series, signature: Signature) -> pl.Series:
    """The class of the highest probability, the first of equal ones; null where there are none."""
    place = scores.list.arg_max()
    return pl.Series([None if i is None else signature.target.classes[i] for i in place.to_list()], strict=False)


def _checked(rows: RawRows, wide: pl.DataFrame, said: str) -> pl.Series:
    known = wide.select(
        some=pl.any_horizontal(pl.all().is_not_null()), every=pl.all_horizontal(pl.all().is_not_null()),
        inside=pl.all_horizontal(pl.all().is_between(-_SLACK, 1 + _SLACK)), total=pl.sum_horizontal(pl.all()),
    )  # fmt: skip
    some, every, inside, total = (known[name] for name in ("some", "every", "inside", "total"))
    rows.faults += [
        (some & ~every, pl.lit(f"{said}: not a probability for each class")),
        (every & ~inside, pl.lit(f"{said}: a probability is outside of 0 to 1")),
        (every & inside & ((total - 1).abs() > _SUM_SLACK), pl.lit(f"{said}: the probabilities do not add up to 1")),
    ]
    return wide.select(pl.when(every).then(pl.concat_list(pl.all())).alias(CLASS_SCORES)).to_series()


def _unpacked(rows: RawRows, column: Column, known: Sequence[str]) -> list[pl.Series]:
    """One column of numbers a class, out of lists, named fields, or texts such as [0.2, 0.8]."""
    raw = rows.frame[column.source]
    if isinstance(raw.dtype, pl.Struct):
        fields = {name: name for name in _fields(raw.dtype)}
        return [
            values.as_number(raw.struct.field(name)).alias(str(place))
            for place, name in enumerate(_of_each_class(fields, known, column.source, list(fields)))
        ]
    lists = _lists(raw)
    wrong = (lists.list.len() != len(known)).fill_null(False)
    if wrong.any():
        rows.faults.append((wrong, pl.lit(f"{column.source}: not {len(known)} probabilities, one a class")))
    return [lists.list.get(place, null_on_oob=True).alias(str(place)) for place in range(len(known))]


def _lists(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        bare = raw.str.strip_chars(" []\t\n").str.replace_all(r"[,;\s]+", ",")
        return bare.str.split(",").list.eval(pl.element().cast(pl.Float64, strict=False).fill_nan(None))
    return raw.cast(pl.List(pl.Float64), strict=False).list.eval(pl.element().fill_nan(None))


def _class_of(column: Column) -> str:
    """The class that a column is the probability of; where nobody has named it, the one that its name speaks of."""
    found = class_in(column.source) if column.name == column.source else None
    return column.name if found is None else found[1]


def _of_each_class(given: Mapping[str, _T], known: Sequence[str], source: str, names: Sequence[str]) -> list[_T]:
    """What is `given` by the names of classes, in the order of the classes. Raises MissingColumn."""
    by_class = {same_class(name, known): one for name, one in given.items()}
    for value in known:
        if value not in by_class:
            raise MissingColumn(source, f"{Part.PROBABILITY}.{value}", names)
    return [by_class[value] for value in known]


def _fields(dtype: pl.DataType) -> tuple[str, ...]:
    return tuple(field.name for field in dtype.fields) if isinstance(dtype, pl.Struct) else ()


def _texts(signature: Signature) -> list[str]:
    return [str(value) for value in signature.target.classes]

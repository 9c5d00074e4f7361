"""Guessing what a column is from its name, its type, its range and how often its values repeat; pure, with reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from pilothouse.data.errors import InvalidSetting
from pilothouse.data.signature import Kind, Signature, Task
from pilothouse.ops.imports import values
from pilothouse.ops.imports.class_columns import class_groups, is_list
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part, Question
from pilothouse.ops.imports.values import ENOUGH, Style
from pilothouse.ops.imports.words import ID_WORDS, KEY_WORDS, NAMES, TIME_WORDS, words_of

_OURS = "bad "
_MANY_CLASSES = 20
_SEVERAL = 3
_TELLING = 0.95
_KEY_DISTINCT, _TEXT_DISTINCT = 0.5, 0.5
_FEW_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a sample shows of one column.

    kind : what nearly all of its values can be read as; None for times, for text that hardly repeats, and for nothing.
    formats : of the times in it, empty for none; two when day and month cannot be told apart.
    distinct : different values among the `rows` that have one. low, high, mean : of the numbers. values : the different ones as
    texts, where they are few. lists : whether each holds several values.
    """

    name: str
    kind: Kind | None
    rows: int
    distinct: int
    formats: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    values: tuple[str, ...] = ()
    lists: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return words_of(self.name)

    @property
    def plain(self) -> str:
        return " ".join(self.words)

    @property
    def telling(self) -> bool:
        """Whether nearly every row has a value of its own; a few may come twice by mistake."""
        return self.rows > 1 and self.distinct >= _TELLING * self.rows

    @property
    def one_value(self) -> bool:
        return self.distinct <= 1


def look_at(sample: pl.DataFrame, style: Style) -> tuple[Seen, ...]:
    """What a sample of raw columns shows of each."""
    return tuple(_seen(sample[name], style) for name in sample.columns)


def _seen(column: pl.Series, style: Style) -> Seen:
    known = column.drop_nulls()
    words = words_of(column.name)
    formats = values.time_formats(column, hinted=bool(TIME_WORDS & set(words)))
    lists = is_list(known)
    kind = None if formats or lists or not len(known) else _kind(known, style)
    number = values.as_number(known, style.decimal).drop_nulls() if kind in (Kind.NUMBER, Kind.INTEGER) else None
    low, high, mean = (number.min(), number.max(), number.mean()) if number is not None else (None,) * 3
    distinct = 0 if lists else known.n_unique()
    few = kind is not None and distinct <= _MANY_CLASSES
    return Seen(
        name=column.name,
        kind=kind,
        rows=len(known),
        distinct=distinct,
        formats=formats,
        low=float(low) if isinstance(low, int | float) else None,
        high=float(high) if isinstance(high, int | float) else None,
        mean=float(mean) if isinstance(mean, int | float) else None,
        values=tuple(values.as_text(known.unique()).drop_nulls()) if few else (),
        lists=lists,
    )


def _kind(known: pl.Series, style: Style) -> Kind | None:
    """What enough of the values are; the few that are not will be bad rows. Words that are no numbers are categories."""
    if known.dtype == pl.Boolean:
        return Kind.BOOLEAN
    number = values.as_number(known, style.decimal).drop_nulls()
    if len(number) >= ENOUGH * len(known):
        return Kind.INTEGER if bool((number % 1 == 0).all()) else Kind.NUMBER
    text = known.cast(pl.String, strict=False)
    if known.dtype != pl.String and text.null_count():
        return None
    return Kind.BOOLEAN if values.as_boolean(text).null_count() <= (1 - ENOUGH) * len(known) else Kind.CATEGORY


def guess_mapping(
    seen: Sequence[Seen],
    *,
    signature: Signature | None = None,
    target: str | None = None,
    shared: Collection[str] = (),
    task_is_classes: bool = True,
) -> ColumnMap:
    """What each column of a log of predictions probably is, and why.

    signature : of the model, if it is there already: its features are then looked for by name, and nothing else is one.
    target : the name of the label's column, if somebody has said so. shared : columns that the file of labels has too:
    those are how labels find their predictions.
    Where several columns could play one part, nobody plays it and `questions` names them.
    """
    guess = _Guess(seen, signature)
    label = target or (signature.target.name if signature else None)
    guess.own_columns()
    guess.label(label)
    guess.times()
    guess.probabilities()
    for part in (Part.SCORE, Part.PREDICTION, Part.VERSION):
        guess.named(part)
    guess.identity(frozenset(shared) - {label})
    guess.rest()
    return guess.made()


def guess_labels(seen: Sequence[Seen], *, target: str | None, ids: Collection[str], keys: Collection[str]) -> ColumnMap:
    """What each column of a file of labels probably is.

    ids : how the column of ids is called in the file of predictions, and here. keys : names of its business keys.
    """
    guess = _Guess(seen, None)
    guess.own_columns()
    found = [s for s in seen if s.name in ids] or [s for s in seen if s.plain in NAMES[Part.ID] and not keys]
    if found:
        guess.take(found[0], Part.ID, "the id that the predictions carry")
    for one in seen:
        if one.name in keys and not guess.taken(one):
            guess.take(one, Part.KEY, "a business key that the predictions carry")
    times = [s for s in seen if s.formats and not guess.taken(s)]
    guess.choose(Part.OBSERVED_AT, times, "the time the label became true")
    guess.label(target)
    free = [s for s in seen if not guess.taken(s) and s.kind is not None]
    if not guess.has(Part.LABEL):
        guess.choose(Part.LABEL, free, "the only column left")
    guess.ignore("not part of a label")
    return guess.made()


class _Guess:
    """Hands out parts to columns, each column once (a key may be a feature too); the order of calls is the order of trust."""

    def __init__(self, seen: Sequence[Seen], signature: Signature | None) -> None:
        self.seen, self.signature = seen, signature
        self.columns: dict[tuple[str, Part], Column] = {}
        self.questions: list[Question] = []
        self.notes: list[str] = []

    def made(self) -> ColumnMap:
        for question in self.questions:
            for one in (one for one in self.seen if one.name in question.sources and not self.taken(one)):
                self.take(one, Part.IGNORED, f"could be {question.part}")
        order = {one.name: place for place, one in enumerate(self.seen)}
        columns = sorted(self.columns.values(), key=lambda column: order[column.source])
        return ColumnMap(columns=tuple(columns), questions=tuple(self.questions), notes=tuple(self.notes))

    def take(self, one: Seen, part: Part, reason: str, name: str | None = None, kind: Kind | None = None) -> None:
        given = name or (one.name if part in (Part.FEATURE, Part.CONTEXT, Part.KEY, Part.IGNORED) else part.value)
        self.columns[one.name, part] = Column(
            source=one.name, part=part, name=given, kind=kind or one.kind, reason=reason
        )

    def taken(self, one: Seen) -> bool:
        return any(source == one.name for source, _ in self.columns)

    def has(self, part: Part) -> bool:
        return any(known is part for _, known in self.columns)

    def free(self) -> list[Seen]:
        asked = {name for question in self.questions for name in question.sources}
        return [one for one in self.seen if not self.taken(one) and one.name not in asked]

    def choose(self, part: Part, candidates: Iterable[Seen], reason: str) -> None:
        """The only candidate gets the part, or the only one that has its very name; several make a question."""
        found = list(candidates)
        exact = [one for one in found if one.name == part.value]
        if len(found) == 1:
            self.take(found[0], part, reason)
        elif len(exact) == 1:
            self.take(exact[0], part, f"called {part.value}")
        elif found:
            self.questions.append(Question(part=part, sources=tuple(one.name for one in found)))

    def own_columns(self) -> None:
        """The model's features and context columns, by name; and what an earlier import has added to a file."""
        for one in self.seen:
            if one.plain.startswith(_OURS):
                self.take(one, Part.IGNORED, "written by an earlier import")
        if self.signature is None:
            return
        for part, columns in ((Part.FEATURE, self.signature.features), (Part.CONTEXT, self.signature.context)):
            for column in columns:
                found = _by_name(self.free(), column.name)
                if found is not None:
                    what = "the model's feature" if part is Part.FEATURE else "the model's context column"
                    self.take(found, part, what, name=column.name, kind=column.kind)

    def label(self, name: str | None) -> None:
        """The column of outcomes: the one that is named, otherwise the one that is called like one."""
        if name is not None and (found := _by_name(self.free(), name)):
            self.take(found, Part.LABEL, "named as the target")
        elif not self.has(Part.LABEL):
            self.named(Part.LABEL)

    def named(self, part: Part) -> None:
        """The column that is called like the part; the first of the names that one of them has."""
        fitting = [one for one in self.free() if _can_be(one, part)]
        for name in NAMES[part]:
            same = [one for one in fitting if one.plain == name]
            if same:
                self.choose(part, same, f"called like a {part}" + _range_said(same[0], part))
                return
        ends = [one for one in fitting if _ends_like(one, part)]
        self.choose(part, ends, f"its name speaks of a {part}" + _range_said(ends[0], part) if ends else "")

    def times(self) -> None:
        """When the prediction was made, and when its label became true."""
        candidates = [one for one in self.free() if one.formats]
        late = [one for one in candidates if one.plain in NAMES[Part.OBSERVED_AT]]
        if late and (self.has(Part.LABEL) or len(candidates) > len(late)):
            self.choose(Part.OBSERVED_AT, late, "its name speaks of the outcome's time")
        self.choose(Part.AT, [one for one in candidates if one not in late] or late, "the only column of times")
        for one in candidates:
            if len(one.formats) > 1 and not self.is_ignored(one):
                self.notes.append(
                    f"{one.name!r} can be read as {' or '.join(one.formats)}; say which with --time-format"
                )

    def probabilities(self) -> None:
        """The probability of each class, of a model that has more than two: all of the columns, or none of them."""
        classes = self._classes()
        fitting = [one for one in self.free() if _can_be(one, Part.PROBABILITY)]
        means = {one.name: one.mean for one in fitting if one.mean is not None}
        groups = [g for g in class_groups(means, classes) if len(g) >= _SEVERAL] if classes else []
        if len(groups) > 1:
            first = " and ".join(repr(next(iter(group))) for group in groups[:2])
            self.notes.append(
                f"{first} both begin the probabilities of classes; --map probability.CLASS=COLUMN says which"
            )
        elif groups:
            for one in (one for one in fitting if one.name in groups[0]):
                name = groups[0][one.name]
                self.take(one, Part.PROBABILITY, f"called like the probability of {name}", name=name)
        lists = [one for one in self.free() if one.lists and one.plain in NAMES[Part.PROBABILITIES]]
        if not groups and (self.signature is None or self.signature.task is Task.MULTICLASS):
            self.choose(Part.PROBABILITIES, lists, "a probability for each class")

    def _classes(self) -> tuple[str, ...]:
        """The classes as far as they are known: the model's, or those that labels and predictions speak of."""
        if self.signature is not None:
            multiclass = self.signature.task is Task.MULTICLASS
            return tuple(str(value) for value in self.signature.target.classes) if multiclass else ()
        told = [one for one in self.seen if (one.name, Part.LABEL) in self.columns]
        said = [one for one in self.free() if one.plain in NAMES[Part.PREDICTION] or _ends_like(one, Part.PREDICTION)]
        return tuple(dict.fromkeys(value for one in (*told, *said) for value in one.values))

    def is_ignored(self, one: Seen) -> bool:
        return (one.name, Part.IGNORED) in self.columns

    def identity(self, shared: frozenset[str | None]) -> None:
        """The row's own id, the entity it speaks of, and the business keys by which labels find it."""
        self.named(Part.ENTITY)
        for one in [s for s in self.seen if s.name in shared and not s.formats]:
            if self.is_ignored(one) or any(
                known[0] == one.name and known[1] is not Part.FEATURE for known in self.columns
            ):
                continue
            exactly = one.plain in NAMES[Part.ID] and one.telling
            part = Part.ID if exactly and not self.has(Part.ID) else Part.KEY
            self.take(one, part, "in the file of labels too" + ("; different in nearly every row" if exactly else ""))
        if not self.has(Part.ID):
            self.named(Part.ID)
        if not self.has(Part.ID) and not self._asked(Part.ID):
            ids = [one for one in self.free() if one.telling and ID_WORDS & set(one.words)]
            self.choose(Part.ID, ids, "an id by its name, and different in nearly every row")
        for one in self.free():
            telling = bool(KEY_WORDS & set(one.words)) and one.kind in (Kind.INTEGER, Kind.CATEGORY)
            if telling and one.rows >= _FEW_ROWS and one.distinct >= _KEY_DISTINCT * one.rows:
                self.take(one, Part.KEY, f"its name speaks of a key, and {_distinct_said(one)}")

        for one in self.seen:
            if one.telling and (one.name, Part.KEY) in self.columns and not self.has(Part.ID):
                self.notes.append(
                    f"{one.name!r} has {_distinct_said(one)}: --map id={one.name!r} would make it the id of its row, and "
                    "set repeats aside"
                )

    def _asked(self, part: Part) -> bool:
        return any(question.part is part for question in self.questions)

    def rest(self) -> None:
        """Everything else is a feature of a new model, and nothing of one that is there already."""
        for one in self.free():
            if self.signature is not None:
                self.take(one, Part.IGNORED, "not a column of the model")
            elif one.formats:
                self.take(one, Part.IGNORED, "another time")
            elif one.kind is None or one.one_value:
                self.take(one, Part.IGNORED, "no value" if not one.rows else "always the same")
            elif one.kind is Kind.CATEGORY and one.rows >= _FEW_ROWS and one.distinct >= _TEXT_DISTINCT * one.rows:
                self.take(one, Part.IGNORED, f"text that hardly repeats: {_distinct_said(one)}")
            else:
                self.take(one, Part.FEATURE, _feature_said(one))

    def ignore(self, reason: str) -> None:
        for one in self.free():
            self.take(one, Part.IGNORED, reason)


def _can_be(one: Seen, part: Part) -> bool:
    """Whether the values allow the part."""
    if one.formats or not one.rows:
        return False
    if part is Part.SCORE:
        return one.kind in (Kind.NUMBER, Kind.INTEGER) and one.low is not None and one.low >= -0.5
    if part is Part.PROBABILITY:
        # By their mean: a few may be slips.
        return one.mean is not None and 0 <= one.mean <= 1
    if part is Part.VERSION:
        return one.distinct <= _MANY_CLASSES
    if part is Part.ID:
        return one.kind is not Kind.NUMBER and one.telling
    return True


def _ends_like(one: Seen, part: Part) -> bool:
    """Whether the name is one of the part's with something around it: `Score (Modell)`, `churn_probability`."""
    telling = {
        Part.SCORE: {"score", "prob", "proba", "probability", "wahrscheinlichkeit"},
        Part.PREDICTION: {"prediction", "pred", "predicted", "vorhersage", "prognose"},
        Part.LABEL: {"label", "actual", "outcome", "truth", "ergebnis"},
    }.get(part, set())
    return bool(telling & set(one.words))


def _by_name(seen: Iterable[Seen], name: str) -> Seen | None:
    """The column of that name; otherwise the only one whose words are the same."""
    known = list(seen)
    exact = [one for one in known if one.name == name]
    alike = exact or [one for one in known if one.words == words_of(name)]
    return alike[0] if len(alike) == 1 else None


def _range_said(one: Seen, part: Part) -> str:
    if part is not Part.SCORE or one.low is None or one.high is None:
        return ""
    return f", from {one.low:g} to {one.high:g}"


def _distinct_said(one: Seen) -> str:
    return f"{one.distinct:,} different values in {one.rows:,} rows"


def _feature_said(one: Seen) -> str:
    if one.kind is Kind.CATEGORY:
        return f"{one.distinct:,} categories"
    return f"{'whole ' if one.kind is Kind.INTEGER else ''}numbers" if one.kind is not Kind.BOOLEAN else "yes or no"


def time_formats(seen: Sequence[Seen], mapping: ColumnMap, style: Style, source: str) -> Mapping[str, str]:
    """How each mapped time column is written. Raises InvalidSetting when day and month cannot be told apart."""
    found = {}
    for one in seen:
        part = next((c.part for c in mapping.columns if c.source == one.name), Part.IGNORED)
        if part not in (Part.AT, Part.OBSERVED_AT):
            continue
        if style.time_format is None and len(one.formats) != 1:
            allowed = " or ".join(one.formats) or "a strptime format such as %d.%m.%Y %H:%M, or epoch_s, epoch_ms"
            raise InvalidSetting("--time-format", None, allowed, f"the times of {one.name!r} in {source}")
        found[one.name] = style.time_format or one.formats[0]
    return found


def with_kinds(mapping: ColumnMap, seen: Sequence[Seen]) -> ColumnMap:
    """`mapping` where a column that somebody has made a feature gets the kind that the sample shows."""
    kinds = {one.name: one.kind for one in seen}
    columns = tuple(replace(c, kind=c.kind or kinds.get(c.source) or Kind.CATEGORY) for c in mapping.columns)
    return replace(mapping, columns=columns)

"""What an import would do, decided before anything is written: mapping, task, classes, and how values are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.signature import NUMERIC, ContextColumn, Feature, Kind, Signature, Target, Task, Value
from pilothouse.ops.imports import values
from pilothouse.ops.imports.class_columns import check_order, named_classes, same_class
from pilothouse.ops.imports.convert import check_layout
from pilothouse.ops.imports.guess import Seen, guess_labels, guess_mapping, look_at, time_formats, with_kinds
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part, corrected
from pilothouse.ops.imports.sources import Source
from pilothouse.ops.imports.values import Style

_FEW_CLASSES = 20
_CLEAN = 0.99
_YES_NO = frozenset({Kind.BOOLEAN, Kind.INTEGER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person has said of an import; what she has not said is found out.

    mapping, label_mapping : from what is ours to what is theirs, for the predictions and for the file of labels.
    classes : the target's, the positive one last; none for those that the source speaks of.
    positive : the class that the score is the probability of. time_zone : of times that name none.
    horizon : how long after an event a label found by a key still belongs to it, for a new model.
    version : of rows that name none themselves.
    """

    mapping: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    label_mapping: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    task: Task | None = None
    classes: tuple[str, ...] = ()
    target: str | None = None
    positive: str | None = None
    horizon: timedelta | None = None
    version: int | None = None
    time_format: str | None = None
    time_zone: str | None = None
    decimal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One source and how it is read. sample : its first rows. seen : what they show of each column."""

    source: Source
    sample: pl.DataFrame
    seen: tuple[Seen, ...]
    mapping: ColumnMap
    style: Style
    formats: Mapping[str, str]

    def first_time(self, part: Part) -> tuple[object, datetime] | None:
        """The first time of the part's column that can be read: as it stands there, and in UTC. None without any."""
        column = self.mapping.one(part)
        if column is None:
            return None
        raw = self.sample[column.source]
        read = values.as_time(raw, self.formats[column.source], self.style.time_zone)
        found = pl.DataFrame({"raw": raw, "read": read}).drop_nulls().head(1).rows()
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """The mappings as far as they can be guessed, with the questions that stay open. labels : None without their file."""

    predictions: ColumnMap
    labels: ColumnMap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An import that could begin. signature : of the model, or the one that it would be registered with."""

    model: str
    predictions: Reading
    labels: Reading | None
    signature: Signature
    new: bool
    version: int
    notes: tuple[str, ...]
    wishes: Wishes


def make_plan(
    model: str, source: Source, labels: Source | None, wishes: Wishes, *, known: Signature | None, zone: str
) -> Plan:
    """What importing `source` into `model` would do.

    known : the signature of a model that is there already. zone : the workspace's, for times that name none.
    Raises AmbiguousColumns, BadMapping, MissingColumn, InvalidSetting, or BadData when no task fits.
    """
    sample, label_sample = source.sample(), labels.sample() if labels else pl.DataFrame()
    style = _style(sample, source, wishes, zone)
    seen = look_at(sample, style)
    mapping = _mapped(seen, source, wishes, known, shared=tuple(label_sample.columns)).checked(source.name)
    told = _read_labels(label_sample, labels, mapping, wishes, known, zone) if labels else None
    formats = time_formats(seen, mapping, style, source.name)
    reading = Reading(source=source, sample=sample, seen=seen, mapping=mapping, style=style, formats=formats)
    signature = known or draft_signature(reading, told, wishes)
    check_layout(mapping, signature, source.name)
    return Plan(
        model=model, predictions=reading, labels=told, signature=signature, new=known is None,
        version=wishes.version or 1, notes=tuple(_notes(reading, told, signature, new=known is None)),
        wishes=wishes,
    )  # fmt: skip


def first_guess(source: Source, labels: Source | None, wishes: Wishes, *, known: Signature | None, zone: str) -> Guess:
    """What each column is, as far as it can be guessed. Raises BadMapping, MissingColumn."""
    sample, label_sample = source.sample(), labels.sample() if labels else pl.DataFrame()
    seen = look_at(sample, _style(sample, source, wishes, zone))
    mapping = _mapped(seen, source, wishes, known, shared=tuple(label_sample.columns))
    if labels is None:
        return Guess(predictions=mapping, labels=None)
    told = look_at(label_sample, _style(label_sample, labels, wishes, zone))
    return Guess(predictions=mapping, labels=_labels_mapped(told, labels, mapping, wishes, known))


def _style(sample: pl.DataFrame, source: Source, wishes: Wishes, zone: str) -> Style:
    return Style(
        decimal=wishes.decimal or values.decimal_of(sample, source.delimiter),
        time_zone=wishes.time_zone or zone,
        time_format=wishes.time_format,
    )


def _mapped(
    seen: Sequence[Seen], source: Source, wishes: Wishes, known: Signature | None, shared: Sequence[str]
) -> ColumnMap:
    guessed = guess_mapping(seen, signature=known, target=wishes.target, shared=shared)
    said = corrected(
        guessed, wishes.mapping, source=source.name,
        features=None if known is None else {f.name: f.kind for f in known.features},
        context=None if known is None else {c.name: c.kind for c in known.context},
    )  # fmt: skip
    return with_kinds(_score_in_disguise(said, seen), seen)


def _score_in_disguise(mapping: ColumnMap, seen: Sequence[Seen]) -> ColumnMap:
    """A prediction of many values between 0 and 1 is a score, where there is no other and labels are of two kinds."""
    by_name = {one.name: one for one in seen}
    answer, label = mapping.one(Part.PREDICTION), mapping.one(Part.LABEL)
    if answer is None or mapping.one(Part.SCORE) or answer.reason == "you said so":
        return mapping
    shown, outcomes = by_name[answer.source], by_name[label.source].distinct if label else 2
    if shown.kind is not Kind.NUMBER or shown.low is None or shown.high is None or outcomes > 2:
        return mapping
    if not 0 <= shown.low <= shown.high <= 1 or shown.distinct <= 2:
        return mapping
    reason = f"many values from {shown.low:g} to {shown.high:g}: a probability, not a class"
    score = replace(answer, part=Part.SCORE, name=Part.SCORE.value, reason=reason)
    return replace(mapping, columns=tuple(score if c is answer else c for c in mapping.columns))


def _read_labels(
    sample: pl.DataFrame, labels: Source, predictions: ColumnMap, wishes: Wishes, known: Signature | None, zone: str
) -> Reading:
    style = _style(sample, labels, wishes, zone)
    seen = look_at(sample, style)
    mapping = _labels_mapped(seen, labels, predictions, wishes, known).checked(labels.name, "--map-labels")
    _check_labels(mapping, labels.name, [column.name for column in predictions.all(Part.KEY)])
    formats = time_formats(seen, mapping, style, labels.name)
    return Reading(source=labels, sample=sample, seen=seen, mapping=mapping, style=style, formats=formats)


def _labels_mapped(
    seen: Sequence[Seen], labels: Source, predictions: ColumnMap, wishes: Wishes, known: Signature | None
) -> ColumnMap:
    id_column, keys = predictions.one(Part.ID), [column.name for column in predictions.all(Part.KEY)]
    ids = (id_column.source,) if id_column and any(one.name == id_column.source for one in seen) else ()
    target = wishes.target or (known.target.name if known else None)
    guessed = guess_labels(seen, target=target, ids=ids, keys=keys)
    return with_kinds(corrected(guessed, wishes.label_mapping, source=labels.name), seen)


def _check_labels(mapping: ColumnMap, name: str, keys: Sequence[str]) -> None:
    if mapping.one(Part.LABEL) is None:
        raise BadData(f"No column of {name} looks like the label. Say which: --map-labels label=COLUMN.")
    if mapping.one(Part.ID) is None and not mapping.all(Part.KEY):
        raise BadData(
            f"No column of {name} says whose label it is. Say which: --map-labels id=COLUMN, or a business key that the "
            f"predictions have too ({', '.join(keys) or 'they have none yet: --map key=COLUMN'})."
        )
    if mapping.one(Part.ID) is None and mapping.one(Part.OBSERVED_AT) is None:
        raise BadData(
            f"{name} tells labels by key but not when they became true, and a key belongs to the predictions of some days "
            "before that time alone. Say which column is the time: --map-labels observed_at=COLUMN."
        )


def draft_signature(predictions: Reading, labels: Reading | None, wishes: Wishes) -> Signature:
    """The signature of a model that is known by its log alone."""
    mapping = predictions.mapping
    label = (labels.mapping if labels else mapping).one(Part.LABEL) or mapping.one(Part.LABEL)
    check_order(mapping, predictions.sample.schema, wishes.classes)
    answers = [c for c in (mapping.one(Part.PREDICTION), label) if c is not None]
    named = named_classes(mapping, predictions.sample.schema)
    kind = _common_kind([c.kind or Kind.CATEGORY for c in answers] or [Kind.CATEGORY] * len(named))
    task = wishes.task or _task(predictions, labels, kind, len(wishes.classes))
    classes: tuple[Value, ...] = ()
    if task is Task.REGRESSION:
        kind = Kind.NUMBER
    elif wishes.classes:
        classes = _classes_said(wishes, task, kind, predictions.style)
    else:
        found = _classes(predictions, labels, kind)
        told = [name for name in named if same_class(name, [str(value) for value in found]) is None]
        found.update(_read_class(pl.Series(told, dtype=pl.String), kind, predictions.style))
        classes = _two_classes(found, predictions, wishes) if task is Task.BINARY else _sorted_classes(found)
    target = Target(name=wishes.target or (label.source if label else "label"), kind=kind, classes=classes)
    return Signature(
        features=tuple(Feature(name=c.name, kind=c.kind or Kind.CATEGORY) for c in mapping.all(Part.FEATURE)),
        target=target,
        task=task,
        context=tuple(ContextColumn(name=c.name, kind=c.kind or Kind.CATEGORY) for c in mapping.all(Part.CONTEXT)),
    )


def _common_kind(kinds: Sequence[Kind]) -> Kind:
    """One kind for predictions and labels, which may be spelled differently: 1 and true, 3 and 3.5."""
    found = set(kinds)
    if not found:
        return Kind.INTEGER
    if len(found) == 1:
        return found.pop()
    if found <= _YES_NO:
        return Kind.BOOLEAN
    return Kind.NUMBER if found <= NUMERIC else Kind.CATEGORY


def _task(predictions: Reading, labels: Reading | None, kind: Kind, classes: int) -> Task:
    """classes : how many somebody has named, 0 for none."""
    if classes:
        return Task.BINARY if classes == 2 else Task.MULTICLASS
    if predictions.mapping.all(Part.PROBABILITY) or predictions.mapping.one(Part.PROBABILITIES):
        return Task.MULTICLASS
    if predictions.mapping.one(Part.SCORE) or kind is Kind.BOOLEAN:
        return Task.BINARY
    if kind is Kind.NUMBER:
        return Task.REGRESSION
    distinct = max((seen.distinct for seen in _answers_seen(predictions, labels)), default=2)
    if distinct <= 2:
        return Task.BINARY
    return Task.MULTICLASS if kind is Kind.CATEGORY or distinct <= _FEW_CLASSES else Task.REGRESSION


def _classes_said(wishes: Wishes, task: Task, kind: Kind, style: Style) -> tuple[Value, ...]:
    """The classes that a person names, as the columns' values are read. Raises BadData when they cannot be those."""
    said = ",".join(wishes.classes)
    found = tuple(_read_class(pl.Series(wishes.classes, dtype=pl.String), kind, style))
    if len(set(found)) != len(wishes.classes):
        raise BadData(f"--classes {said}: each is to be a different {kind}, since the columns are read as such.")
    if task is Task.BINARY and len(found) != 2:
        raise BadData(f"--classes {said}: a binary task has two classes. Name two, or give --task multiclass.")
    return _positive_last(found, wishes.positive)


def _answers_seen(predictions: Reading, labels: Reading | None) -> list[Seen]:
    readings = [predictions] if labels is None else [predictions, labels]
    answers = {(r.source.name, c.source) for r in readings for c in _answer_columns(r)}
    return [one for r in readings for one in r.seen if (r.source.name, one.name) in answers]


def _answer_columns(reading: Reading) -> list[Column]:
    return [c for c in (reading.mapping.one(Part.PREDICTION), reading.mapping.one(Part.LABEL)) if c is not None]


def _classes(predictions: Reading, labels: Reading | None, kind: Kind) -> Counter[Value]:
    """How often each class is spoken of in the whole source: the first rows need not have them all."""
    found: Counter[Value] = Counter()
    for reading in (predictions, labels):
        columns = _answer_columns(reading) if reading else []
        if reading is None or not columns:
            continue
        for chunk in reading.source.chunks([column.source for column in columns]):
            for column in columns:
                counted = chunk.frame[column.source].drop_nulls().value_counts()
                for raw, times in counted.iter_rows():
                    for value in _read_class(
                        pl.Series([raw], dtype=counted.schema[column.source]), kind, reading.style
                    ):
                        found[value] += times
    return found


def _sorted_classes(found: Counter[Value]) -> tuple[Value, ...]:
    numbers = [value for value in found if isinstance(value, int | float)]
    return tuple(sorted(numbers)) if len(numbers) == len(found) else tuple(sorted(found, key=str))


def _read_class(raw: pl.Series, kind: Kind, style: Style) -> list[Value]:
    if kind is Kind.BOOLEAN:
        return list(values.as_boolean(raw).drop_nulls())
    if kind in NUMERIC:
        number = values.as_number(raw, style.decimal).drop_nulls()
        return [int(v) if v == int(v) else v for v in number]
    return list(values.as_text(raw).drop_nulls())


def _two_classes(found: Counter[Value], predictions: Reading, wishes: Wishes) -> tuple[Value, ...]:
    """Two classes, the positive one last: the one that is named, otherwise the one with the higher scores.

    What stands beside two classes in fewer than one row of a hundred is a slip, and its rows are bad.
    """
    common = found.most_common(2)
    kept = dict(common) if sum(times for _, times in common) >= _CLEAN * found.total() else found
    classes = _sorted_classes(Counter(kept))
    two = _completed(classes)
    if len(two) != 2:
        raise BadData(
            f"A binary task has two classes; the source speaks of {len(two)}: {', '.join(map(str, two[:6]))}. "
            "Name both with --classes NEGATIVE,POSITIVE, say what it is with --task multiclass or --task regression, or "
            "map other columns."
        )
    if wishes.positive is not None:
        return _positive_last(two, wishes.positive)
    return (two[1], two[0]) if _scores_point_back(two, predictions) else two


def _positive_last(classes: tuple[Value, ...], positive: str | None) -> tuple[Value, ...]:
    """`classes` with the one called `positive` at their end. Raises BadData when none is."""
    if positive is None:
        return classes
    named = [value for value in classes if str(value).lower() == positive.lower()]
    if not named:
        known = " and ".join(map(str, classes))
        raise BadData(f"The positive class cannot be {positive!r}. The classes are: {known}.")
    return (*(value for value in classes if value != named[0]), named[0])


def _completed(classes: tuple[Value, ...]) -> tuple[Value, ...]:
    """Both classes, where one that says what the other is has been seen alone."""
    for pair in ((False, True), (0, 1)):
        if len(classes) < 2 and all(type(value) is type(pair[0]) and value in pair for value in classes):
            return (0, 1) if not classes else pair
    return classes


def _scores_point_back(two: tuple[Value, ...], predictions: Reading) -> bool:
    """Whether rows of the first class have the higher scores."""
    score = predictions.mapping.one(Part.SCORE)
    answer = predictions.mapping.one(Part.PREDICTION) or predictions.mapping.one(Part.LABEL)
    if score is None or answer is None:
        return False
    sample = predictions.sample
    number = values.as_number(sample[score.source], predictions.style.decimal)
    text = values.as_text(sample[answer.source]).str.to_lowercase()
    first, last = (number.filter(text == str(value).lower()).mean() for value in two)
    return isinstance(first, float) and isinstance(last, float) and first > last


def _notes(predictions: Reading, labels: Reading | None, signature: Signature, *, new: bool) -> list[str]:
    """What a reader should know of what was decided for her."""
    mapping, style, said = predictions.mapping, predictions.style, list(predictions.mapping.notes)
    at = mapping.one(Part.AT)
    if at and not values.names_zone(predictions.sample[at.source], predictions.formats[at.source]):
        said.append(f"The times name no zone and are read as {style.time_zone}; --time-zone says otherwise.")
    if style.decimal == ",":
        said.append("Numbers are written with a decimal comma; --decimal . says otherwise.")
    encoding = getattr(predictions.source, "encoding", "utf-8")
    if not encoding.startswith("utf"):
        said.append(f"The file is not UTF-8 and is read as {encoding}; --encoding says otherwise.")
    if mapping.one(Part.PREDICTION) is None and signature.task is Task.BINARY:
        said.append(f"No column holds the prediction: it is {signature.target.positive} from a score of 0.5 on.")
    elif mapping.one(Part.PREDICTION) is None and signature.task is Task.MULTICLASS:
        said.append("No column holds the prediction: it is the class of the highest probability.")
    if mapping.one(Part.ID) is None:
        said.append("No column is the row's own id: ids are made of the file's content and the line.")
    if mapping.one(Part.LABEL) is None and labels is None:
        said.append("There are no labels: drift is measured, performance waits for them.")
    elif mapping.one(Part.LABEL) and mapping.one(Part.OBSERVED_AT) is None and labels is None:
        said.append("No column says when a label became true: it counts as known when the prediction was made.")
    if not new and (missing := _unmapped(mapping, signature)):
        said.append(f"No column for {', '.join(missing)}: missing in every row; --map OURS=THEIRS says otherwise.")
    return said


def _unmapped(mapping: ColumnMap, signature: Signature) -> list[str]:
    mapped = {column.name for column in mapping.all(Part.FEATURE)}
    return [name for name in signature.names if name not in mapped]


def first_times(plan: Plan) -> tuple[str, ...]:
    """The first time of each source as it stands there and as it is read, so that a wrong zone or order is seen."""
    asked = [("The first time", plan.predictions.first_time(Part.AT))]
    if plan.labels is not None:
        asked.append(("The first time of the labels", plan.labels.first_time(Part.OBSERVED_AT)))
    return tuple(f"{what}, {pair[0]}, is read as {pair[1]:%Y-%m-%d %H:%M:%S} UTC." for what, pair in asked if pair)

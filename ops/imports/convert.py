"""From raw columns to rows of the log. What cannot be read is told with its reason, and its row is set aside whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import polars as pl
import pyarrow as pa

from pilothouse.data.errors import MissingColumn
from pilothouse.data.log.door import Door
from pilothouse.data.log.schema import Role, Status, label_schema, prediction_schema
from pilothouse.data.signature import NUMERIC, Kind, Signature, Target, Task
from pilothouse.ops.imports import values
from pilothouse.ops.imports.class_columns import check_classes, likeliest, read_class_scores
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part
from pilothouse.ops.imports.raw import RawRows, Read
from pilothouse.ops.imports.sources import LINE
from pilothouse.ops.imports.values import Style

CALLER = "import"
_UTC = pl.Datetime("us", "UTC")
_WHOLE = r"^(0|-?[1-9]\d{0,14})$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Everything that decides how a raw row is read.

    formats : of the time columns, by their name. version : of rows that name none. tag : what made ids begin with, and
    what labels name as their source. threshold : from which score on a row without a prediction counts as positive.
    """

    signature: Signature
    mapping: ColumnMap
    style: Style
    formats: Mapping[str, str]
    version: int
    tag: str
    now: datetime
    threshold: float = 0.5
    door: Door | None = None


def check_layout(mapping: ColumnMap, signature: Signature, source: str) -> None:
    """Raises MissingColumn when a part that every log needs is played by no column."""
    names = [column.source for column in mapping.columns]
    if mapping.one(Part.AT) is None:
        raise MissingColumn(source, "at", names)
    each = mapping.all(Part.PROBABILITY) or mapping.one(Part.PROBABILITIES)
    instead = {Task.BINARY: mapping.one(Part.SCORE), Task.MULTICLASS: each}.get(signature.task)
    if not (mapping.one(Part.PREDICTION) or instead):
        raise MissingColumn(source, "prediction", names)
    check_classes(mapping, signature, source)


def read_predictions(frame: pl.DataFrame, layout: Layout) -> Read:
    """A chunk's rows as predictions. Times are UTC; the log says that a row was logged when it happened."""
    rows = RawRows(frame, layout.style)
    facts = facts_of(rows, layout)
    at = next(column for column in facts if column.name == "at")
    columns = [*facts, *_own_columns(rows, layout), *_answers(rows, layout), *_outcome(rows, layout, at)]
    constants = {"role": Role.CHAMPION.value, "status": Status.OK.value, "caller": CALLER}
    made = pl.DataFrame(columns).with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    return rows.split(made)


def facts_of(rows: RawRows, layout: Layout) -> tuple[pl.Series, ...]:
    """What a row has beside its values and its answer: line, id, times, version, entity, keys."""
    at = _time(rows, layout.mapping.one(Part.AT), layout)
    return (
        rows.frame[LINE],
        _ids(rows, layout),
        at.alias("at"),
        at.alias("logged_at"),
        _version(rows, layout),
        _entity(rows, layout),
        _keys(rows, layout.mapping).alias("keys"),
    )


def read_labels(frame: pl.DataFrame, layout: Layout) -> Read:
    """A chunk of a file of labels: `prediction_id` or `key`, `label`, `observed_at`."""
    rows, mapping = RawRows(frame, layout.style), layout.mapping
    id_column, keys = mapping.one(Part.ID), _keys(rows, mapping)
    no_text = pl.Series("prediction_id", [None] * frame.height, pl.String)
    ids = no_text if id_column is None else values.as_text(frame[id_column.source]).alias("prediction_id")
    label = mapping.one(Part.LABEL)
    if label is None:
        raise MissingColumn("the file of labels", "label", frame.columns)
    told = _class(rows, label, layout.signature, needed=True)
    observed = _time(rows, mapping.one(Part.OBSERVED_AT), layout)
    keys = pl.Series(keys) if id_column is None else no_text
    nobody = ids.is_null() & keys.is_null()
    if nobody.any():
        rows.faults.append((nobody, pl.lit("it names neither an id nor a whole key")))
    return rows.split(
        pl.DataFrame([frame[LINE], ids, keys.alias("key"), told.alias("label"), observed.alias("observed_at")])
    )


def prediction_table(good: pl.DataFrame, signature: Signature, layout: Layout) -> pa.Table:
    """Read predictions in the log's exact columns and types."""
    return _table(good, prediction_schema(signature), layout.tag, pl.col("at"))


def label_table(good: pl.DataFrame, signature: Signature, layout: Layout) -> pa.Table:
    """Labels in the log's columns: those of read predictions that have one, or those of a file of labels."""
    told = good.filter(pl.col("label").is_not_null()).with_columns(
        recorded_at=pl.col("observed_at"), source=pl.lit(layout.tag)
    )
    return _table(told, label_schema(signature), layout.tag, pl.col("recorded_at"))


def _table(frame: pl.DataFrame, schema: pa.Schema, tag: str, time: pl.Expr) -> pa.Table:
    full = frame.with_columns(day=time.dt.date(), spool=pl.lit(tag))
    columns = [
        full[f.name].to_arrow().cast(f.type) if f.name in full.columns else pa.nulls(full.height, f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)


def _time(rows: RawRows, column: Column | None, layout: Layout) -> pl.Series:
    if column is None:
        return pl.Series([layout.now], dtype=_UTC).new_from_index(0, rows.frame.height)
    raw = rows.frame[column.source]
    found = values.as_time(raw, layout.formats[column.source], layout.style.time_zone)
    return rows.checked(column.source, raw, found, "is not a time", needed=True)


def _ids(rows: RawRows, layout: Layout) -> pl.Series:
    """Their ids; otherwise made of the source's own digest and the line, so that a second import makes the same."""
    column = layout.mapping.one(Part.ID)
    if column is not None:
        return rows.read(column, Kind.CATEGORY, needed=True).alias("prediction_id")
    made = pl.concat_str(pl.lit(f"{layout.tag}-"), pl.col(LINE).cast(pl.String).str.zfill(10))
    return rows.frame.select(made.alias("prediction_id")).to_series()


def _version(rows: RawRows, layout: Layout) -> pl.Series:
    column = layout.mapping.one(Part.VERSION)
    if column is None:
        return pl.Series("version", [layout.version], pl.Int64).new_from_index(0, rows.frame.height)
    raw = values.as_text(rows.frame[column.source])
    found = raw.str.extract(r"^[vV]?\s*(\d{1,9})(?:\.0+)?$").cast(pl.Int64, strict=False)
    return rows.checked(column.source, raw, found, "is not the number of a version", needed=True).alias("version")


def _entity(rows: RawRows, layout: Layout) -> pl.Series:
    column = layout.mapping.one(Part.ENTITY)
    if column is None:
        return pl.Series("entity_id", dtype=pl.String).clear(rows.frame.height)
    return _guarded(layout, rows.read(column, Kind.CATEGORY).alias("entity_id"))


def _keys(rows: RawRows, mapping: ColumnMap) -> pl.Series:
    """Business keys as canonical JSON; null where one of them is missing.

    A text that is a whole number is written as one: the same key is 12 in one file and "12" in the next.
    """
    columns = sorted(mapping.all(Part.KEY), key=lambda column: column.name)
    if not columns:
        return pl.Series("keys", dtype=pl.String).clear(rows.frame.height)
    texts = pl.DataFrame([values.as_text(rows.frame[c.source]).alias(str(i)) for i, c in enumerate(columns)])
    pieces: list[pl.Expr] = []
    for place, column in enumerate(columns):
        text = pl.col(str(place))
        quoted = pl.struct(v=text).struct.json_encode().str.slice(5).str.head(-1)
        sign = "," if place else "{"
        pieces.append(pl.lit(f"{sign}{msgspec.json.encode(column.name).decode()}:"))
        pieces.append(pl.when(text.str.contains(_WHOLE)).then(text).when(text.is_not_null()).then(quoted))
    return texts.select(pl.concat_str([*pieces, pl.lit("}")]).alias("keys")).to_series()


def _own_columns(rows: RawRows, layout: Layout) -> Iterable[pl.Series]:
    """Features and context columns under the log's names, as the model's column classes let them in."""
    mapped = {
        (column.part, column.name): column
        for column in (*layout.mapping.all(Part.FEATURE), *layout.mapping.all(Part.CONTEXT))
    }
    for part, columns in ((Part.FEATURE, layout.signature.features), (Part.CONTEXT, layout.signature.context)):
        for ours in columns:
            theirs = mapped.get((part, ours.name))
            if theirs is not None:
                found = rows.read(theirs, ours.kind).alias(ours.name)
                yield _guarded(layout, found).alias(ours.column)


def _guarded(layout: Layout, column: pl.Series) -> pl.Series:
    if layout.door is None or layout.door.open:
        return column
    return layout.door.frame(column.to_frame()).to_series()


def _answers(rows: RawRows, layout: Layout) -> tuple[pl.Series, ...]:
    """`prediction` and `score`; of several classes also the probability of each."""
    if layout.signature.task is Task.MULTICLASS:
        return _answers_of_classes(rows, layout)
    mapping, signature = layout.mapping, layout.signature
    score = pl.Series([None] * rows.frame.height, dtype=pl.Float64)
    if signature.task is Task.BINARY and (column := mapping.one(Part.SCORE)):
        # Without a prediction the score is the answer, and a row without an answer is none.
        score = rows.read(column, Kind.NUMBER, needed=mapping.one(Part.PREDICTION) is None)
        outside = ~score.is_between(0, 1)
        if outside.any():
            rows.fault(outside, column.source, "is outside of 0 to 1")
    answer = mapping.one(Part.PREDICTION)
    prediction = (
        _class(rows, answer, signature, needed=True)
        if answer is not None
        else _decided(score, signature.target, layout.threshold)
    )
    return prediction.alias("prediction"), score.alias("score")


def _answers_of_classes(rows: RawRows, layout: Layout) -> tuple[pl.Series, ...]:
    scores, answer = read_class_scores(rows, layout.mapping, layout.signature), layout.mapping.one(Part.PREDICTION)
    none = pl.Series("score", [None] * rows.frame.height, pl.Float64)
    if answer is not None:
        return _class(rows, answer, layout.signature, needed=True).alias("prediction"), none, scores
    if scores.null_count():
        rows.faults.append((scores.is_null(), pl.lit("neither a prediction nor a probability of each class")))
    said = likeliest(scores, layout.signature).cast(_stored(layout.signature.target.kind))
    return said.alias("prediction"), none, scores


def _decided(score: pl.Series, target: Target, threshold: float) -> pl.Series:
    negative, positive = target.classes[0], target.classes[-1]
    chosen = (
        pl.when(pl.first() >= threshold).then(pl.lit(positive)).when(pl.first().is_not_null()).then(pl.lit(negative))
    )
    return score.to_frame().select(chosen).to_series().cast(_stored(target.kind))


def _stored(kind: Kind) -> pl.DataType | type[pl.DataType]:
    return pl.Float64 if kind in NUMERIC else pl.Boolean if kind is Kind.BOOLEAN else pl.String


def _class(rows: RawRows, column: Column, signature: Signature, *, needed: bool) -> pl.Series:
    """A prediction or a label: of the target's kind, and one of its classes."""
    found = rows.read(column, signature.target.kind, needed=needed)
    if signature.task is not Task.REGRESSION and signature.target.classes:
        known = pl.Series(signature.target.classes, dtype=found.dtype, strict=False)
        strange = ~found.is_in(known.implode())
        if strange.any():
            listing = ", ".join(str(value) for value in signature.target.classes[:10])
            rows.fault(strange, column.source, f"is not a class (they are: {listing})")
    return found


def _outcome(rows: RawRows, layout: Layout, at: pl.Series) -> tuple[pl.Series, pl.Series]:
    """`label`, null where there is none, and `observed_at`: its own time, or the event's where no column says."""
    column = layout.mapping.one(Part.LABEL)
    if column is None:
        return pl.Series("label", [None] * rows.frame.height, _stored(layout.signature.target.kind)), at.alias(
            "observed_at"
        )
    label = _class(rows, column, layout.signature, needed=False)
    when = layout.mapping.one(Part.OBSERVED_AT)
    if when is None:
        return label.alias("label"), at.alias("observed_at")
    raw = rows.frame[when.source]
    observed = values.as_time(raw, layout.formats[when.source], layout.style.time_zone)
    rows.checked(when.source, raw, observed, "is not a time", needed=False)
    timeless = label.is_not_null() & raw.is_null()
    if timeless.any():
        rows.faults.append((timeless, pl.lit(f"{when.source}: a label without its time")))
    return label.alias("label"), observed.alias("observed_at")

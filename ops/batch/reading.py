"""From raw rows to rows that a model can score. What it cannot take is told with its reason, and the row is set aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pilothouse.data.errors import BadData, MissingColumn
from pilothouse.data.log.door import Door
from pilothouse.data.log.schema import Role, Status
from pilothouse.data.signature import ContextColumn, Feature, Kind, Signature
from pilothouse.ops.imports import values
from pilothouse.ops.imports.convert import Layout, facts_of
from pilothouse.ops.imports.guess import look_at, time_formats
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part
from pilothouse.ops.imports.raw import RawRows, Read
from pilothouse.ops.imports.sources import LINE, Source
from pilothouse.ops.imports.values import Style

CALLER = "score"
_SAID = "said so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Columns of a source that say what a row is: its id, its business keys, its time, whom it is about.

    Without `id` ids are made, and without `at` the rows happened when their scoring began. time_format : of `at`, where
    it cannot be told.
    """

    id: str | None = None
    keys: tuple[str, ...] = ()
    at: str | None = None
    entity: str | None = None
    time_format: str | None = None

    def mapping(self) -> ColumnMap:
        one = ((self.id, Part.ID), (self.at, Part.AT), (self.entity, Part.ENTITY))
        named = [(source, part) for source, part in one if source is not None]
        columns = [*named, *((source, Part.KEY) for source in self.keys)]
        return ColumnMap(
            columns=tuple(Column(source=source, part=part, name=source, reason=_SAID) for source, part in columns)
        )


def layout_of(
    source: Source,
    sample: pl.DataFrame,
    signature: Signature,
    beside: Beside,
    *,
    version: int,
    tag: str,
    now: datetime,
    zone: str,
) -> Layout:
    """How the rows of `source` are read for a version that takes the features of `signature`.

    sample : its first rows. tag : what made ids begin with. now : when rows happened that say no time. zone : of times that name none.
    Raises MissingColumn for a feature, or a column of `beside`, that the source lacks, BadData for one without rows, and
    InvalidSetting where the day and the month of its times cannot be told apart.
    """
    mapping = beside.mapping()
    if not sample.height:
        raise BadData(f"{source.name} has no rows: there is nothing to score.")
    for name in (*signature.names, *mapping.sources):
        if name not in sample.columns:
            raise MissingColumn(source.name, name, sample.columns)
    style = Style(
        decimal=values.decimal_of(sample, source.delimiter), time_zone=zone, time_format=beside.time_format
    )  # fmt: skip
    timed = [] if beside.at is None else [beside.at]
    formats = time_formats(look_at(sample.select(timed), style), mapping, style, source.name)
    return Layout(
        signature=signature, mapping=mapping, style=style, formats=formats, version=version, tag=tag, now=now
    )  # fmt: skip


def read_rows(frame: pl.DataFrame, layout: Layout) -> Read:
    """A chunk's rows. good : LINE, what the log holds of a row but for its answer, and the values under the log's names."""
    rows = RawRows(frame, layout.style)
    found = pl.DataFrame(
        [*facts_of(rows, layout), *_features(rows, layout.signature), *_context(rows, layout.signature)]
    )
    constants = {"role": Role.BATCH.value, "status": Status.OK.value, "caller": CALLER}
    return rows.split(found.with_columns(pl.lit(value).alias(name) for name, value in constants.items()))


def features(good: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """The features of read rows under their own names, in the signature's order."""
    return good.select(pl.col(f.column).alias(f.name) for f in signature.features)


def guarded(good: pl.DataFrame, signature: Signature, door: Door) -> pl.DataFrame:
    """Read rows as the model's column classes let them into the log."""
    if door.open:
        return good
    present = [c for c in signature.columns if c.column in good.columns]
    own = door.frame(good.select("entity_id", *(pl.col(c.column).alias(c.name) for c in present)))
    return good.with_columns(own["entity_id"], *(own[c.name].alias(c.column) for c in present))


def _features(rows: RawRows, signature: Signature) -> Iterator[pl.Series]:
    for feature in signature.features:
        yield _value(rows, feature, needed=not feature.nullable).alias(feature.column)


def _context(rows: RawRows, signature: Signature) -> Iterator[pl.Series]:
    for column in signature.context:
        if column.name in rows.frame.columns:
            yield _value(rows, column, needed=False).alias(column.column)


def _value(rows: RawRows, column: Feature | ContextColumn, *, needed: bool) -> pl.Series:
    raw, source = rows.frame[column.name], column.name
    if column.kind is Kind.CATEGORY and raw.dtype == pl.String:
        # Not as an import reads it: to the model, a text with a space at its end is another category.
        return rows.checked(source, raw, raw, "", needed)
    read_from = Column(source=source, part=Part.FEATURE, name=source, reason=_SAID)
    found = rows.read(read_from, column.kind, needed=needed)
    if column.kind is Kind.INTEGER and not raw.dtype.is_integer():
        fraction = found % 1 != 0
        if fraction.any():
            rows.fault(fraction, source, "is not a whole number")
    return found


def typed(raw: pl.DataFrame, good: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Raw rows of texts, in which the features have the types that they were read as. good : the same rows, read."""
    whole = [f.name for f in signature.features if f.kind is Kind.INTEGER]
    return raw.with_columns(features(good, signature).with_columns(pl.col(whole).cast(pl.Int64)))


def raw_of(good: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """The raw rows of `frame` that `good` holds, in the same order."""
    return frame if good.height == frame.height else frame.filter(pl.col(LINE).is_in(good[LINE].implode()))

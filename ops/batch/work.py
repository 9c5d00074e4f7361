"""What a batch is asked to be, and everything that it needs, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.signature import Signature
from pilothouse.data.state import catalog
from pilothouse.ops.batch.answers import FAULT, empty_answers
from pilothouse.ops.batch.out import Out, out_for
from pilothouse.ops.batch.reading import Beside, layout_of, read_rows, typed
from pilothouse.ops.batch.records import Asked, Record, Records
from pilothouse.ops.batch.report import Counts
from pilothouse.ops.imports.convert import Layout
from pilothouse.ops.imports.sources import LINE, Source
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.releases.switch import champion_version
from pilothouse.ops.scoring import Scorer, load_scorer

PREDICTION_ID, VERSION = "prediction_id", "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A batch as somebody asks for it.

    out : where its rows go. lasting : whether that is a place to know the batch by; False for one that is thrown away.
    version : who answers; None for the champion. log : whether its rows are logged. overwrite : a file at `out` may go.
    prefix : put before the names of the columns that are added. bad_rows : where rows are set aside; None for beside `out`.
    """

    source: Source
    out: Path
    lasting: bool = True
    beside: Beside = field(default_factory=Beside)
    version: int | None = None
    log: bool = True
    overwrite: bool = False
    prefix: str = ""
    bad_rows: Path | None = None

    @property
    def as_texts(self) -> bool:
        """Whether the raw columns stay the texts that they are: from one CSV file to the next."""
        return self.source.delimiter is None or self.out.suffix.lower() == ".csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """An order that can be carried out. resumed : it was begun before. sample : the first raw rows."""

    handle: ModelHandle
    order: Order
    records: Records
    record: Record
    resumed: bool
    signature: Signature
    layout: Layout
    scorer: Scorer
    out: Out
    sample: pl.DataFrame

    @property
    def written(self) -> Counts | None:
        """What was counted, where all rows are in the log and written, and only their place may be left to be taken."""
        return self.record.closing if self.record.closing is not None and self.out.ready else None


def prepared(handle: ModelHandle, order: Order) -> Batch:
    """The order's batch, or the one that the same order began and that is not done.

    Raises MissingColumn, BadData, InvalidSetting, AlreadyExists, NoChampion, UnknownVersion, NotServedHere.
    """
    house, records = handle.house, Records(handle.house.workspace, handle.name)
    record, resumed = _record(handle, order, records)
    with house.state.read() as conn:
        row = catalog.get_version(conn, handle.name, record.version)
    signature, sample = handle.signature.of_version(record.version), order.source.sample()
    layout = layout_of(
        order.source, sample, signature, order.beside, version=record.version, tag=record.tag, now=record.begun_at,
        zone=house.settings.time_zone,
    )  # fmt: skip
    batch = Batch(
        handle=handle, order=order, records=records, record=record, resumed=resumed, signature=signature,
        layout=layout, scorer=load_scorer(house.store, row), sample=sample,
        out=out_for(order.out, record.batch_id, overwrite=order.overwrite),
    )  # fmt: skip
    _check(batch)
    return batch


def source_columns(batch: Batch, raw: pl.DataFrame, good: pl.DataFrame) -> pl.DataFrame:
    """The source's columns as the result has them. good : the rows of `raw`, read."""
    return raw if batch.order.as_texts else typed(raw, good, batch.signature)


def added(batch: Batch, answers: pl.DataFrame, ids: pl.Series) -> list[pl.Series]:
    """The columns that the result has beyond those of the source."""
    prefix, version = batch.order.prefix, pl.Series([batch.record.version], dtype=pl.Int64)
    return [
        *(answers[name].alias(prefix + name) for name in answers.columns if name != FAULT),
        ids.alias(prefix + PREDICTION_ID),
        version.new_from_index(0, answers.height).alias(prefix + VERSION),
    ]


def _record(handle: ModelHandle, order: Order, records: Records) -> tuple[Record, bool]:
    asked = Asked(
        source=order.source.digest(), out=str(order.out.resolve()) if order.lasting else "", beside=order.beside,
        version=order.version, logged=order.log, prefix=order.prefix,
    )  # fmt: skip
    found = records.find(asked)
    if found is not None:
        return found, True
    version = champion_version(handle.house.state, handle.name) if order.version is None else order.version
    return Record(asked=asked, version=version, begun_at=handle.house.clock()), False


def _check(batch: Batch) -> None:
    """Raises BadData when an added column has the name of one that is there, and what `Out.check` raises."""
    empty = batch.sample.clear()
    numbered = empty.with_columns(pl.lit(0, pl.Int64).alias(LINE))
    source = source_columns(batch, empty, read_rows(numbered, batch.layout).good)
    new = added(batch, empty_answers(batch.signature), pl.Series([], dtype=pl.String))
    taken = {column.name for column in new} & set(source.columns)
    # An id of the caller's own may be called as ours is: it is the same.
    taken -= {batch.order.beside.id} & {batch.order.prefix + PREDICTION_ID}
    if taken:
        raise BadData(
            f"{batch.order.source.name} has the column {', '.join(map(repr, sorted(taken)))} already, which the result "
            "adds. Put something before the names of those that are added: --prefix new_."
        )
    if not batch.out.taken and batch.written is None:
        batch.out.check(source.with_columns(new))

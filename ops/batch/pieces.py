"""A batch's rows on their way: read, answered, and made into rows of the result and of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.ops.batch.answers import FAULT, Answering, KeptAnswers, class_lists
from pilothouse.ops.batch.reading import features, guarded, raw_of, read_rows
from pilothouse.ops.batch.work import Batch, added, source_columns
from pilothouse.ops.imports.convert import prediction_table
from pilothouse.ops.imports.raw import REASONS, Read
from pilothouse.ops.imports.repeats import Seen, already_there, without_repeats
from pilothouse.ops.imports.run import ahead
from pilothouse.ops.imports.sources import LINE, Chunk
from pilothouse.ops.scoring import trust_checked_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A chunk of the source. read : its rows, good and bad. answers : to the good ones, in their order."""

    number: int
    chunk: Chunk
    read: Read
    answers: pl.DataFrame

    @property
    def set_aside(self) -> int:
        return self.read.bad.height + len(self.chunk.broken)


def pieces(batch: Batch, crash: Callable[[str], None]) -> Iterator[Piece]:
    """The batch chunk by chunk. To be iterated in one thread of its own, whose input checks are switched off."""
    # The rows were checked as they were read, and the service scores without these checks too.
    trust_checked_input()
    answering, kept = Answering(batch.scorer, batch.signature), KeptAnswers(batch.records.answers(batch.record))
    for number, chunk, read in ahead(_read(batch)):
        answers = kept.find(number)
        if answers is None:
            answers = answering.answer(features(read.good, batch.signature))
            kept.keep(number, answers)
            crash("score:answered")
        yield _without_faults(Piece(number=number, chunk=chunk, read=read, answers=answers))


def result_rows(batch: Batch, piece: Piece) -> pl.DataFrame:
    """Rows of the result: the source's columns and the added ones."""
    good = piece.read.good
    raw = raw_of(good, piece.chunk.frame).drop(LINE)
    return source_columns(batch, raw, good).with_columns(added(batch, piece.answers, good["prediction_id"]))


def log_rows(batch: Batch, piece: Piece, folder: DeltaFolder) -> pa.Table:
    """Rows of the prediction log, without those that `folder` holds under an id of the caller's."""
    handle, names = batch.handle, [name for name in piece.answers.columns if name in ("prediction", "score")]
    answers = piece.answers.select(*names, *class_lists(batch.signature))
    good = piece.read.good.with_columns(answers, logged_at=pl.lit(batch.record.begun_at))
    if batch.order.beside.id is not None:
        good = good.filter(~already_there(good, folder, handle.house.settings.dedup_days))
    return prediction_table(guarded(good, batch.signature, handle.door), handle.signature, batch.layout)


def _read(batch: Batch) -> Iterator[tuple[int, Chunk, Read]]:
    seen = Seen()
    for number, chunk in enumerate(batch.order.source.chunks(), start=1):
        read = read_rows(chunk.frame, batch.layout)
        if batch.order.beside.id is not None:
            read = without_repeats(read, seen, chunk.frame, LINE)
        yield number, chunk, read


def _without_faults(piece: Piece) -> Piece:
    """`piece` with the rows that got no answer among the bad ones."""
    silent = piece.answers[FAULT].is_not_null()
    if not silent.any():
        return piece
    good, bad = piece.read.good, piece.read.bad
    found = raw_of(good.filter(silent), piece.chunk.frame).with_columns(
        piece.answers.filter(silent)[FAULT].alias(REASONS)
    )
    read = Read(good=good.filter(~silent), bad=pl.concat([bad, found.select(bad.columns)]))
    return Piece(number=piece.number, chunk=piece.chunk, read=read, answers=piece.answers.filter(~silent))

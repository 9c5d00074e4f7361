"""Scoring a batch: chunk by chunk, each exactly once in the log and in the result, whoever ends this process wherever.

Rows are read from the start each time, so that bad rows and repeats come out the same. Answers stand on disk before
anything is made of them, a chunk's number in the commit that holds its rows, and the result takes its place at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.state import audit
from pilothouse.ops.actors import Right, require
from pilothouse.ops.batch.log import BatchLog
from pilothouse.ops.batch.pieces import Piece, log_rows, pieces, result_rows
from pilothouse.ops.batch.report import ACT, Counts, ScoreReport
from pilothouse.ops.batch.work import Batch, Order, prepared
from pilothouse.ops.imports.badrows import BadRows, default_path
from pilothouse.ops.imports.report import Progress
from pilothouse.ops.imports.run import ahead
from pilothouse.ops.model import ModelHandle

Tell = Callable[[Progress], None]
Crash = Callable[[str], None]


def run_scoring(
    handle: ModelHandle, order: Order, *, tell: Tell = lambda progress: None, crash: Crash = lambda point: None
) -> ScoreReport:
    """Score the order's rows. A batch that was broken off goes on where it stopped when the same is asked for again.

    tell : called after every chunk. crash : called at "score:recorded", "score:answered", "score:chunk", "score:logged",
    "score:closing" and "score:placed", and at the points of the bulk log and of the fold.
    Raises what `prepared` raises, StoreBusy and NotAllowed before anything is written.
    """
    began, house = time.monotonic(), handle.house
    require(house.state, house.actor, Right.OPERATOR, "score with", handle.name, house.clock)
    batch = prepared(handle, order)
    with batch.records.alone(batch.record, order.source.name):
        counts = batch.written
        if counts is None and batch.out.taken:
            return _report(batch, Counts(), began, done_before=True)
        if counts is None:
            counts = _written(batch, tell, crash)
        batch.out.place()
        crash("score:placed")
        report = _report(batch, counts, began)
        _audit(batch, report)
        batch.records.forget(batch.record)
    return report


def _written(batch: Batch, tell: Tell, crash: Crash) -> Counts:
    """All rows answered, in the log, and written beside their place."""
    # Before the file beside it is touched: a record that is closing vouches for that file.
    batch.records.keep(replace(batch.record, closing=None))
    crash("score:recorded")
    with ExitStack() as held:
        log = None
        if batch.order.log:
            log = held.enter_context(BatchLog(batch.handle, batch.record.batch_id, crash))
        aside = held.enter_context(_bad_rows(batch))
        held.enter_context(batch.out)
        counts = _chunks(batch, log, aside, tell, crash)
        if log is not None:
            log.finish()
        crash("score:logged")
    batch.records.keep(replace(batch.record, closing=counts))
    crash("score:closing")
    return counts


def _chunks(batch: Batch, log: BatchLog | None, aside: BadRows, tell: Tell, crash: Crash) -> Counts:
    counts, source = Counts(), batch.order.source
    # As it stands now: what this batch itself puts into the log is no repeat.
    folder = prediction_folder(batch.handle.house.workspace, batch.handle.name, batch.handle.signature)
    for piece in ahead(pieces(batch, crash)):
        aside.write(piece.read.bad, piece.chunk)
        batch.out.write(result_rows(batch, piece))
        logged = 0
        if log is not None and piece.number > log.written:
            logged = log.append(piece.number, log_rows(batch, piece, folder))
        counts = counts.plus(_counts(piece, logged))
        tell(Progress(stage=source.name, read=counts.read, rows=source.rows))
        crash("score:chunk")
    return counts


def _counts(piece: Piece, logged: int) -> Counts:
    return Counts(
        read=piece.chunk.rows, scored=piece.read.good.height, set_aside=piece.set_aside, logged=logged
    )  # fmt: skip


def _bad_rows(batch: Batch) -> BadRows:
    return BadRows(batch.order.bad_rows or default_path(batch.order.out, ""), batch.sample.columns)


def _report(batch: Batch, counts: Counts, began: float, *, done_before: bool = False) -> ScoreReport:
    bad = _bad_rows(batch).path
    return ScoreReport(
        model=batch.handle.name, version=batch.record.version, source=batch.order.source.name,
        out=batch.order.out, counts=counts, bad_rows=bad if counts.set_aside else None, log=batch.order.log,
        seconds=time.monotonic() - began, resumed=batch.resumed, done_before=done_before,
    )  # fmt: skip


def _audit(batch: Batch, report: ScoreReport) -> None:
    house, counts = batch.handle.house, report.counts
    details = {
        "batch": batch.record.batch_id, "source": report.source, "sha256": batch.record.asked.source,
        "version": report.version, "rows": counts.scored, "set_aside": counts.set_aside, "logged": counts.logged,
        "seconds": round(report.seconds, 3),
    }  # fmt: skip
    with house.state.write() as conn:
        audit.append(
            conn, actor=house.actor.name, act=ACT, target=report.model, details=details, at=house.clock()
        )  # fmt: skip

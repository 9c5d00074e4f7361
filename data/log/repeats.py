"""Rows that are in the log already: a client that got no answer sends its request again, perhaps to another worker.

A request has one answer, so an id names one row among those of roles that answer. Another version may have been promoted
before the request came again: the row that came first stays. A shadow or a batch says its own about the same request.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.decode import CALLER_IDS
from pilothouse.data.log.schema import TRAFFIC
from pilothouse.data.log.seen import Seen
from pilothouse.data.sql.duck import connect, statement

IDENTITY = ("prediction_id", "version", "role")
"""Columns of the log that tell which answer a row is; see `identities`."""
ANSWERING = [role.value for role in TRAFFIC]
_MOMENT = ("prediction_id", "key", "observed_at")
_TOLD = (*_MOMENT, "recorded_at", "label", "source")


def identities(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns IDENTITY of `rows`, in which rows that are the same answer agree."""
    answers = pl.col("role").is_in(ANSWERING)
    return rows.select(
        "prediction_id",
        pl.when(answers).then(0).otherwise(pl.col("version")).alias("version"),
        pl.when(answers).then(pl.lit("answer")).otherwise(pl.col("role")).alias("role"),
    )


# Files are known by their full path and never change, so every log of the process may share these.
_predictions_seen = Seen(IDENTITY, identities)
_labels_seen = Seen(_MOMENT)

Repeats = Callable[[pa.Table, DeltaFolder], pa.Table]
"""From a decoded batch and the table it goes to, to the rows that are new, without the column CALLER_IDS."""


def new_predictions(days_back: int) -> Repeats:
    """Drop rows that are the same answer as one logged earlier in the batch or (ids of the caller) in the table.

    days_back : how many days around the batch's own event days the table is searched.
    """

    def new_rows(batch: pa.Table, folder: DeltaFolder) -> pa.Table:
        if not pc.any(batch[CALLER_IDS]).as_py():
            # Ids that we made are sent by nobody.
            return batch.drop_columns(CALLER_IDS)
        once = _without(batch, _later_copies(batch))
        asked = once.select(IDENTITY).append_column("row_number", _numbers(once))
        mask = once[CALLER_IDS]
        days = _days_around(once["day"].filter(mask), days_back)
        known = _found("known_rows", asked.filter(mask), folder, days, _predictions_seen, answering=ANSWERING)
        return _without(once, known).drop_columns(CALLER_IDS)

    return new_rows


def new_labels(days_back: int) -> Repeats:
    """Drop labels that only repeat what was told last of the same prediction and the same moment.

    Told last, not ever: a label corrected and then put back has to come through, or the correction would win.
    days_back : how many days around those of the batch the table is searched.
    """

    def new_rows(batch: pa.Table, folder: DeltaFolder) -> pa.Table:
        told = pl.DataFrame(batch.select(_TOLD)).with_columns(row_number=pl.int_range(pl.len()))
        ordered = told.sort("recorded_at", pl.col("label").cast(pl.String), maintain_order=True)
        before = {name: pl.col(name).shift(1).over(_MOMENT) for name in ("label", "source")}
        first = pl.int_range(pl.len()).over(_MOMENT) == 0
        same = ~first & pl.all_horizontal(pl.col(name).eq_missing(last) for name, last in before.items())
        marked = ordered.with_columns(first=first, same=same)
        asked = marked.filter("first").drop("first", "same").to_arrow()
        known = _found("told_before", asked, folder, _days_around(batch["day"], days_back), _labels_seen)
        return _without(batch, [*marked.filter("same")["row_number"], *known]).drop_columns(CALLER_IDS)

    return new_rows


def _later_copies(batch: pa.Table) -> list[int]:
    """Of each answer all but the one logged first; spool by spool, as they come, that need not be the first row."""
    rows = pl.DataFrame(batch.select(IDENTITY))
    if rows["prediction_id"].is_unique().all():
        return []
    same = identities(rows)
    by_time = same.with_columns(pl.DataFrame(batch.select(["logged_at"])), number=pl.int_range(pl.len()))
    kept = by_time.sort("logged_at", maintain_order=True).unique(IDENTITY, keep="first")["number"]
    return by_time.filter(~pl.col("number").is_in(kept.implode()))["number"].to_list()


def _numbers(table: pa.Table) -> pa.Array:
    return pa.array(np.arange(table.num_rows))


def _without(table: pa.Table, numbers: list[int]) -> pa.Table:
    """`table` without the rows of these numbers."""
    if not numbers:
        return table
    return table.filter(pc.invert(pc.is_in(_numbers(table), pa.array(numbers, pa.int64()))))


def _days_around(days: pa.ChunkedArray, back: int) -> set[str]:
    """The days, as partition values, on which a row of these days may have been logged before."""
    present: list[date] = pc.unique(days).to_pylist()
    return {(day + timedelta(days=shift)).isoformat() for day in present for shift in range(-back, back + 1)}


def _found(
    question: str, asked: pa.Table, folder: DeltaFolder, days: set[str], seen: Seen, **values: list[str]
) -> list[int]:
    """Row numbers of `asked` that the statement `question` finds in the table's files of `days`.

    values : what the statement binds beside the files.
    """
    files = folder.files(keep=days.__contains__) if asked.num_rows else []
    files = seen.files_with(files, pl.DataFrame(asked)) if files else []
    if not files:
        return []
    with connect([folder.path]) as database:
        database.register("asked", asked)
        rows = database.sql(statement(question), params={"files": files, **values}).fetchall()
    return [number for (number,) in rows]

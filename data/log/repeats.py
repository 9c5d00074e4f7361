"""Rows that are in the log already: a client that got no answer sends its request again, perhaps to another worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.decode import CALLER_IDS
from pilothouse.data.log.seen import Seen
from pilothouse.data.sql.duck import connect, statement

IDENTITY = ("prediction_id", "version", "role")
_MOMENT = ("prediction_id", "key", "observed_at")
_TOLD = (*_MOMENT, "recorded_at", "label", "source")

# Files are known by their full path and never change, so every log of the process may share these.
_predictions_seen = Seen(IDENTITY)
_labels_seen = Seen(_MOMENT)

Repeats = Callable[[pa.Table, DeltaFolder], pa.Table]
"""From a decoded batch and the table it goes to, to the rows that are new, without the column CALLER_IDS."""


def new_predictions(days_back: int) -> Repeats:
    """Drop rows whose identity stands earlier in the batch, or (ids chosen by the caller) in the table.

    days_back : how many days around the batch's own event days the table is searched.
    """

    def new_rows(batch: pa.Table, folder: DeltaFolder) -> pa.Table:
        if not pc.any(batch[CALLER_IDS]).as_py():
            # Ids that we made are sent by nobody.
            return batch.drop_columns(CALLER_IDS)
        once = _without(batch, _later_copies(batch))
        asked = once.select(IDENTITY).append_column("row_number", _numbers(once))
        mask = once[CALLER_IDS]
        days = _days_around(once.filter(mask)["day"], days_back)
        known = _found("known_rows", asked.filter(mask), folder, days, _predictions_seen)
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
    first = pl.DataFrame(batch.select(IDENTITY)).select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return (~first).arg_true().to_list()


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


def _found(question: str, asked: pa.Table, folder: DeltaFolder, days: set[str], seen: Seen) -> list[int]:
    """Row numbers of `asked` that the statement `question` finds in the table's files of `days`."""
    files = folder.files(keep=days.__contains__) if asked.num_rows else []
    files = seen.files_with(files, pl.DataFrame(asked)) if files else []
    if not files:
        return []
    with connect([folder.path]) as database:
        database.register("asked", asked)
        rows = database.sql(statement(question), params={"files": files}).fetchall()
    return [number for (number,) in rows]

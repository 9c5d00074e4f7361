"""Rows that are in the log already: a client that got no answer sends its request again, perhaps to another worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.decode import CALLER_IDS
from pilothouse.data.sql.duck import connect, statement

IDENTITY = ("prediction_id", "version", "role")
_LABEL_CONTENT = ("prediction_id", "key", "label", "observed_at")

Repeats = Callable[[pa.Table, DeltaFolder], pa.Table]
"""From a decoded batch and the table it goes to, to the rows that are new, without the column CALLER_IDS."""


def new_predictions(days_back: int) -> Repeats:
    """Drop rows whose identity stands earlier in the batch, or (ids chosen by the caller) in the table.

    days_back : how many days around the batch's own event days the table is searched.
    """

    def new_rows(batch: pa.Table, folder: DeltaFolder) -> pa.Table:
        once = _first_of_each(batch, IDENTITY)
        asked = once.select(IDENTITY).append_column("row_number", pa.array(range(once.num_rows), pa.int64()))
        mask = once[CALLER_IDS]
        known = _known(asked.filter(mask), folder, _days_around(once.filter(mask)["day"], days_back))
        if known:
            once = once.filter(pc.invert(pc.is_in(asked["row_number"], pa.array(known, pa.int64()))))
        return once.drop_columns(CALLER_IDS)

    return new_rows


def new_labels(batch: pa.Table, folder: DeltaFolder) -> pa.Table:
    """Drop labels that say the same of the same prediction at the same time as one earlier in the batch.

    The table is not searched: a label told twice changes nothing, for only one of them can win.
    """
    return _first_of_each(batch, _LABEL_CONTENT).drop_columns(CALLER_IDS)


def _first_of_each(batch: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    frame = pl.DataFrame(batch.select(columns))
    first = frame.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return batch if first.all() else batch.filter(pa.array(first.to_list(), pa.bool_()))


def _days_around(days: pa.ChunkedArray, back: int) -> set[str]:
    """The days, as partition values, on which a row of these days may have been logged before."""
    present: list[date] = pc.unique(days).to_pylist()
    return {(day + timedelta(days=shift)).isoformat() for day in present for shift in range(-back, back + 1)}


def _known(asked: pa.Table, folder: DeltaFolder, days: set[str]) -> list[int]:
    """Row numbers of `asked` that the table's files of `days` hold."""
    files = folder.files(keep=days.__contains__) if asked.num_rows else []
    if not files:
        return []
    with connect([Path(folder.path)]) as database:
        database.register("asked", asked)
        rows = database.sql(statement("known_rows"), params={"files": files}).fetchall()
    return [number for (number,) in rows]

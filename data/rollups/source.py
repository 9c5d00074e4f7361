"""The two tables of the log as the fold reads them: pinned versions, and as few files as the question needs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.errors import CommitsGone
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace

_BYTES_AT_ONCE = 64 * 1024 * 1024
_ROWS_AT_ONCE = 1 << 18
_STATISTICS_STEP = timedelta(milliseconds=1)
"""Delta cuts times in file statistics down to the millisecond: the newest row may be this much later."""


@dataclass(frozen=True, slots=True)
class Source:
    """Predictions and labels of a model, each at the version its handle stands at."""

    predictions: DeltaFolder
    labels: DeltaFolder
    signature: Signature
    policy: LabelPolicy

    @classmethod
    def open(cls, workspace: Workspace, model: str, signature: Signature, policy: LabelPolicy) -> Source:
        """The tables at their newest versions: labels first, so that the prediction of every label seen is in sight."""
        labels = label_folder(workspace, model, signature)
        labels.table()
        predictions = prediction_folder(workspace, model, signature)
        predictions.table()
        return cls(predictions, labels, signature, policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Data files of a table: those that came after a version, and those that were there before."""

    new: list[str]
    old: list[str]


def split_files(folder: DeltaFolder, after: int | None) -> Split:
    """The files of `folder`, split at version `after` (None: all are new). Together they hold every row once.

    Raises CommitsGone when what happened since cannot be told any more: then only a rebuild helps.
    """
    upto = folder.version
    if upto is None:
        return Split(new=[], old=[])
    current = folder.files()
    if after is None:
        return Split(new=current, old=[])
    if after > upto:
        raise CommitsGone(folder.path.name, after)
    new = folder.added(after, upto)
    # After a compaction the new rows stand among old ones: then only the old version's own list tells them apart.
    together = not set(new) <= set(current)
    old = folder.files(after) if together else sorted(set(current) - set(new))
    if together and not all(Path(path).exists() for path in (*new, *old)):
        raise CommitsGone(folder.path.name, after)
    return Split(new=new, old=old)


def files_holding(
    folder: DeltaFolder, files: Collection[str], ids: Sequence[str] | None, time: str = "", span: Window | None = None
) -> list[str]:
    """Those of `files` that may hold a row of `ids` or, when `span` is given, one whose `time` lies in it.

    ids : sorted; None for any. A file without statistics is kept; so is one that the handle's version does not list.
    """
    handle = folder.table()
    if handle is None or ids is None:
        return list(files)
    left_out = {
        str(folder.path / row["path"])
        for row in _file_statistics(handle).iter_rows(named=True)
        if not _holds_id(row, ids) and not (span is not None and _holds_time(row, time, span))
    }
    return [path for path in files if path not in left_out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How many rows a prediction table holds, and the event time of the newest."""

    rows: int
    newest: datetime | None


def table_extent(folder: DeltaFolder) -> Extent:
    """The extent of a prediction table by its file statistics; reads no rows."""
    handle = folder.table()
    if handle is None:
        return Extent(rows=0, newest=None)
    stats = _file_statistics(handle)
    newest = stats["max.at"].max() if "max.at" in stats.columns else None
    return Extent(
        rows=int(stats["num_records"].sum()), newest=newest.astimezone(UTC) if isinstance(newest, datetime) else None
    )


def _file_statistics(handle: Any) -> pl.DataFrame:
    return pl.DataFrame(pa.table(handle.get_add_actions(flatten=True)))


def _holds_id(row: dict[str, object], ids: Sequence[str]) -> bool:
    low, high = row.get("min.prediction_id"), row.get("max.prediction_id")
    if not isinstance(low, str) or not isinstance(high, str):
        return row.get("null_count.prediction_id") != row["num_records"]
    at = bisect_left(ids, low)
    # A long maximum may have been cut short, so no more of the id than that is compared.
    return at < len(ids) and ids[at][: len(high)] <= high


def _holds_time(row: dict[str, object], time: str, span: Window) -> bool:
    low, high = row.get(f"min.{time}"), row.get(f"max.{time}")
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return True
    return low < span.end and high + _STATISTICS_STEP > span.start


def batches(files: Sequence[str], columns: Sequence[str], schema: pa.Schema) -> Iterator[pl.DataFrame]:
    """Rows of `files`, 64 MB of files at a time. A column that an older file lacks is null there."""
    known = pl.DataFrame(schema.empty_table()).schema
    wanted = {name: known[name] for name in columns}
    for some in _at_once(files):
        scan = pl.scan_parquet(
            some, schema=wanted, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
        )
        yield scan.collect()


def record_batches(files: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows of `files`, at most _ROWS_AT_ONCE at a time; texts stay coded where the file has them so.

    A column that an older file lacks is not there.
    """
    import pyarrow.parquet as pq

    for path in files:
        held = pq.read_schema(path)
        wanted = [name for name in columns if name in held.names]
        texts = [name for name in wanted if pa.types.is_string(held.field(name).type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            yield from file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted)


def _at_once(files: Sequence[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for path in files:
        some.append(path)
        size += Path(path).stat().st_size
        if size >= _BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some

"""One entity out of a model's log: its rows, its labels, older file versions, and what spools keep of it.

The ids are found in the prediction table, so its rows go last: whoever dies before that finds them again, and what was
done already is done again to no effect. To be called under the leases of sealing and folding, with the spools sealed.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pilothouse.data.delta import DeltaFolder, purge
from pilothouse.data.errors import StoreBusy
from pilothouse.data.log.places import index_of
from pilothouse.data.log.rewrite import ModelLog, Rewritten, rewrite
from pilothouse.data.log.spool import connect
from pilothouse.data.rollups.gaps import mark_gaps
from pilothouse.data.rollups.schema import day_of
from pilothouse.data.sql import erasure as sql
from pilothouse.data.sql import spool as spool_sql
from pilothouse.data.sql.duck import connect as connect_duck
from pilothouse.data.sql.labels import label_matches
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace

_KEYED = ("prediction_id", "at", "keys")
_PARQUET, _SQLITE = b"PAR1", b"SQLite format 3"
_LOOKED_FOR = 6
"""Letters from which a text is looked for in every file: a shorter one stands in many places by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Where an entity stands in the log.

    ids : of its predictions. files : data files of the prediction table that hold them. days : business days.
    keyed : its rows that have business keys (prediction_id, at, keys). rows : how many it has in all.
    """

    ids: frozenset[str]
    files: tuple[str, ...]
    days: tuple[date, ...]
    keyed: pl.DataFrame
    rows: int


def trace(log: ModelLog, predictions: DeltaFolder, entity: str) -> Traces:
    """Every sealed row of `entity`, as the log has it. Reads the column of entities, and little else. Raises DamagedFile."""
    found = [(path, rows) for path in predictions.files() if (rows := _rows_of(path, entity)).height]
    rows = pl.concat([_rows_of_none(), *(rows for _, rows in found)])
    days = rows.select(day_of("at", log.settings.time_zone)).to_series().unique().sort()
    return Traces(
        ids=frozenset(rows["prediction_id"]),
        files=tuple(path for path, _ in found),
        days=tuple(days),
        keyed=rows.filter(pl.col("keys").is_not_null()),
        rows=rows.height,
    )


def forget_rows(log: ModelLog, predictions: DeltaFolder, traces: Traces) -> Rewritten:
    """Take the rows of these ids out of the table; roll-ups keep their counts, and know that the days lack rows."""
    if not traces.ids:
        return Rewritten()
    mark_gaps(log.rollups(), traces.days)
    log.crash("erase:marked")
    return rewrite(predictions, traces.files, lambda _, rows: _without(rows, traces.ids))


def forget_labels(log: ModelLog, predictions: DeltaFolder, labels: DeltaFolder, traces: Traces) -> Rewritten:
    """Take the labels of these rows out of the table; one by key that speaks of somebody else's row too stays."""
    files = labels.files() if traces.ids else []
    told = pl.concat([_labels_in(path, place) for place, path in enumerate(files)]) if files else None
    if told is None:
        return Rewritten()
    by_id = told.filter(pl.col("prediction_id").is_in(list(traces.ids)))
    by_key = _speaking_of_these_alone(log, predictions, traces, told)
    doomed = pl.concat([by_id, told.join(by_key, left_on="label", right_on="number", how="semi")]).unique("label")
    places = {files[file]: rows["row"].to_list() for (file,), rows in doomed.group_by("file")}

    def without(path: str, rows: pa.Table) -> pa.Table:
        gone = pa.array(places[path], pa.int64())
        return rows.filter(pc.invert(pc.is_in(pa.array(range(rows.num_rows), pa.int64()), gone)))

    return rewrite(labels, sorted(places), without)


def purge_tables(*folders: DeltaFolder) -> list[str]:
    """Delete what older versions of the tables still hold; the files that went, by table."""
    gone = [f"{folder.path.parent.name}/{path}" for folder in folders for path in purge(folder)]
    for folder in folders:
        index_of(folder).keep_only(folder.files(check=False))
    return gone


def clean_spools(workspace: Workspace, model: str, entity: str) -> tuple[int, int]:
    """Delete what the spools had set aside of `entity`, and make them forget what they held before.

    Returns the rows deleted, and rows of it that have arrived meanwhile, which are left. Raises StoreBusy when a writer
    never pauses; the same call again goes on.
    """
    deleted = waiting = 0
    for path in sorted(workspace.spool.glob("[!.]*.sqlite")):
        with closing(connect(path)) as spool:
            spool.execute(sql.OVERWRITE)
            asked = (model, msgspec.json.encode(entity), entity.encode())
            deleted += sum(rows for (rows,) in spool.execute(sql.DELETE_SET_ASIDE, asked).fetchall())
            waiting += spool.execute(sql.WAITING, asked).fetchone()[0]
            try:
                spool.execute(spool_sql.SHRINK)
                blocked = spool.execute(spool_sql.CHECKPOINT).fetchone()[0]
            except sqlite3.OperationalError as error:
                raise StoreBusy(f"The spool {path.name}") from error
            if blocked:
                raise StoreBusy(f"The spool {path.name}")
    return deleted, waiting


def leftovers(workspace: Workspace, entity: str) -> list[str]:
    """Files of the workspace in which `entity` can still be read, whoever wrote them; a short name is not looked for."""
    if len(entity) < _LOOKED_FOR:
        return []
    found = [path for path in _all_files(workspace.root) if _holds(path, entity)]
    return sorted(str(path.relative_to(workspace.root)) for path in found)


def _rows_of(path: str, entity: str) -> pl.DataFrame:
    scan = pl.scan_parquet(path, hive_partitioning=False)
    chosen: pl.DataFrame = scan.filter(pl.col("entity_id") == entity).select(_KEYED).collect()
    return chosen


def _rows_of_none() -> pl.DataFrame:
    return pl.DataFrame(schema={"prediction_id": pl.String, "at": pl.Datetime("us", "UTC"), "keys": pl.String})


def _without(rows: pa.Table, ids: Collection[str]) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["prediction_id"], pa.array(list(ids), pa.string()))))


def _labels_in(path: str, file: int) -> pl.DataFrame:
    """A file's labels by their place in it; `label` is a number of their own, which the join hands back."""
    rows = pl.read_parquet(
        path, columns=["prediction_id", "key", "observed_at", "recorded_at"], hive_partitioning=False
    )
    numbered = rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64), file=pl.lit(file))
    return numbered.with_columns(label=pl.col("file").cast(pl.Int64) * (1 << 40) + pl.col("row"))


def _speaking_of_these_alone(
    log: ModelLog, predictions: DeltaFolder, traces: Traces, told: pl.DataFrame
) -> pl.DataFrame:
    """Numbers of the labels by key that match rows of these ids, and no other row."""
    keyed = told.filter(pl.col("key").is_not_null())
    nobody = pl.DataFrame(schema={"number": pl.Int64})
    if keyed.is_empty() or traces.keyed.is_empty():
        return nobody
    horizon = log.model.label_policy.horizon
    ours = keyed.filter(pl.col("label").is_in(_matched(traces.keyed, keyed, horizon)))
    if ours.is_empty():
        return nobody
    observed = ours["observed_at"]
    span = Window(observed.min() - horizon, observed.max())  # type: ignore[operator, arg-type]
    days = (span.start.date().isoformat(), span.end.date().isoformat())
    others = [
        pl.scan_parquet(path, hive_partitioning=False)
        .select(_KEYED)
        .filter(pl.col("keys").is_not_null() & ~pl.col("prediction_id").is_in(list(traces.ids)))
        .collect()
        for path in predictions.files(keep=lambda day: days[0] <= day <= days[1])
    ]
    shared = _matched(pl.concat([_rows_of_none(), *others]), ours, horizon)
    return ours.filter(~pl.col("label").is_in(shared)).select(number="label")


def _matched(rows: pl.DataFrame, told: pl.DataFrame, horizon: object) -> list[int]:
    with connect_duck([]) as duck:
        duck.register("rows_asked", rows.to_arrow())
        duck.register("told", told.with_columns(prediction_id=pl.lit(None, pl.String)).to_arrow())
        matches = duck.sql(label_matches("rows_asked", "told"), params={"horizon": horizon}).to_arrow_table()
    numbers: list[int] = pl.DataFrame(matches)["label"].unique().to_list()
    return numbers


def _all_files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _holds(path: Path, entity: str) -> bool:
    try:
        kind = _first_bytes(path)
        if kind.startswith(_PARQUET):
            return _parquet_holds(path, entity)
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    if kind == _SQLITE:
        # Values stand side by side in a page, so nothing tells where one ends.
        return entity.encode() in content
    return re.search(_word(entity).encode(), content) is not None


def _word(text: str) -> str:
    """An expression that finds `text` where it is not a part of a longer name: person-17, and not person-170."""
    return f"(^|[^0-9A-Za-z]){re.escape(text)}($|[^0-9A-Za-z])"


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(_SQLITE))


def _parquet_holds(path: Path, entity: str) -> bool:
    with pq.ParquetFile(path) as file:
        texts = [f.name for f in file.schema_arrow if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        return any(
            pc.any(pc.match_substring_regex(column, _word(entity))).as_py()
            for batch in file.iter_batches(columns=texts)
            for column in batch.columns
        )

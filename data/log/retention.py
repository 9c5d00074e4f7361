"""Keeping as much of single rows as was agreed: old ones removed, emptied of what is private, thinned to a sample.

Roll-ups keep every row's count. So what goes is folded first, and the days it goes from are marked in the roll-ups before
the commit that lets it go: whoever dies in between leaves a log that is counted right, and the next turn goes on.
Whether a file has been dealt with is told by its content, so a repeat does nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import DeltaFolder, exchange, rows_in
from pilothouse.data.delta.files import write_files
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.rewrite import ModelLog, Rewritten, read_file, rewrite
from pilothouse.data.log.schema import Role, Status, label_schema
from pilothouse.data.policies import UNSHOWN, LabelPolicy, LogPolicy
from pilothouse.data.rollups.gaps import first_whole_day, mark_raw_from
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Task, Value
from pilothouse.data.sql.duck import connect, statement
from pilothouse.data.sql.labels import label_matches
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Window

_HASH_BYTES = 8
_HASHES = 1 << (8 * _HASH_BYTES)
_BY = "retention"
"""What stands in the place of the spool in a label said anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """UTC days before which rows are removed, emptied of what is private, or thinned; None for never."""

    removed: date | None
    emptied: date | None
    thinned: date | None

    @classmethod
    def of(cls, policy: LogPolicy, today: date) -> Ages:
        """
        >>> Ages.of(LogPolicy(keep_days=30), date(2026, 3, 31)).removed
        datetime.date(2026, 3, 1)
        """
        thins = policy.full_days is not None and policy.sample_share < 1
        return cls(
            removed=_back(today, policy.keep_days),
            emptied=_back(today, policy.keep_private_days),
            thinned=_back(today, policy.full_days) if thins else None,
        )

    @property
    def counted(self) -> date | None:
        """The first day of which every row stays."""
        return max((day for day in (self.removed, self.thinned) if day is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionReport:
    """What a turn of retention did, or would do.

    rows_removed, labels_removed : gone with their days. rows_thinned : gone from the days that are samples now.
    rows_emptied : rows left without what is private. labels_emptied : labels whose business key went.
    """

    rows_removed: int = 0
    labels_removed: int = 0
    rows_thinned: int = 0
    rows_emptied: int = 0
    labels_emptied: int = 0
    days: tuple[date, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.rows_removed or self.labels_removed or self.rows_thinned or self.rows_emptied)


def keep(log: ModelLog, policy: LogPolicy, *, write: bool = True) -> RetentionReport:
    """Bring the log of a model down to what `policy` keeps. To be called under the model's fold lease.

    write : False only says what would go. crash points: "keep:marked", "keep:labels", "keep:removed", "keep:day".
    Raises DamagedFile, and CommitConflict when others keep winning; what was done stays done.
    """
    ages = Ages.of(policy, log.today)
    if (ages.removed, ages.emptied, ages.thinned) == (None, None, None):
        return RetentionReport()
    predictions, labels, rollups = log.folded()
    gone = _files_before(predictions, ages.removed)
    work = _Work(log, policy, ages, write)
    changing = work.changing(predictions, _files_from(predictions, ages.removed))
    if write and (gone or any(day < ages.counted for day in changing if ages.counted)):
        assert ages.counted is not None
        mark_raw_from(rollups, first_whole_day(ages.counted, log.settings.zone))
    log.crash("keep:marked")
    emptied_labels = work.empty_labels(predictions, labels, [p for paths in changing.values() for p in paths])
    log.crash("keep:labels")
    rows_removed = sum(rows_in(predictions)[path] for path in gone)
    if write and gone:
        exchange(predictions, [], gone)
    labels_removed = work.remove_labels(predictions, labels)
    log.crash("keep:removed")
    thinned, emptied = work.change(predictions, changing)
    if write:
        log.fold()
    days = sorted({date.fromisoformat(predictions.partition_value(path)) for path in gone} | set(changing))
    return RetentionReport(
        rows_removed=rows_removed, labels_removed=labels_removed, rows_thinned=thinned, rows_emptied=emptied,
        labels_emptied=emptied_labels, days=tuple(days),
    )  # fmt: skip


def private_columns(model: ModelRow) -> list[str]:
    """Columns of the prediction table that are emptied in old rows: entity, business keys, sensitive and masked ones."""
    guarded = [model.signature.all_stored_as(name) for name, told in model.classes.items() if told in UNSHOWN]
    return ["entity_id", "keys", *(column for columns in guarded for column in columns)]


def sampled(prediction_id: str, share: float) -> bool:
    """Whether a row is of the sample: told by its id alone, so that every repeat, role and version says the same.

    >>> sampled("0195-a", 1.0), sampled("0195-a", 0.0)
    (True, False)
    """
    digest = hashlib.blake2b(prediction_id.encode(), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big") < share * _HASHES


def thin(rows: pa.Table, share: float, kept_ids: Collection[str]) -> pa.Table:
    """The sample of `rows`, each with its weight; errors and `kept_ids` all stay, and stand for themselves.

    The weights add up to the number of rows in expectation. A row that has a weight already is left as it is.
    """
    ids, statuses = rows["prediction_id"].to_pylist(), rows["status"].to_pylist()
    weights = rows["weight"].to_pylist()
    for place, (row_id, status, weight) in enumerate(zip(ids, statuses, weights, strict=True)):
        if weight is None:
            whole = status == Status.ERROR or row_id in kept_ids
            weights[place] = 1.0 if whole else 1 / share if sampled(row_id, share) else 0.0
    weighed = _with(rows, "weight", pa.array(weights, pa.float64()))
    return weighed.filter(pc.greater(weighed["weight"], 0))


def empty(rows: pa.Table, columns: Iterable[str]) -> pa.Table:
    """`rows` with nulls in `columns`."""
    for name in columns:
        rows = _with(rows, name, pa.nulls(rows.num_rows, rows.schema.field(name).type))
    return rows


@dataclass(frozen=True, slots=True)
class _Work:
    """One turn over the days that are due."""

    log: ModelLog
    policy: LogPolicy
    ages: Ages
    write: bool

    def changing(self, predictions: DeltaFolder, paths: Iterable[str]) -> dict[date, list[str]]:
        """Files by day whose rows are due to be thinned or emptied and have not been yet."""
        found: dict[date, list[str]] = {}
        for path in paths:
            day = date.fromisoformat(predictions.partition_value(path))
            if (self._thins(day) and _unweighed(path)) or (self._empties(day) and self._private(path)):
                found.setdefault(day, []).append(path)
        return found

    def change(self, predictions: DeltaFolder, changing: dict[date, list[str]]) -> tuple[int, int]:
        """Thin and empty day by day; rows that went, and rows emptied."""
        thinned = emptied = 0
        for day, paths in sorted(changing.items()):
            done = self._change_day(predictions, day, paths)
            thinned += done.rows_before - done.rows_after
            emptied += done.rows_after if self._empties(day) else 0
            self.log.crash("keep:day")
        return thinned, emptied

    def _change_day(self, predictions: DeltaFolder, day: date, paths: list[str]) -> Rewritten:
        rare = self._of_rarest_class(day) if self._thins(day) else frozenset()

        def changed(_: str, rows: pa.Table) -> pa.Table:
            if self._thins(day):
                rows = thin(rows, self.policy.sample_share, rare)
            return empty(rows, private_columns(self.log.model)) if self._empties(day) else rows

        return rewrite(predictions, paths, changed, write=self.write)

    def empty_labels(self, predictions: DeltaFolder, labels: DeltaFolder, paths: list[str]) -> int:
        """Say labels by key anew by id, for the rows about to lose their keys; drop the keyed ones; how many those were.

        Without it a later correction by id would count beside the label that it corrects.
        """
        if self.ages.emptied is None:
            return 0
        keyed = [path for path in labels.files() if _any(path, "key")]
        if not keyed:
            return 0
        old = [p for p in paths if self._empties(date.fromisoformat(predictions.partition_value(p)))]
        before = _begin(self.ages.emptied)
        replaced = {path: read_file(labels, path) for path in keyed}
        kept = {path: rows.filter(pc.invert(_keyed_before(rows, before))) for path, rows in replaced.items()}
        dropped = sum(replaced[path].num_rows - kept[path].num_rows for path in keyed)
        touched = [path for path in keyed if kept[path].num_rows < replaced[path].num_rows]
        if self.write and (touched or old):
            said = self._said_by_id(predictions, labels, old, keyed)
            rows = pa.concat_tables([said, *(kept[path].select(said.schema.names) for path in touched)])
            if touched or said.num_rows:
                exchange(labels, write_files(labels.path, labels.layout(), rows), touched)
        return int(dropped)

    def _said_by_id(self, predictions: DeltaFolder, labels: DeltaFolder, old: list[str], keyed: list[str]) -> pa.Table:
        schema = label_schema(self.log.model.signature)
        if not old:
            return schema.empty_table()
        with connect([predictions.path, labels.path]) as duck:
            rows = pl.read_parquet(old, columns=["prediction_id", "at", "keys"], hive_partitioning=False)
            told = pl.read_parquet(keyed, hive_partitioning=False).filter(pl.col("prediction_id").is_null())
            duck.register("emptied", rows.to_arrow())
            duck.register("told", told.to_arrow())
            matches = f"({label_matches('emptied', 'told')})"
            found = duck.sql(
                statement("labels_by_key").format(matches=matches),
                params={"horizon": self.log.model.label_policy.horizon},
            ).to_arrow_table()
        frame = pl.DataFrame(found).with_columns(
            key=pl.lit(None, pl.String), source=pl.lit(None, pl.String), spool=pl.lit(_BY),
            day=pl.col("recorded_at").dt.convert_time_zone("UTC").dt.date(),
        )  # fmt: skip
        return frame.select(schema.names).to_arrow().cast(schema)

    def remove_labels(self, predictions: DeltaFolder, labels: DeltaFolder) -> int:
        """Remove labels recorded before the oldest day kept, but those of predictions that stay; how many went."""
        old = _files_before(labels, self.ages.removed)
        if not old or self.ages.removed is None:
            return 0
        kept_files = _files_from(predictions, self.ages.removed)
        asked = pl.read_parquet(old, columns=["prediction_id"], hive_partitioning=False)["prediction_id"].drop_nulls()
        needed = _ids_among(kept_files, asked)
        begin = _begin(self.ages.removed)

        def needed_rows(_: str, rows: pa.Table) -> pa.Table:
            by_key = pc.and_(pc.is_valid(rows["key"]), pc.greater_equal(rows["observed_at"], pa.scalar(begin)))
            wanted = pc.or_(pc.is_in(rows["prediction_id"], pa.array(needed, pa.string())), by_key)
            return rows if pc.all(wanted).as_py() else rows.filter(wanted)

        done = rewrite(labels, old, needed_rows, write=self.write)
        return done.rows_before - done.rows_after

    def _of_rarest_class(self, day: date) -> frozenset[str]:
        rarest = rarest_class(self._reference, self.log.model.task)
        if rarest is None:
            return frozenset()
        model = self.log.model
        # Told labels alone: what silence means is no event to keep.
        policy = LabelPolicy(horizon=model.label_policy.horizon)
        reader = PredictionLog(self.log.workspace, model.name, model.signature, policy, settings=self.log.settings)
        window = Window(_begin(day), _begin(day + timedelta(days=1)))
        told = reader.labelled(window, columns=("prediction_id",), roles=tuple(Role))
        return frozenset(told.filter(pl.col("label") == rarest)["prediction_id"].to_list())

    @property
    def _reference(self) -> Path:
        return self.log.workspace.reference(self.log.model.name, self.log.model.profile_id)

    def _thins(self, day: date) -> bool:
        return self.ages.thinned is not None and day < self.ages.thinned

    def _empties(self, day: date) -> bool:
        return self.ages.emptied is not None and day < self.ages.emptied

    def _private(self, path: str) -> bool:
        return any(_any(path, name) for name in private_columns(self.log.model))


def rarest_class(reference: Path, task: Task) -> Value:
    """The class that is rarest among the labels of the reference in this folder; None where labels are measurements."""
    if task is Task.REGRESSION:
        return None
    counted = Profile.load_sample(reference)["label"].drop_nulls().value_counts().sort("count", "label")
    return None if counted.is_empty() else cast(Value, counted["label"][0])


def _back(today: date, days: int | None) -> date | None:
    return None if days is None else today - timedelta(days=days)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _files_before(folder: DeltaFolder, day: date | None) -> list[str]:
    """Files of the days before `day`, unread."""
    return [] if day is None else folder.files(keep=lambda value: value < day.isoformat(), check=False)


def _files_from(folder: DeltaFolder, day: date | None) -> list[str]:
    return folder.files(keep=lambda value: day is None or value >= day.isoformat(), check=False)


def _ids_among(files: list[str], ids: pl.Series) -> list[str]:
    if not files or ids.is_empty():
        return []
    scan = pl.scan_parquet(files, hive_partitioning=False).select("prediction_id")
    found: pl.DataFrame = scan.filter(pl.col("prediction_id").is_in(ids.unique().to_list())).collect()
    return found["prediction_id"].unique().to_list()


def _any(path: str, column: str) -> bool:
    """Whether a file has a value in this column. Reads that column alone."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if column not in file.schema_arrow.names:
            return False
        values = file.read([column])[column]
    return bool(values.null_count < len(values))


def _unweighed(path: str) -> bool:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if "weight" not in file.schema_arrow.names:
            return bool(file.metadata.num_rows)
        return bool(file.read(["weight"])["weight"].null_count)


def _keyed_before(rows: pa.Table, moment: datetime) -> pa.ChunkedArray:
    """Labels by key that can speak of no row made since `moment`."""
    before = pc.and_(pc.less(rows["observed_at"], pa.scalar(moment)), pc.less(rows["recorded_at"], pa.scalar(moment)))
    return pc.and_(pc.is_valid(rows["key"]), before)


def _with(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)

"""What predictions and labels that came since the last fold change in the outcomes: signed rows, ready to be counted.

With P and L the rows folded before, and p and l the new ones, the change is p x (L + l), plus P x (L + l) - P x L over
those rows of P that l speaks of. Each product is few pairs, found by file statistics first and by id or key second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from pilothouse.data.log.lookup import labels_about, rows_told_of
from pilothouse.data.rollups.chances import judged, scores_wanted
from pilothouse.data.rollups.segments import Segments
from pilothouse.data.rollups.source import Source, Split, files_holding
from pilothouse.data.sql.duck import connect, listed, quoted, sealed_and_unsealed, statement
from pilothouse.data.sql.labels import label_matches
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True)
class _Taken:
    """A temporary table: its name, its columns, and the empty table that stands for a log without files."""

    name: str
    names: tuple[str, ...]
    none: str

    @property
    def columns(self) -> str:
        return listed(self.names)


_ASKED = _Taken(
    "asked", ("prediction_id", "version", "role", "at", "logged_at", "prediction", "score", "keys"), "no_predictions"
)
_TOLD = _Taken("told", ("prediction_id", "key", "label", "observed_at", "recorded_at"), "no_labels")
_MANY_IDS = 50_000
"""Ids above which every file holds some of them, and looking for those that do not is a waste."""
_MANY_KEYS = 5_000
_SCORES_AT_ONCE = 4_000_000
_PLACE = 'min(asked.rowid) OVER (PARTITION BY prediction_id, version, role, asked."at", asked.logged_at) AS place'
"""Of rows that are one and the same in `asked`, the place of the first."""
_SHARED_ID = "prediction_id IN (SELECT prediction_id FROM"


def changed_outcomes(
    source: Source, predictions: Split, labels: Split, zone: str, segments: Segments = ()
) -> pl.DataFrame:
    """Contributions (at, version, role, prediction, score, label, recorded, sign) of what came; see contributions.sql.

    segments : columns to see again beside these, and what `judged` adds.
    """
    more = _more(source, segments)
    changes = [judged(_no_change(source, more), source.signature)]
    if not labels.old and not labels.new:
        return changes[0]
    with _desk(source, more) as desk:
        if predictions.new:
            desk.ask_of(predictions.new)
            desk.hear([*labels.old, *labels.new])
            changes.append(desk.contributions(zone))
        if labels.new and predictions.old and desk.ask_of_told(labels.new, predictions.old):
            desk.hear(labels.old)
            changes.append(desk.contributions(zone).with_columns(-pl.col("sign")))
            desk.hear(labels.new, besides=True)
            changes.append(desk.contributions(zone))
    return pl.concat(changes)


def outcomes_between(
    source: Source,
    predictions: Sequence[str],
    labels: Sequence[str],
    span: Window,
    zone: str,
    silent_at: datetime | None,
    segments: Segments = (),
    *,
    whole: bool = False,
) -> pl.DataFrame:
    """Contributions of the predictions made in `span`, with all labels: the exact path, for what buckets cannot tell.

    predictions, labels : data files. silent_at : with the policy that silence means the negative class, the moment at
    which a row's horizon must be over for that to count; None leaves rows without a label out.
    segments : as in `changed_outcomes`. whole : as in `judged`.
    """
    with _desk(source, _more(source, segments)) as desk:
        desk.ask_of(files_holding(source.predictions, predictions, [], "at", span), span)
        desk.hear(labels)
        if silent_at is not None:
            desk.hear_silence(silent_at)
        return desk.contributions(zone, whole=whole)


class _Desk:
    """Two temporary tables: `asked`, the predictions in question, and `told`, the labels that may speak of them."""

    def __init__(self, source: Source, duck: duckdb.DuckDBPyConnection, more: tuple[str, ...]) -> None:
        self._source, self._duck, self._more = source, duck, more
        self._asked = replace(_ASKED, names=(*_ASKED.names, *more))
        duck.register("no_predictions", source.predictions.schema.empty_table())
        duck.register("no_labels", source.labels.schema.empty_table())

    def ask_of(self, files: Sequence[str], span: Window | None = None) -> None:
        """`asked`: all predictions in `files`, or those made in `span`."""
        if span is None:
            self._take(self._asked, files)
        else:
            self._take(self._asked, files, '"at" >= $start AND "at" < $end', {"start": span.start, "end": span.end})

    def ask_of_told(self, labels: Sequence[str], files: Sequence[str]) -> bool:
        """`asked`: the predictions in `files` of which a label in `labels` may speak; whether there are any."""
        self._take(_TOLD, labels)
        horizon = self._source.policy.horizon
        observed = self._bounds("observed_at", "told WHERE key IS NOT NULL")
        made = None if observed is None else Window(observed.start - horizon, observed.end)
        ids, keys = self._ids("told"), self._keys("told", "key")
        if ids is not None and keys is not None:
            near = files_holding(self._source.predictions, files, ids, "at", made)
            self._put(self._asked, rows_told_of(self._source.predictions, near, self._asked.names, ids, keys))
        else:
            near = files_holding(self._source.predictions, files, ids, "at", made)
            self._take(self._asked, near, f"{_SHARED_ID} told) OR {_made(made)}", _span(made))
        return self._rows("asked") > 0

    def hear(self, labels: Sequence[str], *, besides: bool = False) -> None:
        """`told`: the labels in `labels` that may speak of `asked`, alone or `besides` those told before."""
        horizon = self._source.policy.horizon
        made = self._bounds('"at"', "asked WHERE keys IS NOT NULL")
        observed = None if made is None else Window(made.start, made.end + horizon)
        ids, keys = self._ids("asked"), self._keys("asked", "keys")
        near = files_holding(self._source.labels, labels, ids, "observed_at", observed)
        told = None if ids is None or keys is None else labels_about(self._source.labels, near, _TOLD.names, ids, keys)
        if told is None:
            self._take(_TOLD, near, f"{_SHARED_ID} asked) OR {_observed(observed)}", _span(observed), besides=besides)
        else:
            self._put(_TOLD, told, besides=besides)

    def hear_silence(self, silent_at: datetime) -> None:
        """A negative label for each row of `asked` whose horizon is over, so early that any real one holds instead."""
        negative = self._source.signature.target.classes[0]
        self._duck.execute(
            'INSERT INTO told SELECT prediction_id, NULL, $negative, to_timestamp(0), "at" + $horizon '
            'FROM asked WHERE "at" + $horizon < $silent_at',
            {"negative": negative, "horizon": self._source.policy.horizon, "silent_at": silent_at},
        )

    def contributions(self, zone: str, *, whole: bool = False) -> pl.DataFrame:
        """What the labels in `told` say of `asked`: see contributions.sql, and `judged`."""
        matches = f"({label_matches('asked', 'told')})"
        signature = self._source.signature
        scored = scores_wanted(signature)
        more = [name for name in self._more if name not in scored]
        text = statement("contributions").format(
            matches=matches,
            more="".join(f", {quoted(name)}" for name in more) + (", place" if scored else ""),
            of_asked="".join(f", asked.{quoted(name)}" for name in more) + (f", {_PLACE}" if scored else ""),
        )
        if scored:
            # Lists that went through the windows would be compared and copied at each step.
            text = f"SELECT told.* EXCLUDE (place), {listed(scored)} FROM ({text}) AS told JOIN asked ON asked.rowid = place"
        found = self._duck.sql(text, params={"zone": zone, "horizon": self._source.policy.horizon})
        if not scored:
            return pl.DataFrame(found.to_arrow_table())
        # Some at a time: of many classes the scores take far more room than what they come to.
        at_once = max(1, _SCORES_AT_ONCE // len(signature.target.classes))
        batches = found.to_arrow_reader(at_once)
        none = pl.DataFrame(batches.schema.empty_table())
        some = (pl.DataFrame(pa.table(batch)) for batch in batches)
        return pl.concat([judged(rows, signature, whole=whole) for rows in (none, *some)])

    def _take(
        self,
        taken: _Taken,
        files: Sequence[str],
        where: str = "true",
        bound: Mapping[str, Any] | None = None,
        *,
        besides: bool = False,
    ) -> None:
        rows = self._relation(taken, files)
        into = f"INSERT INTO {taken.name}" if besides else f"CREATE OR REPLACE TEMP TABLE {taken.name} AS"
        held = {"files": list(files)} if files else {}
        self._duck.execute(
            f"{into} SELECT {taken.columns} FROM {rows} WHERE {where}",
            {**held, **(bound or {})},
        )

    def _relation(self, taken: _Taken, files: Sequence[str]) -> str:
        if not files:
            return taken.none
        if self._more and taken is self._asked:
            return sealed_and_unsealed("files", taken.none)
        # These columns stand in every file since the first, so the footers need not be compared before the scan.
        return "read_parquet($files, hive_partitioning = false)"

    def _ids(self, table: str) -> list[str] | None:
        """Ids in a temporary table, sorted as the bytes that file statistics compare; None for too many to be of use."""
        if self._rows(table) > _MANY_IDS:
            return None
        found = self._duck.sql(f"SELECT DISTINCT prediction_id FROM {table} WHERE prediction_id IS NOT NULL ORDER BY 1")
        return [row[0] for row in found.fetchall()]

    def _keys(self, table: str, column: str) -> list[str] | None:
        """Business keys in a temporary table, each once; None for too many to be looked up one by one."""
        sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL LIMIT {_MANY_KEYS + 1}"
        found = [row[0] for row in self._duck.sql(sql).fetchall()]
        return None if len(found) > _MANY_KEYS else found

    def _put(self, taken: _Taken, rows: pl.DataFrame, *, besides: bool = False) -> None:
        self._duck.register("looked_up", rows.to_arrow())
        into = f"INSERT INTO {taken.name}" if besides else f"CREATE OR REPLACE TEMP TABLE {taken.name} AS"
        self._duck.execute(f"{into} SELECT {taken.columns} FROM looked_up")
        self._duck.unregister("looked_up")

    def _rows(self, table: str) -> int:
        return int(self._duck.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def _bounds(self, time: str, rows: str) -> Window | None:
        # As whole microseconds: a time with a zone reaches Python through a package that need not be installed.
        first, last = self._duck.sql(f"SELECT epoch_us(min({time})), epoch_us(max({time})) FROM {rows}").fetchall()[0]
        return None if first is None else Window(_moment(first), _moment(last + 1))


def _more(source: Source, segments: Segments) -> tuple[str, ...]:
    return (*dict.fromkeys(segment.stored for segment in segments), *scores_wanted(source.signature))


@contextmanager
def _desk(source: Source, more: tuple[str, ...] = ()) -> Iterator[_Desk]:
    with connect([source.predictions.path, source.labels.path]) as duck:
        yield _Desk(source, duck, more)


def _no_change(source: Source, more: Sequence[str]) -> pl.DataFrame:
    known = pl.DataFrame(source.predictions.schema.empty_table()).schema
    target = known["prediction"]
    return pl.DataFrame(
        schema={
            "at": pl.Datetime("us", "UTC"),
            "version": pl.Int64,
            "role": pl.String,
            "prediction": target,
            "score": pl.Float64,
            "label": target,
            "recorded": pl.Date,
            "sign": pl.Int8,
            **{name: known[name] for name in more},
        }
    )


def _made(span: Window | None) -> str:
    return "false" if span is None else '(keys IS NOT NULL AND "at" >= $start AND "at" < $end)'


def _observed(span: Window | None) -> str:
    return "false" if span is None else "(key IS NOT NULL AND observed_at >= $start AND observed_at < $end)"


def _span(span: Window | None) -> dict[str, datetime]:
    return {} if span is None else {"start": span.start, "end": span.end}


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)

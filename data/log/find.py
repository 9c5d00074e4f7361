"""Rows of the log by condition, newest first: days are read from the newest back, and no more of them than needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pilothouse.data.errors import BadFilter
from pilothouse.data.limits import check_limit
from pilothouse.data.log.entries import KeyPart, canonical_key
from pilothouse.data.log.filters import Condition
from pilothouse.data.log.places import index_of, pairs_of
from pilothouse.data.log.snapshot import Snapshot
from pilothouse.data.rollups.source import files_holding
from pilothouse.data.sql.duck import connect, listed, sealed_and_unsealed, statement
from pilothouse.data.sql.labels import winning_labels
from pilothouse.data.windows import Window, parse_time

_EARLIEST_LABEL = timedelta(days=1)
"""How long before its prediction's event a label may have become true: clocks differ."""
_STEP = timedelta(seconds=1)
_IDS_OF = "prediction_id IN (SELECT prediction_id FROM {})"
_ORDER = ("at", "prediction_id", "version", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A row's place among the others, newest first; as a text it is the cursor that a page asks on with."""

    at: datetime
    version: int
    role: str
    prediction_id: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises BadFilter when `text` is no cursor."""
        try:
            at, version, role, prediction_id = text.split(" ", 3)
            return cls(at=parse_time(at), version=int(version), role=role, prediction_id=prediction_id)
        except ValueError:
            raise BadFilter(text, "it is no place in the log", ["the `next` of an answer before"]) from None

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.version} {self.role} {self.prediction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for. key : pairs that a row's business keys all hold. before : only rows older than that place."""

    window: Window
    limit: int
    condition: Condition
    roles: tuple[str, ...]
    id: str | None = None
    key: Mapping[str, KeyPart] | None = None
    before: Place | None = None


def newest_rows(search: Search, log: Snapshot, labels: Snapshot, horizon: timedelta) -> pl.DataFrame:
    """The rows found, newest first, with label, observed_at, recorded_at and horizon_end."""
    with connect([log.folder.path, labels.folder.path]) as duck:
        desk = _Desk(duck, search, log, labels, horizon)
        found = desk.unsealed()
        for files in _newest_first(_candidates(search, log)):
            check_limit()
            found = _top(pl.concat([found, desk.sealed(files)]), search.limit)
            if _enough(found, search, files):
                break
        return desk.labelled(found)


class _Desk:
    """A database with the log's unsealed rows in it, told which data files to read for each question."""

    def __init__(
        self, duck: duckdb.DuckDBPyConnection, search: Search, log: Snapshot, labels: Snapshot, horizon: timedelta
    ) -> None:
        self._duck, self._search, self._horizon = duck, search, horizon
        self._labels = labels
        self._columns = log.folder.schema.names
        scope, self._values = _scope(search)
        self._scope, self._where = scope, f"{scope} AND {search.condition.sql}"
        duck.register("waiting", log.unsealed)
        duck.register("nothing", log.folder.schema.empty_table())
        duck.register("labels_waiting", labels.unsealed)

    def unsealed(self) -> pl.DataFrame:
        return self._ask("waiting", ())

    def sealed(self, files: Sequence[str]) -> pl.DataFrame:
        return self._ask("nothing", files)

    def labelled(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with their labels, which are looked up for these rows alone."""
        self._duck.register("shown", rows.to_arrow())
        ids, oldest = rows["prediction_id"].unique().sort().to_list(), rows["at"].min()
        # One id is told apart by the files' own indexes; for several, all ids of a file have to be read.
        about = "prediction_id = $shown_id" if len(ids) == 1 else _IDS_OF.format("shown")
        by_key = rows["keys"].count() > 0
        files = self._label_files(oldest, None if by_key else ids) if isinstance(oldest, datetime) else []
        relation, values = self._with_labels("shown", "true", about, files)
        sql = statement("newest_rows").format(columns="*", log=relation, where="true")
        one = {"shown_id": ids[0]} if len(ids) == 1 else {}
        answer = self._duck.sql(sql, params=values | one | {"rows": self._search.limit})
        return pl.DataFrame(answer.to_arrow_table())

    def _ask(self, waiting: str, files: Sequence[str]) -> pl.DataFrame:
        log = sealed_and_unsealed("files" if files else None, waiting)
        values = dict(self._values) | ({"files": list(files)} if files else {})
        if self._search.condition.labels:
            oldest = min((parse_time(f"{_day(path)}T00:00Z") for path in files), default=self._search.window.start)
            log, bound = self._with_labels(log, self._scope, _IDS_OF.format("scope"), self._label_files(oldest, None))
            values |= bound
        sql = statement("newest_rows").format(columns=listed(self._columns), log=log, where=self._where)
        answer = self._duck.sql(sql, params=values | {"rows": self._search.limit})
        return pl.DataFrame(answer.to_arrow_table())

    def _with_labels(self, log: str, scope: str, about: str, files: Sequence[str]) -> tuple[str, dict[str, Any]]:
        told = sealed_and_unsealed("label_files" if files else None, "labels_waiting")
        relation = statement("with_labels").format(
            log=log, scope=scope, labels=told, about=about, winning=winning_labels("scope", "told")
        )
        return relation, {"horizon": self._horizon} | ({"label_files": list(files)} if files else {})

    def _label_files(self, oldest: datetime, ids: Sequence[str] | None) -> list[str]:
        """Label files that may speak of rows since `oldest`: what was true long before it is not about them."""
        folder = self._labels.folder
        since = Window(oldest - _EARLIEST_LABEL, datetime.max.replace(tzinfo=UTC) - _STEP)
        true_since = files_holding(folder, folder.files(), [], "observed_at", since)
        near = files_holding(folder, true_since, ids)
        return near if ids is None else list(index_of(folder).with_values(near, "prediction_id", ids))


def _scope(search: Search) -> tuple[str, dict[str, Any]]:
    """The conditions that need no label, and what they bind."""
    parts = ['"at" >= $start', '"at" < $end', "list_contains($roles, role)"]
    values: dict[str, Any] = {"start": search.window.start, "end": search.window.end, "roles": list(search.roles)}
    if search.id is not None:
        parts.append("prediction_id = $id")
        values["id"] = search.id
    if search.before is not None:
        parts.append('"at" <= $before_at')
        parts.append('("at", prediction_id, version, role) < ($before_at, $before_id, $before_version, $before_role)')
        place = search.before
        values |= {"before_at": place.at, "before_id": place.prediction_id}
        values |= {"before_version": place.version, "before_role": place.role}
    for number, (name, value) in enumerate((search.key or {}).items()):
        pair, part = canonical_key({name: value})[1:-1], f"key_{number}"
        # Few rows hold the pair as a text; only those are parsed.
        parts.append(f"contains(keys, ${part}) AND json_extract(keys, ${part}_at)::VARCHAR = ${part}_value")
        values |= {part: pair, f"{part}_at": _pointer(name), f"{part}_value": canonical_key({"": value})[4:-1]}
    return " AND ".join(parts), values | dict(search.condition.values)


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _candidates(search: Search, log: Snapshot) -> list[str]:
    """Data files that may hold a row of the window, or the row of the id."""
    window = search.window
    if search.before is not None and search.before.at < window.end:
        if search.before.at < window.start:
            return []
        window = Window(window.start, search.before.at + timedelta(microseconds=1))
    files = files_holding(log.folder, log.files(window), [], "at", window)
    index = index_of(log.folder)
    if search.id is not None:
        files = list(index.with_values(files_holding(log.folder, files, [search.id]), "prediction_id", [search.id]))
    if search.key:
        files = list(index.with_pairs(files, "keys", [pairs_of(canonical_key(dict(search.key)))]))
    return files


def _newest_first(files: Sequence[str]) -> Iterator[list[str]]:
    """Files by day, the newest day alone, then two days, four, eight: the rarer the rows, the larger the steps."""
    days = [list(of_day) for _, of_day in groupby(sorted(files, key=_day, reverse=True), key=_day)]
    step, start = 1, 0
    while start < len(days):
        yield [path for of_day in days[start : start + step] for path in of_day]
        start, step = start + step, step * 2


def _day(path: str) -> str:
    """The UTC day of a data file, as `2026-03-14`."""
    return Path(path).parent.name.removeprefix("day=")


def _top(rows: pl.DataFrame, limit: int) -> pl.DataFrame:
    return rows.sort(_ORDER, descending=True).head(limit)


def _enough(found: pl.DataFrame, search: Search, files: Sequence[str]) -> bool:
    """Whether older files can add nothing. An id's rows are all of one moment, so one is as good as `limit`."""
    if found.height < (search.limit if search.id is None else 1):
        return False
    oldest_read = min(_day(path) for path in files)
    last = found["at"].min()
    return isinstance(last, datetime) and last.date().isoformat() >= oldest_read

"""The log at one moment: what the table holds, and what the spools hold beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder, newest
from pilothouse.data.log.decode import Decoder, decode
from pilothouse.data.log.pending import pending
from pilothouse.data.log.repeats import Repeats
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.sql.duck import connect, sealed_and_unsealed
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Rows of one kind: the files of one version of the table, and the rows of the spools that it does not hold."""

    folder: DeltaFolder
    unsealed: pa.Table

    def files(self, window: Window | None) -> list[str]:
        """The table's files; with a window, those of the days that it touches."""
        if window is None:
            return self.folder.files()
        first = window.start.date().isoformat()
        last = (window.end - timedelta(microseconds=1)).date().isoformat()
        return self.folder.files(keep=lambda day: first <= day <= last)


def take_snapshot(
    spools: Path, model: str, kind: EntryKind, folder: DeltaFolder, decoder: Decoder, new_rows: Repeats
) -> Snapshot:
    """Every row acknowledged before the call, once.

    The spools are read before the table is opened: the other way round, rows sealed in between would be in neither.
    An entry that cannot be read is left out; the sealer will set it aside and count it.
    """
    with pending(spools) as files:
        waiting = [(spool.id, spool.read(model, kind, after=None)) for spool in files]
    folder = newest(folder)
    batches = []
    for spool_id, entries in waiting:
        mark = folder.mark(spool_id) or 0
        batches.append(decode(decoder, [e for e in entries if e.seq > mark and e.fault is None], spool_id).table)
    batch = pa.concat_tables([decode(decoder, [], "").table, *batches])
    return Snapshot(folder=folder, unsealed=new_rows(batch, folder))


class Query:
    """One question to DuckDB over snapshots. To be used in a `with` block."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._database: duckdb.DuckDBPyConnection = connect(snapshot.folder.path for snapshot in snapshots)
        self._values: dict[str, Any] = {}

    def __enter__(self) -> Query:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def relation(self, name: str, snapshot: Snapshot, window: Window | None = None) -> str:
        """The SQL of a relation over `snapshot`. A window only spares files; rows outside it may still come."""
        files = snapshot.files(window)
        self._database.register(name, snapshot.unsealed)
        if files:
            self._values[f"{name}_files"] = files
        return sealed_and_unsealed(f"{name}_files" if files else None, name)

    def ask(self, sql: str, values: Mapping[str, Any]) -> pl.DataFrame:
        """The answer to `sql`, in which `values` are bound by name."""
        answer = self._database.sql(sql, params=self._values | dict(values)).to_arrow_table()
        return pl.DataFrame(answer)

"""How a model's log stands: what it holds, what waits, what was set aside, what is damaged, and who looked last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.delta import rows_in
from pilothouse.data.history.results import Watermark
from pilothouse.data.log.pending import SetAside, pending
from pilothouse.data.log.scrub import DamagedPart, known_damage, last_scrub, tables_of
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.rollups.gaps import raw_from
from pilothouse.data.rollups.recount import LastRecount, last_recount

if TYPE_CHECKING:
    from pilothouse.data.delta import DeltaFolder
    from pilothouse.ops.model import ModelHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table on disk. rows : None for roll-ups, whose rows are no rows of the log. first, last : days it holds."""

    name: str
    files: int
    size: int
    rows: int | None
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The log of one model at one moment.

    labels_waiting : labels that are not sealed yet. raw_from : since when every single row is kept; None for ever.
    recounted : the last comparison of a day's roll-ups with its rows, by the worker or by hand; None before the first.
    """

    model: str
    watermark: Watermark
    tables: tuple[TableState, ...]
    labels_waiting: int
    set_aside: tuple[SetAside, ...]
    damage: tuple[DamagedPart, ...]
    scrubbed_at: datetime | None
    raw_from: date | None
    recounted: LastRecount | None

    @property
    def rows_set_aside(self) -> int:
        return sum(entry.rows for entry in self.set_aside)


def log_state(handle: ModelHandle) -> LogState:
    """Reads logs and spools, and no rows."""
    house, name = handle.house, handle.name
    tables = tables_of(house.workspace, name, handle.signature)
    with pending(house.workspace.spool) as spools:
        waiting = sum(s.count(name, EntryKind.LABELS, after=tables["labels"].mark(s.id)) for s in spools)
        aside = tuple(entry for spool in spools for entry in spool.listed_set_aside(name))
    return LogState(
        model=name,
        watermark=handle.history.watermark(),
        tables=tuple(_state_of(title, folder) for title, folder in tables.items()),
        labels_waiting=waiting,
        set_aside=aside,
        damage=known_damage(house.workspace, name, handle.signature),
        scrubbed_at=last_scrub(house.workspace, name),
        raw_from=raw_from(tables["rollups"]),
        recounted=last_recount(house.workspace, name),
    )


def _state_of(name: str, folder: DeltaFolder) -> TableState:
    rows = rows_in(folder)
    values = sorted({folder.partition_value(path) for path in rows})
    days = values if name != "rollups" else []
    return TableState(
        name=name,
        files=len(rows),
        size=sum(Path(path).stat().st_size for path in rows if Path(path).exists()),
        rows=sum(rows.values()) if name != "rollups" else None,
        first=days[0] if days else None,
        last=days[-1] if days else None,
    )

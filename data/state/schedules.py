"""Batches by the clock: what is scored again and again, and when next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from pilothouse.data.errors import UnknownSchedule
from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row

_t = tables.schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """arguments : what is scored and how, with the date's pattern in its files. every_s : seconds from one to the next.

    next_at : when the next is due. missed : how many were due while no worker ran, and were left out.
    """

    id: str
    model: str
    arguments: dict[str, Any]
    every_s: int
    next_at: datetime
    missed: int
    last_run_id: str | None
    created_at: datetime
    created_by: str


def add(conn: Connection, schedule: Schedule) -> None:
    conn.execute(insert(_t).values({name: getattr(schedule, name) for name in _t.c.keys()}))  # noqa: SIM118


def list_schedules(conn: Connection, model: str | None = None) -> list[Schedule]:
    """Those of one model, or all; the next due first."""
    query = select(_t).order_by(_t.c.next_at, _t.c.id)
    if model is not None:
        query = query.where(_t.c.model == model)
    return [Schedule(**plain_row(row)) for row in conn.execute(query)]


def due(conn: Connection, now: datetime) -> list[Schedule]:
    return [schedule for schedule in list_schedules(conn) if schedule.next_at <= now]


def move(conn: Connection, schedule: Schedule, *, next_at: datetime, missed: int, run_id: str) -> bool:
    """Note that its run `run_id` was asked for; whether nobody else has noted it for this time."""
    same = (_t.c.id == schedule.id) & (_t.c.next_at == schedule.next_at)
    changed = {"next_at": next_at, "missed": schedule.missed + missed, "last_run_id": run_id}
    return conn.execute(update(_t).where(same).values(**changed)).rowcount == 1


def remove(conn: Connection, schedule_id: str) -> Schedule:
    """Raises UnknownSchedule."""
    found = conn.execute(select(_t).where(_t.c.id == schedule_id)).one_or_none()
    if found is None:
        raise UnknownSchedule(schedule_id)
    conn.execute(delete(_t).where(_t.c.id == schedule_id))
    return Schedule(**plain_row(found))

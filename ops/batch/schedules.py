"""Batches by the clock: asked for once, scored again and again by the worker."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import msgspec
from uuid6 import uuid7

from pilothouse.data.errors import BadData, PilothouseError
from pilothouse.data.settings import Settings
from pilothouse.data.state import audit, catalog, schedules
from pilothouse.data.state.schedules import Schedule
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, parse_span
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.batch.jobs import Asked, request_score
from pilothouse.ops.faults import logger

if TYPE_CHECKING:
    from pilothouse.ops.house import House

EVERY_S = 5.0
_DAY = timedelta(days=1)
_START = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_PATTERN = re.compile(r"%[YmdHM]")


def schedule(house: House, model: str, asked: Asked, *, every: str, start: str | None = None) -> Schedule:
    """Have a batch scored every so often; the first when `start` comes next, or one span from now.

    asked : its source and out may hold %Y %m %d %H %M, which become the time at which each batch is due, in the business
    zone. every : 1h, 1d, 1w. start : a time of day such as 03:00, for spans of whole days.
    Raises InvalidWindow, BadData, UnknownModel, NotAllowed.
    """
    require(house.state, house.actor, Right.OPERATOR, "schedule", model, house.clock)
    span, now, zone = parse_span(every), house.clock(), house.settings.zone
    first = now + span if start is None else _first(_time_of_day(start, span), now, zone)
    if not asked.overwrite and not _PATTERN.search(asked.out):
        raise BadData(
            f"Every batch would be written to {asked.out}. Put the date into its name, such as scored-%Y-%m-%d.parquet, "
            "or say --overwrite."
        )
    absolute = msgspec.structs.replace(asked, source=_absolute(asked.source), out=_absolute(asked.out))
    made = Schedule(
        id=str(uuid7()), model=model, arguments=msgspec.to_builtins(absolute), every_s=int(span.total_seconds()),
        next_at=first, missed=0, last_run_id=None, created_at=now, created_by=house.actor.name,
    )  # fmt: skip
    with house.state.write() as conn:
        catalog.get_model(conn, model)
        schedules.add(conn, made)
        _audit(conn, house.actor, "schedule", made, now)
    return made


def remove(house: House, schedule_id: str) -> Schedule:
    """End a schedule; a batch that it has asked for already is not called off. Raises UnknownSchedule, NotAllowed."""
    with house.state.read() as conn:
        model = next((s.model for s in schedules.list_schedules(conn) if s.id == schedule_id), schedule_id)
    require(house.state, house.actor, Right.OPERATOR, "end a schedule of", model, house.clock)
    with house.state.write() as conn:
        gone = schedules.remove(conn, schedule_id)
        _audit(conn, house.actor, "unschedule", gone, house.clock())
    return gone


def turn(state: State, settings: Settings, clock: Clock) -> None:
    """Ask for every batch that is due. Of those missed while no worker ran only the newest is made up for."""
    now = clock()
    with state.read() as conn:
        found = schedules.due(conn, now)
    for each in found:
        _ask(state, each, settings.zone, now, clock)


def following(at: datetime, every: timedelta, zone: tzinfo) -> datetime:
    """When the batch after the one at `at` is due: whole days are counted by the calendar, so that 03:00 stays 03:00.

    >>> from zoneinfo import ZoneInfo
    >>> from datetime import UTC
    >>> following(datetime(2026, 3, 28, 2, tzinfo=UTC), timedelta(days=1), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-03-29T01:00:00+00:00'
    """
    if every % _DAY:
        return at + every
    local = at.astimezone(zone)
    return datetime.combine(local.date() + every, local.time(), zone).astimezone(at.tzinfo)


def _ask(state: State, due: Schedule, zone: tzinfo, now: datetime, clock: Clock) -> None:
    times = [due.next_at]
    while (later := following(times[-1], timedelta(seconds=due.every_s), zone)) <= now:
        times.append(later)
    # The same for the same time: who dies before the schedule has moved on asks for the same batch again.
    run_id, missed = str(uuid5(UUID(due.id), due.next_at.isoformat())), len(times) - 1
    asked = _at(msgspec.convert(due.arguments, Asked), times[-1].astimezone(zone))
    if missed:
        asked = msgspec.structs.replace(
            asked, note=f"; {missed} before it were due while no worker ran, and are left out"
        )
    actor = Actor(name=due.created_by, roles=frozenset({Right.OPERATOR}))
    failed = ""
    try:
        request_score(state, actor, due.model, asked, clock, run_id=run_id)
    except PilothouseError as error:
        failed = str(error)
        logger.error("the scheduled batch %s of %s was not asked for: %s", due.id, due.model, error)
    with state.write() as conn:
        moved = schedules.move(conn, due, next_at=later, missed=missed, run_id=run_id)
        if failed and moved:
            _audit(conn, actor, "scheduled batch failed", due, now, why=failed)


def _at(asked: Asked, local: datetime) -> Asked:
    return msgspec.structs.replace(asked, source=_dated(asked.source, local), out=_dated(asked.out, local))


def _dated(text: str, local: datetime) -> str:
    return _PATTERN.sub(lambda found: local.strftime(found[0]), text)


def _absolute(path: str) -> str:
    """The worker stands in a folder of its own."""
    return str(Path(path).absolute())


def _time_of_day(text: str, every: timedelta) -> time:
    found = _START.fullmatch(text)
    if found is None or every % _DAY:
        raise BadData(f"{text!r} cannot be the time of day of a batch. Give one such as 03:00, with --every 1d or 1w.")
    return time(int(found[1]), int(found[2]))


def _first(start: time, now: datetime, zone: tzinfo) -> datetime:
    today: date = now.astimezone(zone).date()
    moments = (datetime.combine(today + ahead * _DAY, start, zone).astimezone(now.tzinfo) for ahead in (0, 1))
    return next(moment for moment in moments if moment > now)


def _audit(conn: Any, actor: Actor, act: str, told: Schedule, now: datetime, **more: Any) -> None:
    details = {"schedule": told.id, "source": told.arguments["source"], "every_s": told.every_s} | more
    audit.append(conn, actor=actor.name, act=act, target=told.model, details=details, at=now)

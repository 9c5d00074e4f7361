"""Runs of the pipeline: what was asked for, how far it is, what came of it.

Everybody reads these rows, whatever engine does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from pilothouse.data.errors import UnknownRun
from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row

_r, _s, _l = tables.runs, tables.steps, tables.run_log


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


ACTIVE = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.CANCELLING})


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. `verdict` and `outcome` (the scorecard) once the gate has spoken; `error` in plain words if it failed."""

    id: str
    model: str
    kind: str
    state: RunState
    arguments: dict[str, Any]
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    verdict: str | None
    outcome: dict[str, Any] | None
    error: str | None
    version: int | None
    worker: str | None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run. `progress`: 0 to 1, or None where it cannot be said."""

    run_id: str
    position: int
    name: str
    state: StepState
    started_at: datetime | None
    finished_at: datetime | None
    progress: float | None
    message: str
    output: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    seq: int
    at: datetime
    text: str


def request(
    conn: Connection,
    *,
    run_id: str,
    model: str,
    kind: str,
    arguments: Mapping[str, Any],
    steps: Sequence[str],
    actor: str,
    at: datetime,
    alone: bool = True,
) -> tuple[Run, bool]:
    """Ask for a run, with its steps waiting; True if it is new.

    alone : while one of its kind is active for the model, that one is given; as is the one that has this id already.
    """
    if conn.execute(select(_r.c.id).where(_r.c.id == run_id)).scalar() is not None:
        return get(conn, run_id), False
    same = (_r.c.model == model) & (_r.c.kind == kind) & _r.c.state.in_(ACTIVE)
    active = conn.execute(select(_r.c.id).where(same)).scalar() if alone else None
    if active is not None:
        return get(conn, active), False
    conn.execute(
        insert(_r).values(
            id=run_id, model=model, kind=kind, state=RunState.QUEUED, arguments=dict(arguments),
            requested_by=actor, requested_at=at,
        )
    )  # fmt: skip
    for position, name in enumerate(steps):
        conn.execute(
            insert(_s).values(run_id=run_id, position=position, name=name, state=StepState.WAITING, message="")
        )
    return get(conn, run_id), True


def get(conn: Connection, run_id: str) -> Run:
    """Raises UnknownRun."""
    row = conn.execute(select(_r).where(_r.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRun(run_id)
    return msgspec.convert(plain_row(row), Run)


def list_runs(
    conn: Connection,
    model: str | None = None,
    limit: int = 50,
    states: frozenset[RunState] | None = None,
    kind: str | None = None,
) -> list[Run]:
    """Newest first."""
    query = select(_r).order_by(_r.c.requested_at.desc()).limit(limit)
    if model is not None:
        query = query.where(_r.c.model == model)
    if states is not None:
        query = query.where(_r.c.state.in_(states))
    if kind is not None:
        query = query.where(_r.c.kind == kind)
    return [msgspec.convert(plain_row(row), Run) for row in conn.execute(query)]


def steps(conn: Connection, run_id: str) -> list[Step]:
    """In their order."""
    found = conn.execute(select(_s).where(_s.c.run_id == run_id).order_by(_s.c.position))
    return [msgspec.convert(plain_row(row), Step) for row in found]


def set_run(conn: Connection, run_id: str, **changes: object) -> None:
    """Change columns of a run. Raises UnknownRun."""
    if conn.execute(update(_r).where(_r.c.id == run_id).values(**changes)).rowcount == 0:
        raise UnknownRun(run_id)


def set_step(conn: Connection, run_id: str, name: str, **changes: object) -> None:
    """Change columns of a step. Raises UnknownRun when the run has no such step."""
    if conn.execute(update(_s).where(_s.c.run_id == run_id, _s.c.name == name).values(**changes)).rowcount == 0:
        raise UnknownRun(f"{run_id}/{name}")


def append_log(conn: Connection, run_id: str, at: datetime, line: str) -> None:
    conn.execute(insert(_l).values(run_id=run_id, at=at, text=line))


def log_lines(conn: Connection, run_id: str, after: int = 0) -> list[LogLine]:
    """Lines numbered above `after`, oldest first."""
    found = conn.execute(select(_l).where(_l.c.run_id == run_id, _l.c.seq > after).order_by(_l.c.seq))
    return [LogLine(seq=row.seq, at=row.at, text=row.text) for row in found]

"""Who is running, and the two phases of a switch: workers prepare a version and say so, then it is flipped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from pilothouse.data.state import tables

_p, _prep, _ack, _switch = tables.processes, tables.preparations, tables.acknowledgements, tables.switches
LIVE_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """A running process. `kind`: service, worker or dashboard. `details`: what it has to say of itself."""

    id: str
    kind: str
    host: str
    pid: int
    url: str | None
    started_at: datetime
    beat_at: datetime
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A request to every service worker: load this version and warm it, off the request path."""

    seq: int
    model: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A worker's answer to a preparation: ready, or why not. `load_ms`: milliseconds that loading and warming took."""

    seq: int
    process_id: str
    ok: bool
    detail: str
    load_ms: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """When a worker was ready to answer with a deployment's version. `spool`: the place in the log where it writes."""

    deployment_seq: int
    process_id: str
    at: datetime
    spool: str | None


def beat(conn: Connection, process: ProcessRow) -> None:
    """Say that the process is alive; the first beat introduces it."""
    values = {"beat_at": process.beat_at, "details": process.details, "url": process.url}
    changed = conn.execute(update(_p).where(_p.c.id == process.id).values(values))
    if changed.rowcount == 0:
        conn.execute(insert(_p).values({c.name: getattr(process, c.name) for c in _p.c}))


def live(conn: Connection, kind: str | None, now: datetime, within: timedelta = LIVE_WITHIN) -> list[ProcessRow]:
    """Processes (of one kind, or all) that have beaten lately."""
    query = select(_p).where(_p.c.beat_at > now - within).order_by(_p.c.kind, _p.c.id)
    if kind is not None:
        query = query.where(_p.c.kind == kind)
    return [ProcessRow(**row._asdict()) for row in conn.execute(query)]


def forget(conn: Connection, process_id: str) -> None:
    """Take leave: at a clean end."""
    conn.execute(delete(_p).where(_p.c.id == process_id))


def request_preparation(conn: Connection, model: str, version: int, at: datetime) -> Preparation:
    new = insert(_prep).values(model=model, version=version, at=at).returning(_prep.c.seq)
    return Preparation(seq=conn.execute(new).scalar_one(), model=model, version=version, at=at)


def preparations(conn: Connection, after: int = 0) -> list[Preparation]:
    """The newest request for each model and version among those numbered above `after`, oldest first."""
    newest = select(func.max(_prep.c.seq)).where(_prep.c.seq > after).group_by(_prep.c.model, _prep.c.version)
    found = conn.execute(select(_prep).where(_prep.c.seq.in_(newest)).order_by(_prep.c.seq))
    return [Preparation(**row._asdict()) for row in found]


def acknowledge(
    conn: Connection, seq: int, process_id: str, *, ok: bool, detail: str, load_ms: float, at: datetime
) -> None:
    """Answer a preparation. A second answer of the same process replaces its first."""
    conn.execute(delete(_ack).where(_ack.c.seq == seq, _ack.c.process_id == process_id))
    conn.execute(insert(_ack).values(seq=seq, process_id=process_id, ok=ok, detail=detail, load_ms=load_ms, at=at))


def acknowledgements(conn: Connection, seq: int) -> list[Acknowledgement]:
    return [Acknowledgement(**row._asdict()) for row in conn.execute(select(_ack).where(_ack.c.seq == seq))]


def record_switch(conn: Connection, switch: Switch) -> None:
    """Note when the process was ready to answer with the deployment's version; the first note stands."""
    key = (_switch.c.deployment_seq == switch.deployment_seq) & (_switch.c.process_id == switch.process_id)
    if conn.execute(select(_switch).where(key)).first() is None:
        conn.execute(insert(_switch).values({c.name: getattr(switch, c.name) for c in _switch.c}))


def switches(conn: Connection, deployment_seq: int) -> list[Switch]:
    query = select(_switch).where(_switch.c.deployment_seq == deployment_seq).order_by(_switch.c.at)
    return [Switch(**row._asdict()) for row in conn.execute(query)]

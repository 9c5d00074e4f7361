"""What is live: append-only. A model's champion is the version of its newest row, and nothing else says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from pilothouse.data.errors import NoChampion
from pilothouse.data.state import audit, epochs, tables, trials

_t = tables.deployments


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One change of champion. `seq` counts over all models, together with canaries and shadows: see `epochs`.

    `clicked_at`: when the person asked; `at`: the flip, from which on the new version is the champion.
    """

    seq: int
    model: str
    version: int
    previous: int | None
    act: str
    actor: str
    reason: str
    clicked_at: datetime
    at: datetime
    audit_seq: int


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(**row._asdict())


def current(conn: Connection, model: str) -> Deployment | None:
    row = conn.execute(select(_t).where(_t.c.model == model).order_by(_t.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else _deployment(row)


def in_force(conn: Connection, model: str) -> Deployment:
    """The deployment that says which version is the champion. Raises NoChampion."""
    found = current(conn, model)
    if found is None:
        raise NoChampion(model)
    return found


def get(conn: Connection, seq: int) -> Deployment:
    return _deployment(conn.execute(select(_t).where(_t.c.seq == seq)).one())


def live_at(conn: Connection, model: str, time: datetime) -> Deployment | None:
    """The deployment that was in force at `time`, or None when nothing was."""
    query = select(_t).where(_t.c.model == model, _t.c.at <= time).order_by(_t.c.seq.desc()).limit(1)
    row = conn.execute(query).one_or_none()
    return None if row is None else _deployment(row)


def history(conn: Connection, model: str) -> list[Deployment]:
    """Newest first."""
    return [_deployment(row) for row in conn.execute(select(_t).where(_t.c.model == model).order_by(_t.c.seq.desc()))]


def all_current(conn: Connection) -> dict[str, Deployment]:
    """The newest deployment of every model that has one."""
    newest = select(func.max(_t.c.seq)).group_by(_t.c.model)
    return {row.model: _deployment(row) for row in conn.execute(select(_t).where(_t.c.seq.in_(newest)))}


def append(
    conn: Connection,
    *,
    model: str,
    version: int,
    expected_epoch: int,
    act: str,
    actor: str,
    reason: str,
    clicked_at: datetime,
    at: datetime,
) -> Deployment:
    """Make `version` the champion, with its audit row, if the model still stands at `expected_epoch`.

    A canary ends with it, and a shadow of the same version. expected_epoch : that on which the decision was made.
    Raises StaleDecision when somebody else was faster; nothing is written then.
    """
    before = current(conn, model)
    previous = before.version if before else None
    epochs.check_epoch(conn, model, expected_epoch, previous)
    trials.end_overtaken(conn, model, version, act=act, actor=actor, at=at)
    seq = epochs.newest_seq(conn) + 1
    details = {"version": version, "previous": previous, "reason": reason, "epoch": seq}
    written = audit.append(conn, actor=actor, act=act, target=model, details=details, at=at)
    row = Deployment(
        seq=seq, model=model, version=version, previous=previous, act=act, actor=actor, reason=reason,
        clicked_at=clicked_at, at=at, audit_seq=written.seq,
    )  # fmt: skip
    conn.execute(insert(_t).values({name: getattr(row, name) for name in _t.c.keys()}))  # noqa: SIM118
    return row

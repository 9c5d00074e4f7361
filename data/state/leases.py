"""Whatever must run once holds a lease with a fencing number: it expires by itself, and a stale holder is found out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from pilothouse.data.errors import LeaseLost
from pilothouse.data.state import tables

_t = tables.leases


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`fencing` rises each time the lease changes hands, so a late write of an earlier holder can be told."""

    name: str
    holder: str
    fencing: int


def acquire(conn: Connection, name: str, holder: str, now: datetime, ttl: timedelta) -> Lease | None:
    """The lease, if it is free, run out or already ours; None while another holds it."""
    row = conn.execute(select(_t).where(_t.c.name == name)).one_or_none()
    if row is None:
        conn.execute(insert(_t).values(name=name, holder=holder, fencing=1, expires_at=now + ttl))
        return Lease(name=name, holder=holder, fencing=1)
    ours = row.holder == holder
    if not ours and row.expires_at > now:
        return None
    fencing = row.fencing if ours else row.fencing + 1
    conn.execute(update(_t).where(_t.c.name == name).values(holder=holder, fencing=fencing, expires_at=now + ttl))
    return Lease(name=name, holder=holder, fencing=fencing)


def wanted(conn: Connection, name: str, by_others_than: str, now: datetime) -> bool:
    """Whether somebody else asks the holder of `name` to let go of it: see `asking`."""
    row = conn.execute(select(_t).where(_t.c.name == asking(name))).one_or_none()
    return row is not None and row.holder != by_others_than and row.expires_at > now


def asking(name: str) -> str:
    """The lease to take by which one asks for `name`: a worker lets go after its turn, and waits until this is free."""
    return f"{name} wanted"


def held(conn: Connection, lease: Lease, now: datetime) -> None:
    """Raises LeaseLost when `lease` has run out or is another's."""
    row = conn.execute(select(_t).where(_t.c.name == lease.name)).one_or_none()
    if row is None or row.fencing != lease.fencing or row.holder != lease.holder or row.expires_at <= now:
        raise LeaseLost(lease.name, row.holder if row else None)


def renew(conn: Connection, lease: Lease, now: datetime, ttl: timedelta) -> None:
    """Hold on for another `ttl`. Raises LeaseLost."""
    held(conn, lease, now)
    conn.execute(update(_t).where(_t.c.name == lease.name).values(expires_at=now + ttl))


def release(conn: Connection, lease: Lease) -> None:
    """Let go, if it is still ours; the fencing number stays behind."""
    ours = (_t.c.name == lease.name) & (_t.c.fencing == lease.fencing) & (_t.c.holder == lease.holder)
    row = conn.execute(select(_t.c.expires_at).where(ours)).one_or_none()
    if row is not None:
        conn.execute(update(_t).where(ours).values(expires_at=datetime.min.replace(tzinfo=row.expires_at.tzinfo)))

"""The audit trail: append-only, each row sealed to the one before it by SHA-256.

`hash = SHA-256(seq | previous hash | canonical JSON of the row)`. A row that is changed, removed, inserted or moved
breaks the chain at its place. Tamper-evident, not tamper-proof: whoever can rewrite every row can rewrite the chain,
and rows cut off its end leave no trace in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from pilothouse.data.state import tables
from pilothouse.data.windows import as_utc

GENESIS = "0" * 64
_t = tables.audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One act: who did what to which target, when, with which facts (never feature values)."""

    seq: int
    at: datetime
    actor: str
    act: str
    target: str
    details: dict[str, Any]
    previous: str
    hash: str


def _digest(
    seq: int, previous: str, at: datetime, actor: str, act: str, target: str, details: Mapping[str, Any]
) -> str:
    row = {"at": at.isoformat(), "actor": actor, "act": act, "target": target, "details": details}
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{seq}|{previous}|{canonical}".encode()).hexdigest()


def append(
    conn: Connection, *, actor: str, act: str, target: str, details: Mapping[str, Any], at: datetime
) -> AuditRow:
    """Write the act's row at the end of the chain, in the act's own transaction; returns it."""
    last = conn.execute(select(_t.c.seq, _t.c.hash).order_by(_t.c.seq.desc()).limit(1)).one_or_none()
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    # Read back, the time is in UTC: hashed in another zone the row would not fit its own hash.
    facts, at = dict(details), as_utc(at)
    digest = _digest(seq, previous, at, actor, act, target, facts)
    row = AuditRow(seq=seq, at=at, actor=actor, act=act, target=target, details=facts, previous=previous, hash=digest)
    conn.execute(
        insert(_t).values(
            seq=seq, at=at, actor=actor, act=act, target=target, details=facts, previous=previous, hash=digest
        )
    )
    return row


def rows(conn: Connection, target: str | None = None, limit: int = 200, *, act: str | None = None) -> list[AuditRow]:
    """The newest rows first, of one target (a model's name) or of all, and of one act or of all."""
    query = select(_t).order_by(_t.c.seq.desc()).limit(limit)
    if target is not None:
        query = query.where(_t.c.target == target)
    if act is not None:
        query = query.where(_t.c.act == act)
    return [AuditRow(**row._asdict()) for row in conn.execute(query)]


def verify(conn: Connection) -> int | None:
    """The number of the first row that does not fit the chain, or None when all do."""
    previous = GENESIS
    for seq, found in enumerate(conn.execute(select(_t).order_by(_t.c.seq)), start=1):
        row = AuditRow(**found._asdict())
        digest = _digest(row.seq, row.previous, row.at, row.actor, row.act, row.target, row.details)
        if row.seq != seq or row.previous != previous or row.hash != digest:
            return seq
        previous = row.hash
    return None

"""How far the log of this place was sent to a central house: a mark for each spool, model and kind of entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from pilothouse.data.state import tables

_t = tables.forwarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What became of rows. sent : durable there. refused : the central house said no. kept : not of a kind that is sent."""

    sent: int = 0
    refused: int = 0
    kept: int = 0
    reason: str = ""

    def plus(self, other: Counted) -> Counted:
        return Counted(
            sent=self.sent + other.sent,
            refused=self.refused + other.refused,
            kept=self.kept + other.kept,
            reason=other.reason or self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """All that was sent of one model so far. reason : of the newest refusal. at : when the last mark was moved."""

    model: str
    counted: Counted
    at: datetime


def mark(conn: Connection, spool: str, model: str, kind: str) -> int:
    """The number of the last entry that is done with; 0 before the first."""
    found = select(_t.c.seq).where(_t.c.spool == spool, _t.c.model == model, _t.c.kind == kind)
    return int(conn.execute(found).scalar() or 0)


def move(conn: Connection, spool: str, model: str, kind: str, *, seq: int, counted: Counted, at: datetime) -> None:
    """Entries up to `seq` are done with. A mark never goes back."""
    same = (_t.c.spool == spool) & (_t.c.model == model) & (_t.c.kind == kind)
    row = conn.execute(select(_t).where(same)).one_or_none()
    if row is None:
        values = {"seq": seq, "sent": counted.sent, "refused": counted.refused, "kept": counted.kept}
        conn.execute(insert(_t).values(spool=spool, model=model, kind=kind, reason=counted.reason, at=at, **values))
    elif row.seq < seq:
        before = Counted(sent=row.sent, refused=row.refused, kept=row.kept, reason=row.reason)
        all_ = before.plus(counted)
        changed = {"sent": all_.sent, "refused": all_.refused, "kept": all_.kept, "reason": all_.reason}
        conn.execute(update(_t).where(same).values(seq=seq, at=at, **changed))


def by_model(conn: Connection) -> dict[str, Forwarded]:
    """What was sent so far, over all spools and kinds."""
    found: dict[str, Forwarded] = {}
    for row in conn.execute(select(_t).order_by(_t.c.at)):
        counted = Counted(sent=row.sent, refused=row.refused, kept=row.kept, reason=row.reason)
        before = found[row.model].counted if row.model in found else Counted()
        found[row.model] = Forwarded(model=row.model, counted=before.plus(counted), at=row.at)
    return found

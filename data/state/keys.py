"""API keys as they stand in the state store: whose each is, what it may do, and until when. Never the secret itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from pilothouse.data.errors import UnknownKey
from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row

EVERY_MODEL = "predict:*"
PREDICT = "predict:"
SCOPES = ("feedback", "log", "metrics", "read")
"""What a key may be allowed besides predicting."""

_t = tables.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key. `caller`: in whose name it speaks. `sha256`: of the whole key. `expires_at`: excluded; None for never."""

    id: str
    caller: str
    sha256: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key has `scope`: one of SCOPES, or predict:NAME of a model."""
        return scope in self.scopes or (EVERY_MODEL in self.scopes and scope.startswith(PREDICT))

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def live(self, now: datetime) -> bool:
        return self.revoked_at is None and not self.expired(now)

    def standing(self, now: datetime) -> str:
        """In a word: live, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expired(now) else "live"


def add(conn: Connection, key: KeyRow) -> None:
    conn.execute(insert(_t).values({name: getattr(key, name) for name in _t.c.keys()}))  # noqa: SIM118


def get(conn: Connection, key_id: str) -> KeyRow:
    """Raises UnknownKey."""
    row = conn.execute(select(_t).where(_t.c.id == key_id)).one_or_none()
    if row is None:
        raise UnknownKey(key_id, conn.execute(select(_t.c.id)).scalars().all())
    return _key(row)


def list_keys(conn: Connection, caller: str | None = None) -> list[KeyRow]:
    """All keys, or those of one caller; the newest first."""
    query = select(_t).order_by(_t.c.created_at.desc(), _t.c.id)
    if caller is not None:
        query = query.where(_t.c.caller == caller)
    return [_key(row) for row in conn.execute(query)]


def revoke(conn: Connection, key_id: str, at: datetime) -> KeyRow:
    """The key, of no use from `at` on. One that was revoked before stays as it is. Raises UnknownKey."""
    key = get(conn, key_id)
    return key if key.revoked_at else _changed(conn, key, revoked_at=at)


def end(conn: Connection, key_id: str, expires_at: datetime) -> KeyRow:
    """The key, good until `expires_at` at the latest. Raises UnknownKey."""
    key = get(conn, key_id)
    sooner = key.expires_at is not None and key.expires_at <= expires_at
    return key if sooner else _changed(conn, key, expires_at=expires_at)


def _changed(conn: Connection, key: KeyRow, **values: Any) -> KeyRow:
    conn.execute(update(_t).where(_t.c.id == key.id).values(**values))
    return replace(key, **values)


def _key(row: Row[Any]) -> KeyRow:
    values = plain_row(row)
    return KeyRow(**values | {"scopes": tuple(values["scopes"])})

"""API keys of the service: made, listed, replaced and revoked by an admin, each act with its audit row.

A key reads `ph_<id>_<secret>`. It is shown once, when it is made; what is kept is its SHA-256. Its secret is drawn at
random and long, so a slow hash as for passwords would add nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pilothouse.data.errors import BadScope, NoReason, TooManyKeys, UnknownKey
from pilothouse.data.names import checked_name
from pilothouse.data.state import audit, keys
from pilothouse.data.state.keys import EVERY_MODEL, PREDICT, SCOPES, KeyRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, parse_span
from pilothouse.ops.actors import Actor, Right, require

PREFIX = "ph"
LIVE_PER_CALLER = 2
"""One in use, and its successor while it is being handed out."""
_ID_BYTES, _SECRET_BYTES = 6, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made. text : the key itself, for its caller; it cannot be had again."""

    row: KeyRow
    text: str = field(repr=False)


class Keys:
    """The keys of a workspace, in the hands of `actor`."""

    def __init__(self, state: State, actor: Actor, clock: Clock) -> None:
        self._state, self._actor, self._clock = state, actor, clock

    def create(self, caller: str, scopes: Sequence[str], *, expires: str | None = None) -> NewKey:
        """A key for `caller`, whose name stands in the log beside the rows that it sends.

        scopes : `predict:NAME` or `predict:*`, feedback, log, metrics, read. expires : such as 90d; None for never.
        Raises InvalidName, BadScope, InvalidWindow, TooManyKeys, NotAllowed.
        """
        self._require("create a key for", caller)
        checked_name(caller, "caller")
        allowed = tuple(dict.fromkeys(checked_scope(scope) for scope in scopes))
        if not allowed:
            raise BadScope("", [EVERY_MODEL, f"{PREDICT}NAME", *SCOPES])
        lasting = None if expires is None else parse_span(expires)
        with self._state.write() as conn:
            _refuse_third(caller, self._live(conn, caller))
            return self._made(conn, caller, allowed, lasting, "key created", {})

    def list(self) -> tuple[KeyRow, ...]:
        """All keys there ever were, the newest first."""
        with self._state.read() as conn:
            return tuple(keys.list_keys(conn))

    def rotate(self, caller: str, *, overlap: str = "7d") -> NewKey:
        """A successor of the caller's key with the same scopes and lifetime; the key before goes on for `overlap`.

        Raises UnknownKey when the caller has no live key, TooManyKeys when it has a successor already; InvalidWindow.
        """
        self._require("rotate the key of", caller)
        longer = parse_span(overlap)
        with self._state.write() as conn:
            live = self._live(conn, caller)
            if not live:
                raise UnknownKey(caller, {key.caller for key in keys.list_keys(conn)})
            _refuse_third(caller, live)
            before = keys.end(conn, live[0].id, self._clock() + longer)
            details = {"before": before.id, "before_until": _text(before.expires_at)}
            return self._made(conn, caller, before.scopes, _lifetime(live[0]), "key rotated", details)

    def revoke(self, key_id: str, *, reason: str) -> KeyRow:
        """End a key at once: every service worker refuses it within two seconds. Raises UnknownKey, NoReason, NotAllowed."""
        self._require("revoke the key", key_id)
        if not reason.strip():
            raise NoReason("Revoking a key")
        with self._state.write() as conn:
            before = keys.get(conn, key_id)
            row = keys.revoke(conn, key_id, self._clock())
            if before.revoked_at is None:
                self._audit(conn, "key revoked", row, {"reason": reason})
        return row

    def _made(
        self,
        conn: Connection,
        caller: str,
        scopes: tuple[str, ...],
        lasting: timedelta | None,
        act: str,
        details: Mapping[str, object],
    ) -> NewKey:
        now, key_id = self._clock(), secrets.token_hex(_ID_BYTES)
        text = f"{PREFIX}_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"
        row = KeyRow(
            id=key_id, caller=caller, sha256=hashlib.sha256(text.encode()).hexdigest(), scopes=scopes, created_at=now,
            created_by=self._actor.name, expires_at=None if lasting is None else now + lasting,
        )  # fmt: skip
        keys.add(conn, row)
        self._audit(conn, act, row, {"scopes": list(scopes), "expires_at": _text(row.expires_at), **details})
        return NewKey(row=row, text=text)

    def _live(self, conn: Connection, caller: str) -> Sequence[KeyRow]:
        now = self._clock()
        return [key for key in keys.list_keys(conn, caller) if key.live(now)]

    def _require(self, act: str, target: str) -> None:
        require(self._state, self._actor, Right.ADMIN, act, target[:63], self._clock)

    def _audit(self, conn: Connection, act: str, row: KeyRow, details: Mapping[str, object]) -> None:
        facts = {"caller": row.caller, **details}
        audit.append(conn, actor=self._actor.name, act=act, target=f"key {row.id}", details=facts, at=self._clock())


def checked_scope(scope: str) -> str:
    """`scope` itself, if a key may have it. Raises BadScope, or InvalidName for a model that cannot be.

    >>> checked_scope("predict:churn")
    'predict:churn'
    """
    if scope in SCOPES or scope == EVERY_MODEL:
        return scope
    if not scope.startswith(PREDICT):
        raise BadScope(scope, [EVERY_MODEL, f"{PREDICT}NAME", *SCOPES])
    return PREDICT + checked_name(scope.removeprefix(PREDICT))


def _refuse_third(caller: str, live: Sequence[KeyRow]) -> None:
    if len(live) >= LIVE_PER_CALLER:
        raise TooManyKeys(caller, [key.id for key in live])


def _lifetime(key: KeyRow) -> timedelta | None:
    return None if key.expires_at is None else key.expires_at - key.created_at


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()

"""Who acts, and what they may do. The right is asked for inside the act, never on the page."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from pilothouse.data.errors import NotAllowed
from pilothouse.data.state import audit
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock


class Right(StrEnum):
    """What a person may do. An operator is an analyst, an analyst a viewer; approver and admin stand apart."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A person or a program that acts. `roles` are looked up for each act, never taken from a cookie."""

    name: str
    roles: frozenset[Right]


def local_operator() -> Actor:
    """Who has the workspace's files has every right: the one operator of a workspace on this machine."""
    return Actor(name=f"{_user()} (local)", roles=frozenset(Right))


def _user() -> str:
    """The login name; a container often runs under a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def require(state: State, actor: Actor, right: Right, act: str, target: str, clock: Clock) -> None:
    """Raises NotAllowed, after writing the denial to the audit trail, unless `actor` has `right`."""
    if right in actor.roles:
        return
    with state.write() as conn:
        _record_denial(conn, actor, right, act, target, clock)
    raise NotAllowed(actor.name, f"{act} {target}", right)


def _record_denial(conn: Connection, actor: Actor, right: Right, act: str, target: str, clock: Clock) -> None:
    details = {"act": act, "needs": str(right)}
    audit.append(conn, actor=actor.name, act="denied", target=target, details=details, at=clock())

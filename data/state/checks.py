"""What became of live rows that the original of a version has scored again, beside the ONNX form that answered them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select

from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row

_t = tables.live_checks


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """All checks of one version together.

    rows : scored twice. beyond : of them, further apart than the version's tolerance, or of another class.
    largest : largest difference, in the units of the version's conversion. checked_to : rows logged before it have had
    their chance to be checked. at : when the last check was made.
    """

    model: str
    version: int
    rows: int
    beyond: int
    largest: float
    checked_to: datetime
    at: datetime


def live_check(conn: Connection, model: str, version: int) -> LiveCheck | None:
    """None for a version of which no row has been checked."""
    row = conn.execute(select(_t).where(_t.c.model == model, _t.c.version == version)).one_or_none()
    return None if row is None else msgspec.convert(plain_row(row), LiveCheck)


def keep(conn: Connection, check: LiveCheck) -> None:
    """Write `check` in the place of the one before it."""
    conn.execute(delete(_t).where(_t.c.model == check.model, _t.c.version == check.version))
    conn.execute(insert(_t).values(**msgspec.to_builtins(check, builtin_types=(datetime,))))

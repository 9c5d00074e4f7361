"""One sequence of numbers for all that changes who answers: deployments, canaries and shadows, over all models.

A model's epoch is the newest of its own numbers. A decision rests on the epoch that the person saw.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from pilothouse.data.errors import StaleDecision
from pilothouse.data.state import tables

_d, _t = tables.deployments, tables.trials


def newest_seq(conn: Connection) -> int:
    """The newest number of all models; 0 before the first."""
    return max(conn.execute(select(func.max(t.c.seq))).scalar() or 0 for t in (_d, _t))


def epoch_of(conn: Connection, model: str) -> int:
    """The newest number of `model`; 0 before its first deployment."""
    return max(conn.execute(select(func.max(t.c.seq)).where(t.c.model == model)).scalar() or 0 for t in (_d, _t))


def check_epoch(conn: Connection, model: str, expected: int, champion: int | None) -> None:
    """Raises StaleDecision unless `model` still stands at the epoch `expected`. champion : its present one."""
    epoch = epoch_of(conn, model)
    if epoch != expected:
        raise StaleDecision(model, expected, epoch, champion)

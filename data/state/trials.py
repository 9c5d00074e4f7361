"""Versions on trial beside the champion: a canary answers a share of the requests, a shadow answers nobody. Append-only.

What runs now is said by the newest row of each kind and version, unless that one ends it.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Select, func, insert, select

from pilothouse.data.state import audit, epochs, tables
from pilothouse.data.state.store import plain_row

_t = tables.trials
_SALT_BYTES = 8


class TrialKind(StrEnum):
    CANARY = "canary"
    SHADOW = "shadow"


class TrialAct(StrEnum):
    START = "start"
    SHARE = "share"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One act on a canary or a shadow. `seq` counts together with deployments: see `epochs`.

    basis_points : the canary's share in hundredths of a percent; 10,000 for a shadow, which is asked about every row.
    salt : decides, with the share, who belongs to the canary; the same as long as this canary lives.
    began_at : when this trial was put in force. clicked_at : when the person asked; at : when it was in force.
    """

    seq: int
    model: str
    version: int
    kind: TrialKind
    act: TrialAct
    basis_points: int
    salt: str
    began_at: datetime
    actor: str
    reason: str
    clicked_at: datetime
    at: datetime
    audit_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for; the rest of its row follows from what runs. basis_points : None to keep the share."""

    model: str
    version: int
    kind: TrialKind
    act: TrialAct
    actor: str
    reason: str
    clicked_at: datetime
    basis_points: int | None = None


def running(conn: Connection, model: str) -> list[Trial]:
    """The canary, if there is one, and the shadows of `model`; oldest act first."""
    return all_running(conn, model).get(model, [])


def all_running(conn: Connection, model: str | None = None) -> dict[str, list[Trial]]:
    """What runs of every model, or of one, by model; models without a trial are left out."""
    newest = select(func.max(_t.c.seq)).group_by(_t.c.model, _t.c.kind, _t.c.version)
    query = select(_t).where(_t.c.seq.in_(newest), _t.c.act != TrialAct.END).order_by(_t.c.seq)
    found: dict[str, list[Trial]] = defaultdict(list)
    for trial in _trials(conn, query if model is None else query.where(_t.c.model == model)):
        found[trial.model].append(trial)
    return dict(found)


def history(conn: Connection, model: str) -> list[Trial]:
    """Every act, newest first."""
    return _trials(conn, select(_t).where(_t.c.model == model).order_by(_t.c.seq.desc()))


def append(conn: Connection, asked: Asked, *, champion: int | None, expected_epoch: int, at: datetime) -> Trial:
    """Write the act with its audit row, if the model still stands at `expected_epoch`.

    champion : its present one. Raises StaleDecision when somebody else was faster; nothing is written then.
    """
    epochs.check_epoch(conn, asked.model, expected_epoch, champion)
    return _write(conn, asked, at)


def end_overtaken(conn: Connection, model: str, version: int, *, act: str, actor: str, at: datetime) -> list[Trial]:
    """End what cannot go on once `version` is the champion: the canary, whichever it is, and a shadow of `version`.

    act : the deployment's, which is the reason. To be called in its transaction.
    """
    why = f"version {version} was {'rolled back to' if act == 'rollback' else 'promoted'}"
    over = [t for t in running(conn, model) if t.kind is TrialKind.CANARY or t.version == version]
    ended = (
        Asked(
            model=model, version=t.version, kind=t.kind, act=TrialAct.END, actor=actor, reason=why, clicked_at=at
        )
        for t in over
    )  # fmt: skip
    return [_write(conn, asked, at) for asked in ended]


def _write(conn: Connection, asked: Asked, at: datetime) -> Trial:
    before = next((t for t in running(conn, asked.model) if (t.kind, t.version) == (asked.kind, asked.version)), None)
    seq = epochs.newest_seq(conn) + 1
    share = asked.basis_points if asked.basis_points is not None else before.basis_points if before else 10_000
    details = {"version": asked.version, "reason": asked.reason, "epoch": seq}
    if asked.kind is TrialKind.CANARY and asked.act is not TrialAct.END:
        details["share"] = share_text(share)
    act = f"{asked.kind} {asked.act}"
    written = audit.append(conn, actor=asked.actor, act=act, target=asked.model, details=details, at=at)
    row = Trial(
        seq=seq, model=asked.model, version=asked.version, kind=asked.kind, act=asked.act, basis_points=share,
        salt=before.salt if before else secrets.token_hex(_SALT_BYTES), began_at=before.began_at if before else at,
        actor=asked.actor, reason=asked.reason, clicked_at=asked.clicked_at, at=at, audit_seq=written.seq,
    )  # fmt: skip
    conn.execute(insert(_t).values({column.name: getattr(row, column.name) for column in _t.c}))
    return row


def share_text(basis_points: int) -> str:
    """A share as people write it.

    >>> share_text(1), share_text(100), share_text(1250)
    ('0.01%', '1%', '12.5%')
    """
    return f"{basis_points / 100:.2f}".rstrip("0").rstrip(".") + "%"


def _trials(conn: Connection, query: Select[tuple[object, ...]]) -> list[Trial]:
    found = (Trial(**plain_row(row)) for row in conn.execute(query))
    return [replace(t, kind=TrialKind(t.kind), act=TrialAct(t.act)) for t in found]

"""What a model's log keeps: agreed, changed and carried out, each under its right and with its audit row."""

from __future__ import annotations

import math
import socket
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadPolicy
from pilothouse.data.log.retention import RetentionReport, keep
from pilothouse.data.log.rewrite import ModelLog
from pilothouse.data.log.scrub import DamagedPart, drop_damaged
from pilothouse.data.policies import LabelPolicy, LogPolicy
from pilothouse.data.state import audit, catalog
from pilothouse.ops.actors import Right, require
from pilothouse.ops.holdings import borrowed

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


def checked_policy(policy: LogPolicy, labels: LabelPolicy) -> LogPolicy:
    """`policy`, if it can be kept. Raises BadPolicy.

    Rows stay whole until their labels are due: a label that finds no row, or no key, could not be counted.
    """
    least = math.ceil(labels.horizon / timedelta(days=1)) + 1
    for name in ("keep_days", "keep_private_days", "full_days"):
        days = getattr(policy, name)
        if days is not None and days < least:
            raise BadPolicy(name, days, f"at least {least} days, since labels may come for that long")
    if not 0 < policy.sample_share <= 1:
        raise BadPolicy("sample_share", policy.sample_share, "a share above 0 and up to 1")
    if policy.sample_share < 1 and policy.full_days is None:
        raise BadPolicy("full_days", None, "a number of days, when rows older than that are thinned to a sample")
    return policy


def set_log_policy(handle: ModelHandle, policy: LogPolicy) -> LogPolicy:
    """Agree on another policy; the worker carries it out daily. Raises BadPolicy, NotAllowed."""
    house = handle.house
    require(house.state, house.actor, Right.ADMIN, "change the log policy of", handle.name, house.clock)
    checked_policy(policy, handle.label_policy)
    with house.state.write() as conn:
        before = catalog.get_model(conn, handle.name).log_policy
        catalog.set_log_policy(conn, handle.name, policy)
        details = {"from": asdict(before), "to": asdict(policy)}
        audit.append(
            conn, actor=house.actor.name, act="log policy", target=handle.name, details=details, at=house.clock()
        )
    return policy


def preview(handle: ModelHandle, policy: LogPolicy) -> RetentionReport:
    """What `policy` would let go now; nothing is changed. Raises BadPolicy, DamagedFile."""
    return keep(model_log(handle), checked_policy(policy, handle.label_policy), write=False)


def keep_now(handle: ModelHandle) -> RetentionReport:
    """Carry out the model's policy at once. Raises NotAllowed, StoreBusy, DamagedFile."""
    house = handle.house
    require(house.state, house.actor, Right.ADMIN, "apply the log policy of", handle.name, house.clock)
    with borrowed(house.state, house.clock, f"fold {handle.name}"):
        done = keep(model_log(handle), handle.row.log_policy)
    if not done.nothing:
        _audit(handle, "retention", {name: value for name, value in asdict(done).items() if name != "days"})
    return done


def drop(handle: ModelHandle, file: str, reason: str) -> DamagedPart:
    """Give up a damaged file of the log, its rows counted as lost. Raises NothingDamaged, NotAllowed, StoreBusy."""
    house = handle.house
    require(house.state, house.actor, Right.ADMIN, "drop a damaged file of", handle.name, house.clock)
    names = (f"fold {handle.name}", f"seal {socket.gethostname()}")
    with borrowed(house.state, house.clock, *names):
        lost = drop_damaged(house.workspace, handle.name, handle.signature, file)
    _audit(handle, "quarantine drop", {"file": lost.file, "table": lost.table, "rows": lost.rows, "reason": reason})
    return lost


def model_log(handle: ModelHandle) -> ModelLog:
    house = handle.house
    return ModelLog(
        workspace=house.workspace, model=handle.row, profile=handle.profile, settings=house.settings, clock=house.clock
    )


def _audit(handle: ModelHandle, act: str, details: dict[str, object]) -> None:
    house = handle.house
    with house.state.write() as conn:
        audit.append(conn, actor=house.actor.name, act=act, target=handle.name, details=details, at=house.clock())

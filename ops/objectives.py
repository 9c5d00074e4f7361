"""How fast a model is to answer: agreed on here, and how it is kept, from the log."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadPolicy
from pilothouse.data.limits import Limit
from pilothouse.data.measures.objective import Kept
from pilothouse.data.policies import Objective
from pilothouse.data.state import audit, catalog
from pilothouse.data.windows import Window
from pilothouse.ops.actors import Right, require

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

HOUR, LATELY = timedelta(hours=1), timedelta(days=7)
USUAL_SHARE = "99%"
_WITHIN = re.compile(r"(\d{1,5}(?:\.\d{1,3})?) ?(ms|s)")
_SHARE = re.compile(r"(\d{1,2}(?:\.\d{1,3})?) ?%")
_LONGEST_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An objective, and how it was kept: over a span of event time, and over the hour that has just ended."""

    objective: Objective
    window: Kept
    hour: Kept


def parse_objective(within: str, share: str) -> Objective:
    """The objective that two texts name, such as 25ms and 99%. Raises BadPolicy.

    >>> parse_objective("0.5s", "99.9%")
    Objective(within_ms=500.0, share=0.999)
    """
    time, part = _WITHIN.fullmatch(within.strip()), _SHARE.fullmatch(share.strip())
    within_ms = float(time[1]) * (1000 if time[2] == "s" else 1) if time else 0.0
    if not 0 < within_ms <= _LONGEST_MS:
        raise BadPolicy("objective", within[:40], f"above 0 and up to {_LONGEST_MS // 1000} s, such as 25ms or 0.5s")
    parted = float(Decimal(part[1]) / 100) if part else 0.0
    if parted == 0:
        raise BadPolicy("share", share[:40], "above 0% and below 100%, such as 99% or 99.9%")
    return Objective(within_ms=within_ms, share=parted)


def set_objective(handle: ModelHandle, objective: Objective | None) -> None:
    """Agree on another objective, or with None on none. Raises NotAllowed."""
    house = handle.house
    require(house.state, house.actor, Right.OPERATOR, "set the latency objective of", handle.name, house.clock)
    with house.state.write() as conn:
        before = catalog.get_model(conn, handle.name).objective
        catalog.set_objective(conn, handle.name, objective)
        details = {"from": asdict(before) if before else None, "to": asdict(objective) if objective else None}
        audit.append(
            conn, actor=house.actor.name, act="latency objective", target=handle.name, details=details, at=house.clock()
        )


def standing(handle: ModelHandle, window: Window) -> Standing | None:
    """How the model's objective was kept; None where it has none. Raises QueryTooSlow."""
    objective = handle.row.objective
    if objective is None:
        return None
    now = handle.house.clock()
    with Limit(handle.house.settings.query_limit_s):
        hour = _kept(handle, objective, Window(now - HOUR, now), logged=True)
        return Standing(objective=objective, window=_kept(handle, objective, window), hour=hour)


def lately(handle: ModelHandle) -> Kept | None:
    """How the objective was kept in the last hour, or in the last seven days where an hour says too little.

    None where the model has none. Raises QueryTooSlow.
    """
    objective = handle.row.objective
    if objective is None:
        return None
    now = handle.house.clock()
    with Limit(handle.house.settings.query_limit_s):
        hour = _kept(handle, objective, Window(now - HOUR, now), logged=True)
        return _kept(handle, objective, Window(now - LATELY, now), logged=True) if hour.few else hour


def _kept(handle: ModelHandle, objective: Objective, window: Window, *, logged: bool = False) -> Kept:
    within_us = round(objective.within_ms * 1000)
    found = handle.prediction_log.in_time(window, within_us, logged=logged)
    return Kept(objective=objective, window=window, **found)

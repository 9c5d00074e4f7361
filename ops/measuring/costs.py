"""What each kind of answer costs: agreed on for a model, and kept with it."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadPolicy
from pilothouse.data.policies import Costs
from pilothouse.data.state import audit, catalog
from pilothouse.ops.actors import Right, require
from pilothouse.ops.measuring.performance import only_binary

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_CURRENCY = re.compile(r"[^\W\d_]{1,12}|[€$£¥]")


def set_costs(handle: ModelHandle, costs: Costs | None) -> None:
    """Agree on other costs, or with None on none; audited. Raises BadPolicy, NotAllowed."""
    house = handle.house
    require(house.state, house.actor, Right.OPERATOR, "set the costs of", handle.name, house.clock)
    if costs is not None:
        only_binary(handle)
        _check(costs)
    with house.state.write() as conn:
        before = catalog.get_model(conn, handle.name).costs
        catalog.set_costs(conn, handle.name, costs)
        details = {"from": asdict(before) if before else None, "to": asdict(costs) if costs else None}
        audit.append(conn, actor=house.actor.name, act="costs", target=handle.name, details=details, at=house.clock())


def _check(costs: Costs) -> None:
    for name in ("tp", "fp", "fn", "tn"):
        if not math.isfinite(getattr(costs, name)):
            raise BadPolicy(name, getattr(costs, name), "a number; a gain is a negative one")
    if not _CURRENCY.fullmatch(costs.currency):
        raise BadPolicy("currency", costs.currency[:40], "up to twelve letters, or a sign: EUR, minutes, €")
    if costs.fp <= costs.tn and costs.fn <= costs.tp:
        raise BadPolicy("costs", asdict(costs), "a mistake that costs more than the right answer in its place")

"""The prediction log under every fault there is a harness for."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults import damage, kills, orders, readers, service
from tests.faults.campaign import Outcome
from tests.faults.powercut import cuts, failing

CAMPAIGNS: dict[str, Callable[[str], list[Outcome]]] = {
    "kills": kills.run,
    "power-cuts": cuts.run,
    "failing-calls": failing.run,
    "orders": orders.run,
    "damage": damage.run,
    "readers": readers.run,
    "service": service.run,
}


def run(size: str) -> list[Outcome]:
    return [outcome for campaign in CAMPAIGNS.values() for outcome in campaign(size)]

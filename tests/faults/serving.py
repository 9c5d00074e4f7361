"""The service while champions are swapped, and while its workers are killed."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults import swaps, workers
from tests.faults.campaign import Outcome

CAMPAIGNS: dict[str, Callable[[str], list[Outcome]]] = {"swaps": swaps.run, "workers": workers.run}


def run(size: str) -> list[Outcome]:
    return [outcome for campaign in CAMPAIGNS.values() for outcome in campaign(size)]

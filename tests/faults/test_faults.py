"""A short run of the fault campaigns; `make faults` runs them longer."""

from __future__ import annotations

import pytest

from tests.faults import hostile, log, loop

TIMES = 2


@pytest.mark.faults
@pytest.mark.parametrize("name", loop.CAUSES)
def test_nothing_acknowledged_is_lost_or_doubled(name: str) -> None:
    outcome = loop.campaign(name, loop.CAUSES[name], TIMES)
    print(outcome)
    assert outcome.tried == TIMES
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, 0)


@pytest.mark.faults
@pytest.mark.parametrize("name", log.CAMPAIGNS)
def test_the_log_loses_doubles_and_miscounts_nothing(name: str) -> None:
    found = log.CAMPAIGNS[name]("small")
    print(*found, sep="\n")
    assert [outcome for outcome in found if not outcome.met] == []


@pytest.mark.faults
def test_hostile_requests_find_nothing() -> None:
    found = hostile.run("small")
    print(*found, sep="\n")
    assert [outcome for outcome in found if not outcome.met] == []
    assert sum(outcome.tried for outcome in found) > 300

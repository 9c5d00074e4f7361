"""Who belongs to a canary."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from pilothouse.data.errors import BadShare
from pilothouse.ops.releases.assignment import Assignment
from pilothouse.ops.releases.trials import basis_points

IDS = [f"customer-{number}" for number in range(100_000)]


def held(salt: str, points: int) -> set[str]:
    assignment = Assignment(salt=salt, basis_points=points)
    return {name for name in IDS if assignment.holds(name)}


@pytest.mark.parametrize("points", [1, 100, 5_000])
def test_the_share_is_that_of_fair_coins(points: int) -> None:
    share = points / 10_000
    five_sigma = 5 * math.sqrt(len(IDS) * share * (1 - share))
    assert abs(len(held("s1", points)) - len(IDS) * share) < five_sigma


def test_a_raised_share_keeps_everybody_and_another_salt_chooses_others() -> None:
    small, large = held("s1", 100), held("s1", 1_000)
    assert small < large
    others = held("s2", 1_000)
    # Chosen independently: a tenth of a tenth is in both.
    assert abs(len(large & others) - 1_000) < 160


def test_another_process_decides_alike() -> None:
    code = (
        "from pilothouse.ops.releases.assignment import Assignment\n"
        "a = Assignment(salt='s1', basis_points=1000)\n"
        "print(','.join(str(n) for n in range(2000) if a.holds(f'customer-{n}')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = held("s1", 1_000)
    assert said == ",".join(str(n) for n in range(2000) if f"customer-{n}" in here)


def test_a_share_is_given_in_steps_of_a_hundredth_of_a_percent() -> None:
    assert [basis_points(text) for text in ("1%", "0.01 %", "12.50%", "50%")] == [100, 1, 1250, 5000]
    for wrong in ("0%", "0.001%", "51%", "1", "-1%", "", "1%%", "1e1%"):
        with pytest.raises(BadShare, match=r"Allowed: 0\.01% to 50%, in steps of 0\.01%"):
            basis_points(wrong)

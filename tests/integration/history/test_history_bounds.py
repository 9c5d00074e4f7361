"""Drift from roll-ups against SciPy on the rows, over the frozen laws and shifts: within what docs promise."""

from __future__ import annotations

from pathlib import Path

from tests.support.bounds import cases
from tests.support.distributions import LAWS, SHIFTS


def test_every_law_after_every_shift_is_within_its_bound(tmp_path: Path) -> None:
    found = cases(tmp_path / "house")
    assert len(found) == 4 * len(LAWS) * len(SHIFTS) == 220
    assert [case for case in found if not case.kept] == []

"""What was planted is found, on a few seeds; `make planted SIZE=full` counts many."""

from __future__ import annotations

import pytest

from tests.planted.cases import CASES


@pytest.mark.parametrize("case", CASES)
def test_what_was_planted_is_found(case: str) -> None:
    found = CASES[case]("small")
    assert found
    assert [v for v in found if v.met is False] == []

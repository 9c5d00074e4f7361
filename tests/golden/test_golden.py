"""Every measure agrees with the independent implementations of it."""

from __future__ import annotations

import pytest

from tests.golden.families import FAMILIES


# What Evidently imports calls much that others have deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_agrees_with_others(family: str) -> None:
    found = FAMILIES[family]()
    assert found
    assert [a for a in found if not a.met] == []

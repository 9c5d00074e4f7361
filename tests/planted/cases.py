"""The planted cases, each with the function that makes its worlds and judges them."""

from __future__ import annotations

from collections.abc import Callable

from tests.planted.verdict import Verdict

CASES: dict[str, Callable[[str], list[Verdict]]] = {}
"""By name; the argument is the size: `small` for a few seeds, `full` for those that the figures rest on."""

"""The families of measures, each with the function that compares it with others."""

from __future__ import annotations

from collections.abc import Callable

from tests.golden.agreement import Agreement

FAMILIES: dict[str, Callable[[], list[Agreement]]] = {}

"""What the pipeline asks of an engine: steps in a durable order, nothing else.

Progress and results live in our own state, so no reader needs to know which engine runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Output = dict[str, Any]
"""What a step gives: JSON, with data by reference (SHA-256 in the store)."""

CallStep = Callable[[str, str, Mapping[str, Output]], Output | None]
"""(run id, step, outputs of the steps before) -> the step's output, or None when the run is over."""


class Engine(Protocol):
    """Runs the steps of a run in order, each at least once, and goes on after a crash of its process."""

    def start(self, run_id: str) -> None:
        """Begin the run, in the background. Nothing happens when it has begun already."""

    def take_over(self, run_id: str) -> None:
        """Go on with a run whose worker is gone for good."""

    def is_over(self, run_id: str) -> bool:
        """Whether the engine will do nothing more for a run that it had begun."""

    def close(self) -> None:
        """Stop without ending what runs: the next process goes on with it."""

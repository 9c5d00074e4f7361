"""How a latency objective was kept."""

from __future__ import annotations

from dataclasses import dataclass

from pilothouse.data.policies import Objective
from pilothouse.data.windows import Window

LEAST_REQUESTS = 100
"""Requests below which nothing is said: one slow answer would decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How an objective was kept over one span.

    requests : those that were answered, or on which the model failed. in_time : those of them that were answered within
    the objective. What cannot be said for want of requests is None.
    """

    objective: Objective
    window: Window
    requests: int
    in_time: int

    @property
    def few(self) -> bool:
        """Whether there are too few requests to say anything."""
        return self.requests < LEAST_REQUESTS

    @property
    def share(self) -> float | None:
        return None if self.few else self.in_time / self.requests

    @property
    def missed(self) -> bool:
        return self.share is not None and self.share < self.objective.share

    @property
    def budget_left(self) -> float | None:
        """Of the requests that may be late, the share that has not been: 1 where none was, below 0 where more were.

        >>> from datetime import UTC, datetime
        >>> day = Window(datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))
        >>> kept = Kept(objective=Objective(within_ms=25, share=0.75), window=day, requests=1000, in_time=875)
        >>> kept.budget_left
        0.5
        """
        return None if self.share is None else 1 - (1 - self.share) / (1 - self.objective.share)

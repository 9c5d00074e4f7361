"""How late the event loop comes to what is due: what holds it up holds up every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

EVERY_S = 0.25


class LoopLag:
    """Looks four times a second. lagged : told how many seconds late each look came."""

    def __init__(self, lagged: Callable[[float], None]) -> None:
        self._lagged = lagged
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on at the loop that is running."""
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._look, perf_counter() + EVERY_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, due: float) -> None:
        self._lagged(max(0.0, perf_counter() - due))
        self.start()

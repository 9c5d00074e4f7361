"""The places for requests in hand, and the short queue before them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from pilothouse.data.settings import Settings
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.exchange import HttpRefusal

SHARE_TAKEN, QUEUE_FULL, WAITED = "share_taken", "queue_full", "waited"
"""Why a request is sent away."""


class Counts(Protocol):
    """What is told of the places as they are taken, waited for and refused."""

    def holds(self, requests: int) -> None: ...

    def waits(self, requests: int) -> None: ...

    def shed(self, reason: str) -> None: ...


class Places:
    """Who is served, who waits, and who is sent away. Lives on one event loop.

    Whoever finds a free place takes it. While there is none, a caller that holds her share of the places already is
    sent away (429) and others wait in order, for a moment; where too many wait, or none comes free in time, 503.

    counts : told how many requests are in hand, how many wait, and of each that is sent away.
    """

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self._most, self._most_waiting = settings.max_in_flight, settings.max_waiting
        self._wait_s, self._counts, self._holds = settings.max_wait_s, counts, counts.holds
        self._share = max(1, int(settings.caller_share * settings.max_in_flight))
        self._in_hand = 0
        self._held: dict[str, int] = {}
        self._waiting: deque[asyncio.Future[bool]] = deque()

    async def take(self, caller: str | None) -> None:
        """A place, for the request of `caller`; None where callers have no names. Raises HttpRefusal (429 or 503)."""
        if self._in_hand < self._most:
            self._in_hand += 1
        else:
            await self._wait_turn(caller)
        if caller is not None:
            self._held[caller] = self._held.get(caller, 0) + 1
        self._holds(self._in_hand)

    def give_back(self, caller: str | None) -> None:
        if caller is not None:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
        self._hand_on()
        self._holds(self._in_hand)

    async def _wait_turn(self, caller: str | None) -> None:
        if caller is not None and self._held.get(caller, 0) >= self._share:
            self._counts.shed(SHARE_TAKEN)
            raise _refused(429, "too-many-requests", f"{caller} has {self._held[caller]} requests in hand already.")
        if len(self._waiting) >= self._most_waiting:
            self._counts.shed(QUEUE_FULL)
            raise _refused(503, "busy", f"{self._most} requests are in hand already, and {self._most_waiting} wait.")
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        self._counts.waits(len(self._waiting))
        timer = loop.call_later(self._wait_s, self._give_up, turn)
        try:
            got = await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        finally:
            timer.cancel()
            self._counts.waits(len(self._waiting))
        if not got:
            self._counts.shed(WAITED)
            raise _refused(503, "busy", f"{self._most} requests are in hand, and none was done in {self._wait_s:g} s.")

    def _leave(self, turn: asyncio.Future[bool]) -> None:
        """Whoever waited is gone: a place that was just given to her goes to the next."""
        if turn.cancelled():
            self._waiting.remove(turn)
        elif turn.result():
            self._hand_on()

    def _hand_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(True)
        else:
            self._in_hand -= 1

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_result(False)


def _refused(status: int, kind: str, reason: str) -> HttpRefusal:
    return HttpRefusal(Problem(status=status, kind=kind, detail=f"{reason} Try again in a second."))

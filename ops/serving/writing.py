"""From the event loop to the log: what arrives in one pass of the loop is handed over, and acknowledged, together."""

from __future__ import annotations

import asyncio

from pilothouse.data.errors import LogUnavailable, Unavailable
from pilothouse.data.log.spool import Entry, Spool

_Waiting = tuple[Entry, "asyncio.Future[None]"]
_MOST_PASSES = 8
"""Of the event loop, that an entry waits for others: some hundred microseconds, and none where nothing else arrives."""


class Writing:
    """Writes entries into `spool` for the requests of one event loop. A wake-up of its thread for each would cost more
    than the writing."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[_Waiting] = []

    async def keep(self, entry: Entry) -> None:
        """Returns once `entry` is committed. Raises LogUnavailable, LogBusy or DiskFull when it is not.

        A request that is given up meanwhile does not take its entry back.
        """
        loop = asyncio.get_running_loop()
        kept = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._gather, loop, 0, 0)
        self._waiting.append((entry, kept))
        await kept

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int, passes: int) -> None:
        """Hand over what waits, once a pass of the loop has brought nothing new: a commit costs more than ten rows."""
        if len(self._waiting) > before and passes < _MOST_PASSES:
            loop.call_soon(self._gather, loop, len(self._waiting), passes + 1)
        else:
            self._hand_over(loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        taken: list[asyncio.Future[None]] = []

        def settle_taken(error: LogUnavailable | None) -> None:
            for kept in taken:
                _settle(kept, error)

        def settled(error: LogUnavailable | None) -> None:
            loop.call_soon_threadsafe(settle_taken, error)

        refusals = self._spool.submit_all([entry for entry, _ in waiting], settled)
        for (_, kept), refusal in zip(waiting, refusals, strict=True):
            if refusal is None:
                taken.append(kept)
            else:
                _settle(kept, refusal)


def _settle(kept: asyncio.Future[None], error: Unavailable | None) -> None:
    """Tell whoever waits for `kept`, unless the request was given up."""
    if kept.done():
        return
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)

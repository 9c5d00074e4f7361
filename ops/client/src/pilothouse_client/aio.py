"""The client for code that runs on an event loop."""

from __future__ import annotations

import asyncio
from types import TracebackType

from pilothouse_client.face import Face


class AsyncClient(Face):
    """A `Client` whose `flush` and `close` are awaited.

    `log` and `label` are plain calls here too: they wait for nothing. Sending stays in a thread of its own, so that a
    slow disk or a slow service never holds up the loop.
    """

    async def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what waits; whether all of it was settled in time."""
        return await asyncio.to_thread(self._outbox.flush, timeout_s)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, for at most `timeout_s` seconds, and take nothing more. Done by itself at exit, in 2 s."""
        await asyncio.to_thread(self._end, timeout_s)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

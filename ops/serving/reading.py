"""Reading bodies: each within a size and a time, all together within a bound of memory.

A body is read before its request takes a place, so that slow senders hold up nobody. Where too many are on their way,
the one that began first is given up: those of good clients are through in no time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import Receive, Scope

from pilothouse.data.settings import Settings
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.exchange import (
    CLOSE,
    WHOLE_BODY,
    ClientGone,
    HttpRefusal,
    announced,
    too_large,
)

MOST_OPEN = 1_000
"""Bodies on their way at once."""


@dataclass(slots=True, eq=False)
class _Body:
    """A body on its way. deadline : the timeout around its reading. size : what has come, in bytes."""

    deadline: asyncio.Timeout
    size: int = 0


class Reader:
    """Reads the bodies of one worker, on its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes, self._timeout_s = settings.max_body_bytes, settings.body_timeout_s
        self._memory = max(settings.body_memory_bytes, settings.max_body_bytes)
        self._held = 0
        # In the order in which they began.
        self._open: dict[_Body, None] = {}

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises HttpRefusal: 413 when it is too large, 408 when it is too slow; or ClientGone."""
        if announced(scope) > self._max_bytes:
            raise too_large(self._max_bytes)
        whole: bytes | None = scope.get(WHOLE_BODY)
        if whole is not None and len(whole) <= self._max_bytes:
            return whole
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                return await self._parts(receive, _Body(deadline))
        except TimeoutError:
            limit = f"{self._timeout_s:g} s, or less where too many others are arriving"
            detail = f"The body did not arrive in time ({limit}). Send it in one go, or split it."
            raise HttpRefusal(Problem(status=408, kind="request-timeout", detail=detail), CLOSE) from None

    async def _parts(self, receive: Receive, body: _Body) -> bytes:
        parts: list[bytes] = []
        self._open[body] = None
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return self._whole(parts, body)
                self._take(body, len(parts[-1]))
        finally:
            self._forget(body)

    def _whole(self, parts: list[bytes], body: _Body) -> bytes:
        if body.size + len(parts[-1]) > self._max_bytes:
            raise too_large(self._max_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, body: _Body, size: int) -> None:
        body.size += size
        if body.size > self._max_bytes:
            raise too_large(self._max_bytes)
        if body in self._open:
            self._held += size
        while self._held > self._memory or len(self._open) > MOST_OPEN:
            self._give_up(next(iter(self._open)))

    def _give_up(self, oldest: _Body) -> None:
        self._forget(oldest)
        oldest.deadline.reschedule(asyncio.get_running_loop().time())

    def _forget(self, body: _Body) -> None:
        if body in self._open:
            del self._open[body]
            self._held -= body.size

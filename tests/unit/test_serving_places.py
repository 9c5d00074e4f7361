"""Places for requests in hand and the queue before them; bodies that arrive slowly, and too many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import pytest

from pilothouse.data.settings import Settings
from pilothouse.ops.serving.exchange import HttpRefusal
from pilothouse.ops.serving.places import Places
from pilothouse.ops.serving.reading import Reader


class Counted:
    """What was told of the places, in order."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.waited: list[int] = []
        self.reasons: list[str] = []
        self.holds, self.waits, self.shed = self.held.append, self.waited.append, self.reasons.append


def places(**settings: Any) -> tuple[Places, Counted]:
    counted = Counted()
    return Places(Settings(**settings), counted), counted


def run(story: Callable[[], Awaitable[Any]]) -> Any:
    async def told() -> Any:
        return await story()

    return asyncio.run(told())


def test_whoever_waits_gets_the_next_free_place_in_order() -> None:
    async def story() -> list[str]:
        found, counted = places(max_in_flight=1, max_waiting=2, max_wait_s=5)
        order: list[str] = []

        async def ask(name: str) -> None:
            await found.take(None)
            order.append(name)
            found.give_back(None)

        await found.take(None)
        waiting = [asyncio.create_task(ask(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        with pytest.raises(HttpRefusal) as refused:
            await found.take(None)
        assert (refused.value.problem.status, refused.value.problem.kind) == (503, "busy")
        assert "1 requests are in hand already, and 2 wait" in refused.value.problem.detail
        found.give_back(None)
        await asyncio.gather(*waiting)
        assert counted.held[-1] == 0
        assert (max(counted.waited), counted.waited[-1]) == (2, 0)
        assert counted.reasons == ["queue_full"]
        return order

    assert run(story) == ["first", "second"]


def test_a_wait_ends_in_time() -> None:
    async def story() -> float:
        found, counted = places(max_in_flight=1, max_wait_s=0.02)
        await found.take(None)
        began = perf_counter()
        with pytest.raises(HttpRefusal, match=r"none was done in 0\.02 s"):
            await found.take(None)
        assert (counted.waited, counted.reasons) == ([1, 0], ["waited"])
        found.give_back(None)
        await found.take(None)
        return perf_counter() - began

    assert 0.015 < run(story) < 0.5


def test_a_caller_with_her_share_makes_way_for_others() -> None:
    async def story() -> None:
        found, counted = places(max_in_flight=4, caller_share=0.5, max_wait_s=5)
        for _ in range(4):
            await found.take("greedy")
        with pytest.raises(HttpRefusal) as refused:
            await found.take("greedy")
        assert (refused.value.problem.status, refused.value.problem.kind) == (429, "too-many-requests")
        assert counted.reasons == ["share_taken"]
        modest = asyncio.create_task(found.take("modest"))
        await asyncio.sleep(0)
        assert not modest.done()
        found.give_back("greedy")
        await modest

    run(story)


def test_a_place_given_to_a_client_that_left_goes_to_the_next() -> None:
    async def story() -> None:
        found, counted = places(max_in_flight=1, max_waiting=3, max_wait_s=5)
        await found.take(None)
        tasks = [asyncio.create_task(found.take(None)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        found.give_back(None)
        tasks[1].cancel()
        await asyncio.wait_for(tasks[2], 1)
        found.give_back(None)
        assert (counted.held[-1], counted.waited[-1]) == (0, 0)

    run(story)


class Sender:
    """A client that sends its body in parts, each when it is told to."""

    def __init__(self, *parts: bytes, hurry: bool = False) -> None:
        self._parts, self._hurry = list(parts), hurry
        self.go = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if len(self._parts) == 1 and not self._hurry:
            await self.go.wait()
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}


def test_beyond_the_memory_the_oldest_body_is_given_up() -> None:
    async def story() -> None:
        reader = Reader(Settings(max_body_bytes=100, body_memory_bytes=250, body_timeout_s=60))
        slow = [Sender(b"x" * 90, b"y") for _ in range(3)]
        scope = {"headers": []}
        first, *others = [asyncio.create_task(reader.read(scope, s.receive)) for s in slow]
        with pytest.raises(HttpRefusal) as refused:
            await asyncio.wait_for(first, 1)
        assert refused.value.problem.status == 408
        good = await reader.read(scope, Sender(b'{"rows"', b":[]}", hurry=True).receive)
        assert good == b'{"rows":[]}'
        for sender in slow:
            sender.go.set()
        assert [len(body) for body in await asyncio.gather(*others)] == [91, 91]
        assert reader._held == 0

    run(story)


def test_a_body_without_a_length_is_refused_while_it_is_read() -> None:
    async def story() -> None:
        reader = Reader(Settings(max_body_bytes=100))
        with pytest.raises(HttpRefusal, match="at most 100 bytes"):
            await reader.read({"headers": []}, Sender(*[b"x" * 60] * 1000, hurry=True).receive)

    run(story)

"""Answering for a model that has a canary or shadows. Requests to all other models take the short way past this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

from pilothouse.data.errors import PilothouseError, VersionNotLive
from pilothouse.data.log.entries import PredictionEntry
from pilothouse.data.log.ids import new_ids
from pilothouse.data.log.schema import Role
from pilothouse.data.log.spool import Entry
from pilothouse.data.windows import Clock
from pilothouse.ops.serving.batching import Answered, Batcher
from pilothouse.ops.serving.bodies import Asked, micros
from pilothouse.ops.serving.given import Given
from pilothouse.ops.serving.metrics import Metrics
from pilothouse.ops.serving.models import LiveModel, Served
from pilothouse.ops.serving.records import check_finite, class_scores, kept, optional_scores
from pilothouse.ops.serving.shadows import Copied, Shadows
from pilothouse.ops.serving.sides import Side, in_order, merged, sides_of

Answers = Sequence[tuple[Side, Answered]]


class Inner(Protocol):
    """What the service does of every request, whoever answers it."""

    metrics: Metrics

    def batcher(self, live: Callable[[], LiveModel]) -> Batcher: ...

    async def scored_rows(self, served: Served, asked: Asked, began: float, caller: str | None) -> Answered: ...

    async def logged(self, entry: Entry) -> bool: ...

    async def log_failed(
        self, live: LiveModel, role: Role, asked: Asked, began: float, caller: str | None
    ) -> None: ...  # fmt: skip


class Besides:
    """Divides requests between champion and canary, and hands what was answered to the shadows."""

    def __init__(self, inner: Inner, shadows: Shadows, clock: Clock) -> None:
        self._inner, self._shadows, self._clock = inner, shadows, clock
        self._canaries: dict[str, tuple[LiveModel, Batcher]] = {}

    async def answered(
        self, served: Served, asked: Asked, began: float, caller: str | None, version: int | None
    ) -> Given:
        """What `Serving.answered` gives; it raises the same."""
        ids = asked.ids or new_ids(len(asked.rows), self._clock())
        sides = sides_of(served, asked, ids, version)
        scored = await asyncio.gather(*(self._scored(served, side, began, caller) for side in sides))
        answers, by = list(zip(sides, scored, strict=True)), scored[0].by
        if version not in (None, by.version):
            raise VersionNotLive(served.name, version, by.version)
        whole = merged([(side.places, answer.scored) for side, answer in answers])
        check_finite(whole)
        logged = await self._tell(served, answers, began, caller, caller_ids=asked.ids is not None)
        self._inner.metrics.took(served.name, "predictions" if logged else "unlogged", len(ids))
        return Given(by=by, scored=whole, ids=ids, logged=logged, versions=_versions(answers))

    async def _scored(self, served: Served, side: Side, began: float, caller: str | None) -> Answered:
        if side.live is None:
            return await self._inner.scored_rows(served, side.asked, began, caller)
        try:
            return await self._batcher(side.live).score(side.asked.rows, side.live.form)
        except PilothouseError:
            raise
        except Exception:
            await self._inner.log_failed(side.live, side.role, side.asked, began, caller)
            raise

    def _batcher(self, live: LiveModel) -> Batcher:
        """The canary's own, so that a batch never mixes two versions."""
        known = self._canaries.get(live.name)
        if known is None or known[0] is not live:
            known = live, self._inner.batcher(lambda: live)
            self._canaries[live.name] = known
        return known[1]

    async def _tell(
        self, served: Served, answers: Answers, began: float, caller: str | None, *, caller_ids: bool
    ) -> bool:
        """Log the answers, one entry a version, and have the shadows asked; whether they are in the log."""
        now = micros(self._clock())
        told = [_entry(side, answer, began, caller, now) for side, answer in answers]
        kept_all = await asyncio.gather(
            *(self._inner.logged(each.entry(served.name, caller_ids=caller_ids)) for each in told)
        )
        shadows = served.beside.shadows if served.beside else ()
        if all(kept_all) and shadows:
            for (side, _), each in zip(answers, told, strict=True):
                copied = Copied(shadows=shadows, rows=side.asked.rows, told=each, caller_ids=caller_ids)
                # In the next turn of the loop: the answer is on its way by then.
                asyncio.get_running_loop().call_soon(self._shadows.offer, copied)
        return all(kept_all)


def _entry(side: Side, answer: Answered, began: float, caller: str | None, now: int) -> PredictionEntry:
    return PredictionEntry(
        version=answer.by.version, role=side.role, ids=side.asked.ids or [], predictions=answer.scored.prediction,
        scores=optional_scores(answer.scored), class_scores=class_scores(answer.scored), logged_at=now,
        latency_us=int((perf_counter() - began) * 1e6), **kept(answer.by.form, side.asked, caller),
    )  # fmt: skip


def _versions(answers: Answers) -> list[int] | None:
    """By row; None where one version answered all."""
    return in_order([(side.places, answer.by.version) for side, answer in answers]) if len(answers) > 1 else None

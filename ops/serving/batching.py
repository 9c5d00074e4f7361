"""Micro-batches: whatever arrived in one pass of the event loop is scored in one call.

Nobody waits for a batch to fill. What takes no time is scored where it is, for handing it to a thread would take longer;
all else in a thread, while the next batch gathers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pilothouse.ops.scoring import Scored
from pilothouse.ops.serving.bodies import Row
from pilothouse.ops.serving.models import Form, LiveModel

T = TypeVar("T")

AT_ONCE_ROWS = 64
"""The most rows that the event loop itself scores, with a model that is quick."""


class OtherForm(Exception):
    """A version has begun to answer that takes its features otherwise than the request was read: read it again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request gets: its rows' scores, and the model that gave them."""

    by: LiveModel
    scored: Scored


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: list[Row]
    form: Form
    answer: asyncio.Future[Answered]


class Batcher:
    """Scores the requests of one model, in order, with whichever version is live when a batch starts.

    live : gives that version; asked once a batch, so that a batch never mixes two.
    thread : the one thread in which all models of this process are scored.
    """

    def __init__(self, live: Callable[[], LiveModel], thread: ThreadPoolExecutor, max_rows: int) -> None:
        self._live, self._thread, self._max_rows = live, thread, max_rows
        self._waiting: list[_Waiting] = []
        self._busy = False

    async def score(self, rows: list[Row], form: Form) -> Answered:
        """The scores of `rows`, which were read by `form`.

        Raises NoChampion or ModelNotLoaded when there is no model to ask, OtherForm, and whatever it raises on these rows.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, form, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start, loop)
        return await waiting.answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._take()
        if not batch:
            self._busy = False
            return
        try:
            live = self._live()
        except Exception as error:
            _settle(batch, [error] * len(batch))
            loop.call_soon(self._start, loop)
            return
        if live.form is not batch[0].form:
            _settle(batch, [OtherForm()] * len(batch))
            loop.call_soon(self._start, loop)
            return
        requests = [w.rows for w in batch]
        if live.quick and sum(map(len, requests)) <= AT_ONCE_ROWS:
            _settle(batch, score_batch(live, requests))
            loop.call_soon(self._start, loop)
            return
        work = loop.run_in_executor(self._thread, score_batch, live, requests)
        work.add_done_callback(lambda done: self._finish(loop, batch, done))

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], done: asyncio.Future[list[Answered | Exception]]
    ) -> None:
        _settle(batch, done.result())
        self._start(loop)

    def _take(self) -> list[_Waiting]:
        """The requests at the head of the queue, up to `max_rows` rows, and at least one; all read by the same form."""
        rows = taken = 0
        for waiting in self._waiting:
            rows += len(waiting.rows)
            if taken and (rows > self._max_rows or waiting.form is not self._waiting[0].form):
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch


def _settle(batch: list[_Waiting], outcomes: Sequence[Answered | Exception]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.answer.done():
            continue
        if isinstance(outcome, Exception):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)


def score_batch(live: LiveModel, requests: list[list[Row]]) -> list[Answered | Exception]:
    """One call for all; only when that fails each request alone, so that one bad row does not fail its neighbours."""
    try:
        together = live.score([row for rows in requests for row in rows])
    except Exception as error:
        return [error] if len(requests) == 1 else [_score_alone(live, rows) for rows in requests]
    answers: list[Answered | Exception] = []
    start = 0
    for rows in requests:
        answers.append(Answered(live, together[start : start + len(rows)]))
        start += len(rows)
    return answers


def _score_alone(live: LiveModel, rows: list[Row]) -> Answered | Exception:
    try:
        return Answered(live, live.score(rows))
    except Exception as error:
        return error

"""Shadows: versions that are asked about rows that have been answered already, off the request path.

Rows wait in a bounded queue; what does not fit is dropped and counted. One thread of the lowest priority scores them in
batches and logs what each shadow says under the ids of the answers. Nothing of it reaches a client.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from msgspec.structs import replace

from pilothouse.data.errors import DiskFull, LogBusy, LogUnavailable
from pilothouse.data.log.entries import PredictionEntry
from pilothouse.data.log.schema import Role
from pilothouse.data.log.spool import Entry
from pilothouse.data.windows import Clock
from pilothouse.ops.scoring import Scored, trust_checked_input
from pilothouse.ops.serving.batching import Answered, score_batch
from pilothouse.ops.serving.bodies import Row, micros
from pilothouse.ops.serving.loader import step_back
from pilothouse.ops.serving.models import LiveModel
from pilothouse.ops.serving.records import check_finite, class_scores, optional_scores

BATCH_ROWS = 256
GATHER_S = 0.5
"""How long rows gather, unless there is a batch of them before: nobody waits for a shadow, and a call has a price."""
_STOP_WITHIN_S = 2.0
_log = logging.getLogger("pilothouse.service")


class Outcome(StrEnum):
    """What became of a row that a shadow was to be asked about."""

    LOGGED = "logged"
    DROPPED = "dropped"
    FAILED = "failed"


class Tally(TypedDict):
    """One shadow's rows by what became of them; fault : what it failed on last, empty where it never did."""

    logged: int
    dropped: int
    failed: int
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """An answered request. shadows : whom to ask. told : what was logged of the answer."""

    shadows: tuple[LiveModel, ...]
    rows: list[Row]
    told: PredictionEntry
    caller_ids: bool

    def said(self, by: LiveModel, scored: Scored, now: int) -> Entry:
        """What `by` said to the same rows, under the same ids, of the same time. now : microseconds since 1970, UTC."""
        at = self.told.at or [self.told.logged_at] * len(self.rows)
        shadowed = replace(
            self.told, version=by.version, role=Role.SHADOW, predictions=scored.prediction,
            scores=optional_scores(scored), class_scores=class_scores(scored), logged_at=now, at=at, latency_us=None,
        )  # fmt: skip
        return shadowed.entry(by.name, caller_ids=self.caller_ids)


Counted = Callable[[str, int, str, int], None]
"""Told a model, a version, an outcome and a number of rows."""


class Shadows:
    """The queue and the thread of one worker.

    submit : puts an entry into the log. counted : told what becomes of rows. most_rows : that may wait.
    """

    def __init__(
        self, submit: Callable[[Entry], Future[None]], counted: Counted, *, most_rows: int, clock: Clock
    ) -> None:
        self._submit, self._counted, self._most_rows, self._clock = submit, counted, most_rows, clock
        self._waiting: deque[Copied] = deque()
        self._rows = 0
        self._ended = False
        self._news = threading.Condition()
        self._tallies: Counter[tuple[str, int, Outcome]] = Counter()
        self._faults: dict[tuple[str, int], str] = {}
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_s: float = _STOP_WITHIN_S) -> None:
        """Ask about what waits; what is not through in time is dropped and counted."""
        with self._news:
            self._ended = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(within_s)
        while (left := self._take()) is not None:
            self._drop(left)
        if self._thread.is_alive():
            self._thread.join()

    def offer(self, copied: Copied) -> None:
        """Have the shadows asked about an answered request, if there is room. Never waits."""
        with self._news:
            fits = not self._ended and self._rows + len(copied.rows) <= self._most_rows
            if fits:
                # A thread that is woken for every request would cost the requests more than the copy does.
                first = not self._waiting
                self._waiting.append(copied)
                self._rows += len(copied.rows)
                if first or self._rows >= BATCH_ROWS:
                    self._news.notify()
        if not fits:
            self._drop([copied])

    def tallies(self) -> dict[str, dict[str, Tally]]:
        """What became of the rows so far, by model and version."""
        found: dict[str, dict[str, Tally]] = {}
        with self._news:
            counted = tuple(self._tallies.items())
        for (model, version, outcome), rows in counted:
            fresh = Tally(logged=0, dropped=0, failed=0, fault=self._faults.get((model, version), ""))
            found.setdefault(model, {}).setdefault(str(version), fresh)[outcome.value] = rows
        return found

    def _run(self) -> None:
        step_back()
        trust_checked_input()
        while self._wait():
            batch = self._take()
            for live in batch[0].shadows if batch else ():
                self._ask(live, batch or [])

    def _wait(self) -> bool:
        """Whether there is something to do, once enough has gathered; False at the end."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended)
            self._news.wait_for(lambda: self._rows >= BATCH_ROWS or self._ended, GATHER_S)
            return bool(self._waiting)

    def _take(self) -> list[Copied] | None:
        """The requests at the head of the queue that go to the same shadows, up to BATCH_ROWS rows and at least one."""
        with self._news:
            taken: list[Copied] = []
            rows = 0
            while self._waiting and self._waiting[0].shadows == (taken or self._waiting)[0].shadows:
                rows += len(self._waiting[0].rows)
                if taken and rows > BATCH_ROWS:
                    break
                taken.append(self._waiting.popleft())
            self._rows -= sum(len(copied.rows) for copied in taken)
        return taken or None

    def _ask(self, live: LiveModel, batch: list[Copied]) -> None:
        outcomes = score_batch(live, [copied.rows for copied in batch])
        # All of a batch are handed over before the first is waited for: they are one commit of the log.
        told = [(len(c.rows), self._tell(live, c, said)) for c, said in zip(batch, outcomes, strict=True)]
        for rows, written in told:
            if written is not None:
                self._settle(live, rows, written)

    def _tell(self, live: LiveModel, copied: Copied, outcome: Answered | Exception) -> Future[None] | None:
        """Hand what `live` said to the log; None where it said nothing that could be."""
        try:
            return self._submit(copied.said(live, _sound(outcome), micros(self._clock())))
        except Exception as error:
            self._fail(live, len(copied.rows), error)
            return None

    def _settle(self, live: LiveModel, rows: int, written: Future[None]) -> None:
        try:
            written.result()
        except (LogUnavailable, LogBusy, DiskFull) as error:
            _log.warning("what the shadow %s version %d said was not logged: %s", live.name, live.version, error)
            self._count(live, Outcome.DROPPED, rows)
        else:
            self._count(live, Outcome.LOGGED, rows)

    def _fail(self, live: LiveModel, rows: int, error: Exception) -> None:
        # Of the error its kind alone: its words may hold values of the row.
        kind = type(error).__name__
        if self._faults.get((live.name, live.version)) != kind:
            _log.error("the shadow %s version %d failed on answered rows", live.name, live.version, exc_info=error)
        self._faults[live.name, live.version] = kind
        self._count(live, Outcome.FAILED, rows)

    def _drop(self, copies: list[Copied]) -> None:
        for copied in copies:
            for live in copied.shadows:
                self._count(live, Outcome.DROPPED, len(copied.rows))

    def _count(self, live: LiveModel, outcome: Outcome, rows: int) -> None:
        with self._news:
            self._tallies[live.name, live.version, outcome] += rows
        self._counted(live.name, live.version, outcome, rows)


def _sound(outcome: Answered | Exception) -> Scored:
    """What a champion would have been allowed to answer. Raises what stood against it."""
    if isinstance(outcome, Exception):
        raise outcome
    check_finite(outcome.scored)
    return outcome.scored

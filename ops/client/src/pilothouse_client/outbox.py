"""Between the host and the service: a bounded queue that takes in no time, and a thread that sends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

import httpx

from pilothouse_client.backlog import Backlog, InMemory, OnDisk
from pilothouse_client.counts import Counts, Stats
from pilothouse_client.items import Batch, Item, batches_of, halves, without
from pilothouse_client.verdicts import Verdict, What, delay_s, verdict_of

_LOOK_EVERY_S = 60.0
"""How often the spool is searched for what ended processes have left."""
_TOLD_EVERY_S = 60.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_log = logging.getLogger("pilothouse_client")


class Options(NamedTuple):
    """How a client sends. See `Client`."""

    url: str
    model: str
    key: str | None
    spool: Path | None
    spool_bytes: int
    batch_rows: int
    flush_s: float
    max_waiting: int
    timeout_s: float
    transport: httpx.BaseTransport | None


class Outbox:
    """Takes items from any thread, and delivers them from its own, which starts with the first of them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._queue: deque[Item] = deque()
        self._counts = Counts()
        self._in_memory = 0
        self._hurry = self._closing = False
        self._failures, self._try_at, self._look_at, self._told_at = 0, 0.0, 0.0, 0.0
        self._backlog: Backlog | None = None
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> None:
        with self._lock:
            self._counts.taken += 1
            if self._closing or self._in_memory >= self._options.max_waiting:
                self._counts.drop(1, "the client is closed" if self._closing else "too many rows are waiting")
                return
            self._in_memory += 1
            self._queue.append(item)
            self._ensure_running()
            if len(self._queue) >= self._options.batch_rows:
                self._news.notify()

    def refuse(self, why: str) -> None:
        """Count a row that could not be read."""
        with self._lock:
            self._counts.taken += 1
            self._counts.refuse(1, why)

    def start(self) -> None:
        with self._lock:
            self._ensure_running()

    def stats(self) -> Stats:
        with self._lock:
            return self._counts.stats()

    def flush(self, timeout_s: float) -> bool:
        """Send now; whether all that was taken before is settled within `timeout_s` seconds."""
        with self._lock:
            goal = self._counts.taken
            self._hurry = True
            self._news.notify()
            return self._settled.wait_for(lambda: self._counts.settled >= goal, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Take nothing more, send what waits within `timeout_s` seconds, and end. A second call does nothing."""
        with self._lock:
            self._closing = self._hurry = True
            self._news.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def let_go(self) -> None:
        """Give up what a fork has copied: the thread is the parent's, and so is the place in the spool."""
        if self._backlog is not None:
            self._backlog.close()

    def _ensure_running(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pilothouse-client", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        backlog = self._backlog = self._open_backlog()
        with _http(self._options) as http:
            while not self._wait():
                self._turn(backlog, http)
            self._turn(backlog, http)
        self._end(backlog)

    def _open_backlog(self) -> Backlog:
        if self._options.spool is None:
            return InMemory()
        try:
            return OnDisk(self._options.spool, self._options.spool_bytes)
        except OSError as error:
            self._trouble(f"the spool cannot be used, rows wait in memory: {error}")
            return InMemory()

    def _wait(self) -> bool:
        """Until a batch is full, `flush_s` has passed, or somebody is in a hurry. Whether this is the end."""
        with self._lock:
            self._news.wait_for(self._is_due, self._options.flush_s)
            if self._hurry:
                self._hurry, self._try_at = False, 0.0
            return self._closing

    def _is_due(self) -> bool:
        return self._hurry or len(self._queue) >= self._options.batch_rows

    def _turn(self, backlog: Backlog, http: httpx.Client) -> None:
        """Empty the queue into the backlog, and the backlog into the service as far as that goes."""
        try:
            self._look(backlog)
            self._cut(backlog)
            while time.monotonic() >= self._try_at and (batch := backlog.first()) is not None:
                self._act_on(_post(http, batch), batch, backlog)
                self._cut(backlog)
        except Exception as error:
            # The thread outlives every fault: whatever this was, the rows wait and the next turn tries again.
            self._put_off(Verdict(What.LATER, f"{type(error).__name__}: {error}"))

    def _look(self, backlog: Backlog) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        rows = backlog.found()
        with self._lock:
            self._counts.taken += rows

    def _cut(self, backlog: Backlog) -> None:
        with self._lock:
            items, self._queue = self._queue, deque()
        for batch in batches_of(items, self._options.batch_rows):
            self._keep(backlog, batch)

    def _keep(self, backlog: Backlog, batch: Batch) -> None:
        try:
            backlog.put(batch)
        except OSError as error:
            with self._lock:
                self._in_memory -= batch.rows
                self._counts.drop(batch.rows, str(error))
                self._settled.notify_all()
            self._trouble(f"{batch.rows} rows were dropped: {error}")
            return
        if backlog.durable:
            with self._lock:
                self._in_memory -= batch.rows

    def _act_on(self, verdict: Verdict, batch: Batch, backlog: Backlog) -> None:
        if verdict.what is What.LATER:
            self._put_off(verdict)
            return
        self._failures = 0
        rest = _rest(verdict, batch)
        backlog.replace_first(rest)
        settled = batch.rows - sum(part.rows for part in rest)
        with self._lock:
            if verdict.what is What.TAKEN:
                self._counts.delivered += settled
            elif settled:
                self._counts.refuse(settled, verdict.why)
            if not backlog.durable:
                self._in_memory -= settled
            self._settled.notify_all()
        if verdict.what is not What.TAKEN:
            self._trouble(f"{settled} rows were refused: {verdict.why}")

    def _put_off(self, verdict: Verdict) -> None:
        self._failures += 1
        self._try_at = time.monotonic() + delay_s(self._failures, verdict.wait_s, random.random())
        with self._lock:
            self._counts.put_off(verdict.why)
        self._trouble(f"rows wait: {verdict.why}")

    def _end(self, backlog: Backlog) -> None:
        """What waits in memory ends here; what waits on disk stays there for the next process."""
        with self._lock:
            if self._in_memory:
                self._counts.drop(self._in_memory, "the client was closed before the service took them")
                self._in_memory = 0
            self._settled.notify_all()
            self._backlog = None
        backlog.close()

    def _trouble(self, what: str) -> None:
        """Into the host's log, once a minute: a service that is away for a day must not fill it."""
        if time.monotonic() >= self._told_at:
            self._told_at = time.monotonic() + _TOLD_EVERY_S
            _log.warning("%s (model %s)", what, self._options.model)


def _http(options: Options) -> httpx.Client:
    headers = {"content-type": "application/json", "user-agent": "pilothouse-client"}
    if options.key is not None:
        headers["authorization"] = f"Bearer {options.key}"
    base = httpx.URL(f"{options.url.rstrip('/')}/models/{options.model}/")
    # A proxy named in the environment does not stand between a machine and itself.
    return httpx.Client(
        base_url=base, headers=headers, timeout=options.timeout_s, transport=options.transport,
        trust_env=base.host not in _LOOPBACK,
    )  # fmt: skip


def _post(http: httpx.Client, batch: Batch) -> Verdict:
    try:
        answer = http.post(batch.kind.value, content=batch.body)
    except httpx.HTTPError as error:
        return Verdict(What.LATER, f"{type(error).__name__}: {error}")
    return verdict_of(answer.status_code, answer.headers.get("retry-after"), answer.content, batch.rows)


def _rest(verdict: Verdict, batch: Batch) -> list[Batch]:
    """What of `batch` has yet to be sent."""
    if verdict.what is What.SMALLER:
        return halves(batch)
    less = without(batch, verdict.at_fault) if verdict.what is What.LESS else None
    return [] if less is None else [less]

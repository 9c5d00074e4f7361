"""What both clients share: taking rows and labels from an application."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar, overload

import httpx

from pilothouse_client.counts import Stats
from pilothouse_client.ids import new_id
from pilothouse_client.items import Item, label_of, row_of
from pilothouse_client.outbox import Options, Outbox
from pilothouse_client.readings import Pick, Predicted
from pilothouse_client.watch import Act, watched

Clock = Callable[[], datetime]
_A = TypeVar("_A", bound=Act)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Face:
    """Takes what a model predicted and what came true; `log` and `label` never wait and never raise.

    Parameters
    ----------
    url, model : the service's address, such as http://127.0.0.1:3000, and the model's name there.
    key : an API key, sent as a bearer token.
    spool : a folder where batches wait until they are taken. They outlive this process, and several may share it.
        None: rows wait in memory and end with the process.
    spool_bytes : the most that one process keeps in it.
    batch_rows, flush_s : a request is sent when so many rows wait, or after so many seconds.
    max_waiting : the most rows in memory; beyond it rows are dropped, and counted.
    timeout_s : seconds to wait for an answer. transport : httpx's own, for tests. clock : gives the time now, aware.

    Raises ValueError for an address that is not http or https, or a bound below 1.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 256 * 1024 * 1024,
        batch_rows: int = 500,
        flush_s: float = 1.0,
        max_waiting: int = 10_000,
        timeout_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = utc_now,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://; got {url!r}")
        if min(batch_rows, max_waiting, spool_bytes) < 1 or min(flush_s, timeout_s) <= 0:
            raise ValueError("batch_rows, max_waiting, spool_bytes, flush_s and timeout_s must be above 0")
        folder = None if spool is None else Path(spool)
        self._options = Options(
            url, model, key, folder, spool_bytes, batch_rows, flush_s, max_waiting, timeout_s, transport
        )  # fmt: skip
        self._clock = clock
        self._outbox = Outbox(self._options)
        if folder is not None:
            self._outbox.start()
        _clients.add(self)
        # Asked for by name, so that a class of ours that awaits its `close` is ended at exit all the same.
        atexit.register(self._end, 2.0)

    def log(
        self,
        features: Mapping[str, Any],
        prediction: Any,
        *,
        score: float | Sequence[float] | None = None,
        id: str | None = None,
        at: datetime | None = None,
        entity: str | None = None,
        key: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        latency_ms: float | None = None,
    ) -> str:
        """Log one prediction; returns its id, which a label may name later.

        features : every feature of the model; None or NaN for a missing value. score : of the positive class, from 0
        to 1; of a model of several classes, that of each in the target's order. id : your own, or a new one. at : when it
        happened, aware; now, if left out. entity : whom it is about. key : business keys, such as {"order": 17}.
        version : the model's; the champion's, if left out. latency_ms : how long the answer took.
        """
        row_id = new_id() if id is None else id

        def make() -> Item:
            return row_of(
                features, prediction, id=row_id, at=at or self._clock(), score=score, entity=entity, key=key,
                context=context, version=version, latency_ms=latency_ms,
            )  # fmt: skip

        self._put(make)
        return row_id

    def log_many(
        self,
        rows: Any,
        predictions: Iterable[Any],
        *,
        scores: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        at: Sequence[datetime] | None = None,
        entities: Sequence[str | None] | None = None,
        keys: Sequence[Mapping[str, Any] | None] | None = None,
        contexts: Sequence[Mapping[str, Any] | None] | None = None,
        version: int | None = None,
        latencies_ms: Sequence[Any] | None = None,
    ) -> list[str]:
        """Log many at once; returns their ids.

        rows : a pandas or polars frame of the features, or one mapping a row. The others have one item a row.
        """
        logged: list[str] = []
        try:
            columns = [scores, ids, at, entities, keys, contexts, latencies_ms]
            names = ("score", "id", "at", "entity", "key", "context", "latency_ms")
            for row, prediction, *more in zip(records(rows), predictions, *map(_each, columns)):
                logged.append(self.log(row, prediction, version=version, **dict(zip(names, more))))
        except Exception as error:
            self.refuse(error)
        return logged

    def label(self, which: str | Mapping[str, Any], label: Any, *, observed_at: datetime | None = None) -> None:
        """Tell what came true of the prediction with this id, or with these business keys.

        observed_at : when it became known, aware; now, if left out.
        """
        self._put(lambda: label_of(which, label, observed_at or self._clock()))

    def refuse(self, error: Exception) -> None:
        """Count a row that could not be read."""
        self._outbox.refuse(f"{type(error).__name__}: {error}")

    @overload
    def watch(self, function: _A) -> _A: ...

    @overload
    def watch(
        self,
        function: None = None,
        *,
        features: Pick | None = None,
        prediction: Callable[[Any], Predicted] | None = None,
        key: Pick | None = None,
        version: int | None = None,
    ) -> Callable[[_A], _A]: ...

    def watch(
        self,
        function: Any = None,
        *,
        features: Pick | None = None,
        prediction: Callable[[Any], Predicted] | None = None,
        key: Pick | None = None,
        version: int | None = None,
    ) -> Any:
        """A decorator: logs what a function, plain or async, was asked and what it returned.

        The row is the function's one mapping, or else its arguments by name; the prediction is what it returns: a value,
        a pair (prediction, score), or a mapping with `prediction` and `score`. Exceptions pass through, unlogged.
        features : the names that are features, or a function of the row that gives them. key : the same, for business
        keys. prediction : a function of the returned value that gives the pair (prediction, score).
        """

        def decorate(act: _A) -> _A:
            return watched(self, act, features=features, prediction=prediction, key=key, version=version)

        return decorate if function is None else decorate(function)

    @property
    def stats(self) -> Stats:
        return self._outbox.stats()

    def _end(self, timeout_s: float) -> None:
        atexit.unregister(self._end)
        self._outbox.close(timeout_s)

    def _put(self, make: Callable[[], Item]) -> None:
        """The one place that keeps our faults from the host: each is counted, and its reason kept."""
        try:
            self._outbox.put(make())
        except Exception as error:
            self.refuse(error)

    def _after_fork(self) -> None:
        """In a child, the thread is gone and what waits is the parent's to send."""
        self._outbox.let_go()
        self._outbox = Outbox(self._options)


def records(rows: Any) -> Iterable[Mapping[str, Any]]:
    """One mapping a row, of a pandas or polars frame or of mappings."""
    found: Iterable[Mapping[str, Any]] = rows
    if hasattr(rows, "to_dicts"):
        found = rows.to_dicts()
    elif hasattr(rows, "iloc"):
        found = rows.to_dict("records")
    return found


def _each(values: Sequence[Any] | None) -> Iterable[Any]:
    return repeat(None) if values is None else values


_clients: weakref.WeakSet[Face] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

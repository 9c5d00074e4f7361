"""How long a question may take: after that, or when the person who asked goes away, it is ended where it stands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType

from pilothouse.data.errors import QueryCancelled, QueryTooSlow

_INTERRUPT_EVERY_S = 0.05
_active: ContextVar[Limit | None] = ContextVar("active", default=None)


class Limit:
    """A span of time for the questions asked in its `with` block; `cancel`, from any thread, ends them at once.

    Inside another limit's block it changes nothing: who asked first said how long it may take.
    Raises QueryTooSlow or QueryCancelled out of the block.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._wake, self._done = threading.Event(), threading.Event()
        self._cancelled = self._expired = False
        self._interrupts: list[Callable[[], None]] = []
        self._watcher = threading.Thread(target=self._watch, name="query-limit", daemon=True)
        self._token: Token[Limit | None] | None = None

    def cancel(self) -> None:
        """End the questions of this limit, those of now and those to come."""
        self._cancelled = True
        self._wake.set()

    def check(self) -> None:
        """Raises QueryTooSlow or QueryCancelled when it is over; to be called between pieces of work."""
        if self._expired:
            raise QueryTooSlow(self.seconds)
        if self._cancelled:
            raise QueryCancelled()

    def interrupt_with(self, interrupt: Callable[[], None]) -> None:
        """Have `interrupt` called when it is over, again and again, for it may come between two statements."""
        self.check()
        self._interrupts.append(interrupt)

    def __enter__(self) -> Limit:
        if _active.get() is None:
            self._token = _active.set(self)
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is None:
            return
        _active.reset(self._token)
        self._done.set()
        self._wake.set()
        self._watcher.join()
        if kind is not None and kind.__name__ == "InterruptException":
            self.check()

    def _watch(self) -> None:
        self._expired = not self._wake.wait(self.seconds)
        while not self._done.is_set():
            for interrupt in list(self._interrupts):
                interrupt()
            self._done.wait(_INTERRUPT_EVERY_S)


def check_limit() -> None:
    """Raises QueryTooSlow or QueryCancelled when the limit around the caller, if there is one, is over."""
    active = _active.get()
    if active is not None:
        active.check()


def interrupt_at_limit(interrupt: Callable[[], None]) -> None:
    """Have `interrupt` called when the limit around the caller, if there is one, is over."""
    active = _active.get()
    if active is not None:
        active.interrupt_with(interrupt)

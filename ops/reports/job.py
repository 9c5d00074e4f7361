"""A report in the making: a thread that waits for its child, tells how far it is, and can be called off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pilothouse.ops.reports.running import Child

Made = TypeVar("Made")


class ReportJob(Generic[Made]):
    """Begins when it is made. make : given the child to use. steps : what has been told so far, newest last."""

    def __init__(self, make: Callable[[Child], Made]) -> None:
        self.steps: list[str] = ["collecting the rows"]
        self.made: Made | None = None
        self.error: BaseException | None = None
        self._child = Child(self.steps.append)
        self._thread = threading.Thread(target=self._work, args=(make,), name="report", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        return self._thread.is_alive()

    def cancel(self) -> None:
        self._child.stop()

    def result(self) -> Made:
        """Wait for it. Raises what its making raised."""
        self._thread.join()
        if self.error is not None:
            raise self.error
        assert self.made is not None
        return self.made

    def _work(self, make: Callable[[Child], Made]) -> None:
        try:
            self.made = make(self._child)
        except Exception as error:
            # Whoever asks for the result is given it; a thread has nobody else to tell.
            self.error = error

"""What goes wrong in a long-running process: logged in full once, and kept in one line for everybody to see."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("pilothouse.worker")


class Faults:
    """The present faults by the task that has them. A task that succeeds again is taken off."""

    def __init__(self) -> None:
        self._present: dict[str, str] = {}

    @contextmanager
    def watch(self, task: str) -> Iterator[None]:
        """Run the body as `task`; an error is kept and logged instead of ending the process."""
        try:
            yield
        except Exception as error:
            text = f"{task}: {type(error).__name__}: {error}"
            if self._present.get(task) != text:
                logger.exception("%s failed", task)
            self._present[task] = text
        else:
            self._present.pop(task, None)

    def listing(self) -> list[str]:
        """One sentence each, in a steady order."""
        return [self._present[task] for task in sorted(self._present)]

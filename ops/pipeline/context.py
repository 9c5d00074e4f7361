"""What a step is given: the run, what the steps before it made, and the means to work and to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from pilothouse.data.settings import Settings
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.state.runs import Run
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline.engine import Output

Result = TypeVar("Result")


class Heavy(Protocol):
    """Does a task outside this process: (name, request, type of the answer) -> answer."""

    def __call__(self, task: str, request: object, gives: type[Result], /) -> Result: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """say : adds a line to the run's log, and raises RunCancelled once the run has been called off."""

    run: Run
    model: ModelRow
    workspace: Workspace
    state: State
    store: Store
    clock: Clock
    outputs: Mapping[str, Output]
    say: Callable[[str], None]
    heavy: Heavy
    settings: Settings = field(default_factory=Settings)

    def output(self, step: str, kind: type[Result]) -> Result:
        """What an earlier step made."""
        return msgspec.convert(self.outputs[step], kind)

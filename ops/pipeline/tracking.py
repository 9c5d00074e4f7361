"""Keeps the rows of a run true while its steps are done: what people see, and what a later worker goes on from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from pilothouse.data.errors import PilothouseError, Unavailable
from pilothouse.data.settings import Settings
from pilothouse.data.state import catalog, runs
from pilothouse.data.state.runs import Run, RunState, Step, StepState
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.context import Context, Result
from pilothouse.ops.pipeline.engine import Output
from pilothouse.ops.pipeline.kinds import STEPS, act_of
from pilothouse.ops.pipeline.requests import close_run

logger = logging.getLogger("pilothouse.pipeline")
_NOT_UNDONE = "register"
"""A version that it is registering stays registered, so this step is finished even when the run is called off."""
RETRY_AFTER_S = (0.5, 2.0, 8.0)
"""Pauses before a step is done again when the store or the log was busy."""


class RunCancelled(Exception):
    """The run has been called off: the step stops here."""


class WorkerStopping(BaseException):
    """The worker ends while the step works. Not an Exception: the engine must not take it for the step's outcome."""


@dataclass(slots=True)
class StepRunner:
    """Does a step of a run and writes down how it goes. A step that is done is not redone after a crash.

    worker : id of this process, written to the run. stopping : set when the process is about to end.
    """

    workspace: Workspace
    state: State
    store: Store
    children: Children
    worker: str
    clock: Clock
    stopping: threading.Event
    crash: Callable[[str], None] = lambda point: None
    working_on: set[str] = field(default_factory=set)
    settings: Settings = field(default_factory=Settings)

    def call(self, run_id: str, name: str, outputs: Mapping[str, Output]) -> Output | None:
        """The step's output, or None when the run is over: failed, or called off."""
        self.working_on.add(run_id)
        try:
            return self._patiently(run_id, name, outputs)
        except RunCancelled:
            self._close(run_id, RunState.CANCELLED)
        except PilothouseError as error:
            self._close(run_id, RunState.FAILED, str(error))
        except Exception as error:
            logger.exception("step %s of run %s", name, run_id)
            why = (
                f"The step {name} failed unexpectedly ({type(error).__name__}: {error}). The worker's output has more."
            )
            self._close(run_id, RunState.FAILED, why)
        finally:
            self.working_on.discard(run_id)
        return None

    def _patiently(self, run_id: str, name: str, outputs: Mapping[str, Output]) -> Output:
        """The step, again after a while when something was not to be had just then: steps may be done twice."""
        for attempt, pause_s in enumerate(RETRY_AFTER_S):
            try:
                return self._call(run_id, name, outputs, again=attempt > 0)
            except Unavailable as error:
                logger.warning("step %s of run %s is done again in %s s: %s", name, run_id, pause_s, error)
            if self.stopping.wait(pause_s):
                raise WorkerStopping
        return self._call(run_id, name, outputs, again=True)

    def _call(self, run_id: str, name: str, outputs: Mapping[str, Output], *, again: bool = False) -> Output:
        run, step = self._begin(run_id, name, again)
        if step.output is not None:
            return step.output
        try:
            output = act_of(run.kind, name)(self._context(run, name, outputs))
        except Exception:
            # A killed child shows up as an error of the step; why it was killed is known here only.
            self._look(run_id)
            raise
        return self._finish(run_id, name, output)

    def _begin(self, run_id: str, name: str, again: bool) -> tuple[Run, Step]:
        """Take the step on. Raises RunCancelled when the run is not to go on."""
        if self.stopping.is_set():
            raise WorkerStopping
        now = self.clock()
        with self.state.write() as conn:
            run = runs.get(conn, run_id)
            step = next(s for s in runs.steps(conn, run_id) if s.name == name)
            if step.state is StepState.DONE:
                return run, step
            if run.state is not RunState.RUNNING:
                raise RunCancelled
            if step.state is StepState.RUNNING and not again:
                runs.append_log(
                    conn, run_id, now, f"{self.worker} goes on at {name}: its worker had stopped in the middle"
                )
            runs.set_run(conn, run_id, worker=self.worker)
            runs.set_step(conn, run_id, name, state=StepState.RUNNING, started_at=step.started_at or now)
        return run, replace(step, output=None)

    def _context(self, run: Run, name: str, outputs: Mapping[str, Output]) -> Context:
        with self.state.read() as conn:
            model = catalog.get_model(conn, run.model)

        def say(text: str) -> None:
            self._say(run.id, name, text)
            self.crash(f"{name}:middle")

        def heavy(task: str, request: object, gives: type[Result]) -> Result:
            return self.children.run(run.id, task, request, gives, say)

        return Context(
            run=run, model=model, workspace=self.workspace, state=self.state, store=self.store, clock=self.clock,
            outputs=outputs, say=say, heavy=heavy, settings=self.settings,
        )  # fmt: skip

    def _say(self, run_id: str, name: str, text: str) -> None:
        with self.state.write() as conn:
            self._refuse_to_go_on(runs.get(conn, run_id), name)
            runs.append_log(conn, run_id, self.clock(), text)
            runs.set_step(conn, run_id, name, message=text)

    def _finish(self, run_id: str, name: str, output: Output) -> Output:
        now = self.clock()
        with self.state.write() as conn:
            self._refuse_to_go_on(runs.get(conn, run_id), name)
            runs.set_step(conn, run_id, name, state=StepState.DONE, finished_at=now, progress=1.0, output=output)
            self._note_result(conn, run_id, name, output)
            if name == STEPS[runs.get(conn, run_id).kind][-1]:
                runs.set_run(conn, run_id, state=RunState.SUCCEEDED, finished_at=now)
        return output

    def _note_result(self, conn: Connection, run_id: str, name: str, output: Output) -> None:
        """What the run itself shows of a step: the verdict with its scorecard, the version with its number in both."""
        changes: dict[str, Any] = {}
        if name == "score":
            changes = {"outcome": output}
        elif name == "gate":
            changes = {"verdict": output["decision"]["verdict"], "outcome": output["scorecard"]}
        elif name == "register":
            outcome = runs.get(conn, run_id).outcome or {}
            numbered = {**outcome["challenger"], "version": output["version"]}
            changes = {"version": output["version"], "outcome": {**outcome, "challenger": numbered}}
        if changes:
            runs.set_run(conn, run_id, **changes)

    def _look(self, run_id: str) -> None:
        with self.state.read() as conn:
            run = runs.get(conn, run_id)
        self._refuse_to_go_on(run, "")

    def _refuse_to_go_on(self, run: Run, name: str) -> None:
        if self.stopping.is_set():
            raise WorkerStopping
        if run.state is not RunState.RUNNING and name != _NOT_UNDONE:
            raise RunCancelled

    def _close(self, run_id: str, state: RunState, error: str | None = None) -> None:
        now = self.clock()
        with self.state.write() as conn:
            if not runs.get(conn, run_id).active:
                return
            close_run(conn, run_id, state, now, error)
            runs.append_log(conn, run_id, now, error or "called off")

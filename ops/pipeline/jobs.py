"""Looks after the runs: takes up those that wait, goes on with those left behind, stops those that are called off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection
from uuid6 import uuid7

from pilothouse.data.state import leases, processes, runs
from pilothouse.data.state.runs import ACTIVE, Run, RunState
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.engine import Engine
from pilothouse.ops.pipeline.kinds import ONE_AT_A_TIME
from pilothouse.ops.pipeline.requests import close_run
from pilothouse.ops.pipeline.tracking import StepRunner

_TAKE_OVER_LEASE = timedelta(seconds=60)
_ALL = 1_000


class Jobs:
    """One worker's part in the runs of a workspace. `make_engine` is called when the first run needs it."""

    def __init__(
        self,
        state: State,
        worker: str,
        steps: StepRunner,
        children: Children,
        make_engine: Callable[[], Engine],
        clock: Clock,
    ) -> None:
        self.state, self.worker, self.steps, self.children, self.clock = state, worker, steps, children, clock
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._begun: set[str] = set()

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._make_engine()
        return self._engine

    def turn(self) -> None:
        """Attend to every run that is not over."""
        with self.state.read() as conn:
            active = runs.list_runs(conn, limit=_ALL, states=ACTIVE)
        # Who asked first is served first.
        for run in reversed(active):
            if run.state is RunState.CANCELLING:
                self._stop(run)
            elif run.state is RunState.QUEUED:
                if self._claim(run):
                    self._start(run)
            elif run.worker == self.worker:
                self._start(run)
            elif self._left_behind(run):
                self.engine.take_over(run.id)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def _start(self, run: Run) -> None:
        """Also for a run of ours that is running: a crash may have come between claiming it and starting it."""
        if run.id not in self._begun:
            self.engine.start(run.id)
            self._begun.add(run.id)
        elif run.id not in self.steps.working_on and self.engine.is_over(run.id):
            self._close(run.id, RunState.FAILED, "The run ended without a result. The worker's output has the reason.")

    def _claim(self, run: Run) -> bool:
        """Whether this worker, and no other, now runs the waiting `run`."""
        now = self.clock()
        with self.state.write() as conn:
            if runs.get(conn, run.id).state is not RunState.QUEUED or _held_up(conn, run):
                return False
            runs.set_run(conn, run.id, state=RunState.RUNNING, worker=self.worker, started_at=now)
            runs.append_log(conn, run.id, now, f"taken up by {self.worker}")
        return True

    def _left_behind(self, run: Run) -> bool:
        """Whether the worker of `run` is gone and it falls to this one to see to it."""
        with self.state.read() as conn:
            if run.worker in {p.id for p in processes.live(conn, "worker", self.clock())}:
                return False
        # A new holder each time: taking a run over twice, be it by one worker, would run its step twice at once.
        with self.state.write() as conn:
            lease = leases.acquire(conn, f"take over {run.id}", str(uuid7()), self.clock(), _TAKE_OVER_LEASE)
        return lease is not None

    def _stop(self, run: Run) -> None:
        """End a run that was called off. While a step of it works here, the step's own thread writes the end."""
        if run.id in self.steps.working_on:
            self.children.kill(run.id)
        elif run.worker == self.worker or self._left_behind(run):
            self._close(run.id, RunState.CANCELLED)

    def _close(self, run_id: str, state: RunState, error: str | None = None) -> None:
        """Write the end that a step's own thread could not write. A run that is over by now stays as it is."""
        with self.state.write() as conn:
            if runs.get(conn, run_id).active:
                close_run(conn, run_id, state, self.clock(), error)


def _held_up(conn: Connection, run: Run) -> bool:
    """Whether another run of its kind is being worked on, of a kind whose runs take turns."""
    if run.kind not in ONE_AT_A_TIME:
        return False
    working = frozenset({RunState.RUNNING, RunState.CANCELLING})
    return bool(runs.list_runs(conn, limit=1, states=working, kind=run.kind))

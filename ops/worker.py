"""The worker: seals, folds, runs jobs, and says that it lives. `python -m pilothouse.ops.worker --workspace DIR`.

It may be killed at any moment: whatever it does is exactly once by itself, and the next worker goes on.
For tests, PILOTHOUSE_CRASH_AT names a point (such as seal:appended, fold:appended, train:middle) at which it dies as if
killed with -9.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType

from pilothouse.data.errors import PilothouseError
from pilothouse.data.settings import NOWHERE, Settings, load_settings
from pilothouse.data.state import processes
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.store import State, jobs_url
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.answers import exit_code
from pilothouse.ops.batch import schedules
from pilothouse.ops.batch.schedules import EVERY_S as SCHEDULES_EVERY_S
from pilothouse.ops.faults import Faults
from pilothouse.ops.holdings import Holdings
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.engine import Engine
from pilothouse.ops.pipeline.jobs import Jobs
from pilothouse.ops.pipeline.tracking import StepRunner
from pilothouse.ops.runtimes.live import EVERY_S as LIVE_CHECK_S
from pilothouse.ops.runtimes.live import LiveChecks
from pilothouse.ops.slots import Slot
from pilothouse.ops.upkeep import Upkeep, pause_s

logger = logging.getLogger("pilothouse.worker")
CRASH_AT = "PILOTHOUSE_CRASH_AT"
_JOBS_EVERY_S = 0.3
_BEAT_EVERY_S = 2.0
_MERGE_EVERY = timedelta(minutes=1)
_RECOUNT_EVERY = timedelta(hours=1)
_IDLE_AT_MOST_S = 5.0
_IDLE_GROWTH = 1.5
_LEAVE_WITHIN_S = 5.0


class Worker:
    """One worker process of a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        clock: Clock = utc_now,
        crash: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.workspace, self.settings, self.clock = workspace, settings, clock
        self.stopping = threading.Event()
        self.slot = Slot.take(workspace.run, "worker")
        self.id = f"{socket.gethostname()}/{self.slot.name}"
        self.started_at = clock()
        self.state = State.of(workspace, settings)
        self.faults = Faults()
        self.holdings = Holdings(self.state, self.id, clock)
        self.upkeep = Upkeep(workspace, self.state, settings, self.holdings, self.faults, clock, crash)
        self.children = Children(workspace.store)
        steps = StepRunner(
            workspace=workspace, state=self.state, store=Store(workspace.store), children=self.children,
            worker=self.id, clock=clock, stopping=self.stopping, crash=crash, settings=settings,
        )  # fmt: skip
        self.checks = LiveChecks(workspace, self.state, settings, self.holdings, self.children, clock)
        self.crash = crash
        self.jobs = Jobs(self.state, self.id, steps, self.children, lambda: self._engine(steps), clock)

    def run(self) -> None:
        """Work until `stop`; the standing work is done in this thread, jobs and heartbeat in theirs."""
        self._introduce()
        threads = [
            threading.Thread(target=self._repeat, args=("heartbeat", self._beat, _BEAT_EVERY_S), daemon=True),
            threading.Thread(target=self._repeat, args=("jobs", self.jobs.turn, _JOBS_EVERY_S), daemon=True),
            threading.Thread(target=self._repeat, args=("live checks", self.checks.turn, LIVE_CHECK_S), daemon=True),
        ]
        threads.append(
            threading.Thread(target=self._repeat, args=("schedules", self._ask_due, SCHEDULES_EVERY_S), daemon=True)
        )
        if self.settings.central_url != NOWHERE:
            threads.append(threading.Thread(target=self._send_on, daemon=True))
        for thread in threads:
            thread.start()
        self._keep_up()
        self._take_leave(threads)

    def stop(self) -> None:
        """End soon. What is in the middle is left to the next worker, a training's process is killed."""
        self.stopping.set()
        self.children.kill_all()

    def _keep_up(self) -> None:
        wait_s, merged, recounted = self.settings.seal_every_s, self.clock(), self.clock()
        while not self.stopping.is_set():
            busy, began = False, self.clock()
            with self.faults.watch("upkeep"):
                busy = self.upkeep.turn()
                if self.clock() - merged >= _MERGE_EVERY:
                    merged = self.clock()
                    self.upkeep.merge_files()
                    self.upkeep.keep_logs()
                    self.upkeep.scrub(self._scrubbed_a_round)
                if self.clock() - recounted >= _RECOUNT_EVERY:
                    recounted = self.clock()
                    self.upkeep.recount()
            worked = self.clock() - began
            wait_s = pause_s(worked, self.settings) if busy else min(wait_s * _IDLE_GROWTH, self._idle_s)
            self.stopping.wait(wait_s)

    @property
    def _scrubbed_a_round(self) -> int:
        """Bytes to look over each time files are merged."""
        return int(self.settings.scrub_mb_per_s * 2**20 * _MERGE_EVERY.total_seconds())

    @property
    def _idle_s(self) -> float:
        return max(_IDLE_AT_MOST_S, self.settings.seal_every_s)

    def _repeat(self, task: str, turn: Callable[[], None], every_s: float) -> None:
        while not self.stopping.wait(every_s):
            with self.faults.watch(task):
                turn()

    def _ask_due(self) -> None:
        schedules.turn(self.state, self.settings, self.clock)

    def _send_on(self) -> None:
        """Tell the central house of the log until the worker ends."""
        from pilothouse.ops.forward.forwarder import EVERY_S, Forwarder

        forwarder = Forwarder(
            self.workspace, self.state, self.settings, self.holdings, self.clock, self.stopping, self.crash
        )
        self._repeat("forward", forwarder.turn, EVERY_S)
        forwarder.close()

    def _introduce(self) -> None:
        """A worker that was killed has left its row behind under the same id."""
        with self.state.write() as conn:
            processes.forget(conn, self.id)
            processes.beat(conn, self._row())

    def _beat(self) -> None:
        with self.state.write() as conn:
            processes.beat(conn, self._row())
        self.holdings.renew()

    def _row(self) -> ProcessRow:
        return ProcessRow(
            id=self.id, kind="worker", host=socket.gethostname(), pid=os.getpid(), url=None,
            started_at=self.started_at, beat_at=self.clock(), details={"errors": self.faults.listing()},
        )  # fmt: skip

    def _engine(self, steps: StepRunner) -> Engine:
        from pilothouse.ops.pipeline.dbos_engine import DbosEngine
        from pilothouse.ops.pipeline.kinds import steps_of

        return DbosEngine(
            jobs_url(self.workspace, self.settings),
            self.slot.name,
            steps.call,
            partial(steps_of, self.state),
            self.clock(),
        )

    def _take_leave(self, threads: Sequence[threading.Thread]) -> None:
        self.children.kill_all()
        for thread in threads:
            thread.join()
        self.jobs.close()
        self.holdings.release()
        with self.state.write() as conn:
            processes.forget(conn, self.id)
        self.slot.give_back()


def crash_at(point: str | None) -> Callable[[str], None]:
    """What is called at every named point: nothing happens, but at `point` the process ends as if killed."""

    def crash(reached: str) -> None:
        if reached == point:
            os._exit(137)

    return crash


def end_on_signals(worker: Worker) -> None:
    """SIGTERM and Ctrl-C end the worker cleanly, and in any case within seconds."""

    def leave() -> None:
        worker.stop()
        # A large fold may outlast everybody's patience. It is exactly once, so leaving in its middle costs nothing.
        time.sleep(_LEAVE_WITHIN_S)
        os._exit(0)

    def end(_signal: int, _frame: FrameType | None) -> None:
        # In a thread, since the interrupted code may hold the very locks that stopping needs.
        threading.Thread(target=leave, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until a signal ends it."""
    parser = argparse.ArgumentParser(prog="pilothouse worker", description="Seals, folds and runs jobs.")
    parser.add_argument("--workspace", required=True, type=Path)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("pilothouse").setLevel(logging.INFO)
    try:
        workspace = Workspace.open(given.workspace)
        worker = Worker(workspace, load_settings(workspace.settings_file), crash=crash_at(os.environ.get(CRASH_AT)))
    except PilothouseError as error:
        logger.error("%s", error)
        return exit_code(error)
    end_on_signals(worker)
    logger.info("%s works in %s", worker.id, workspace.root)
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The pipeline on DBOS Transact: durable workflows in SQLite or PostgreSQL, in this process.

What its defaults would break, and what stands against it here:
- Values are pickled by default: the portable JSON serializer is set.
- The application version defaults to a hash of the source, so an upgrade would orphan runs: it is PIPELINE_SCHEMA.
- Two processes under one executor id run a step twice: the caller gives an id that it holds exclusively.
- A dead process's workflow waits for that very executor: `take_over` hands it to a living one.
- Its own cancel frees the id while the step still works: runs are called off in our state, where each step looks.
- Nothing is ever removed: workflows that ended long ago are deleted at the start.
Importing it costs about two seconds of CPU, so that happens in the constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pilothouse.ops.pipeline.engine import CallStep, Output

if TYPE_CHECKING:
    from dbos import DBOSConfig

PIPELINE_SCHEMA = "1"
"""Raised when steps or what they hand on changes in a way that a half-done run cannot follow."""

KEEP_ENDED = timedelta(days=30)
_ENDED = ["SUCCESS", "ERROR", "CANCELLED"]


class DbosEngine:
    """An Engine. One a process: DBOS keeps its instance globally.

    steps_of : the steps of a run.
    executor : an id that no other living process uses. Workflows that it left unfinished go on by themselves.
    """

    def __init__(
        self, url: str, executor: str, call_step: CallStep, steps_of: Callable[[str], Sequence[str]], now: datetime
    ) -> None:
        from dbos import DBOS

        DBOS(config=_config(url, executor))
        self._dbos = DBOS
        try:
            self._workflow = DBOS.workflow(name="retrain")(_flow(call_step, steps_of))
            DBOS.launch()
            self._forget_before(now - KEEP_ENDED)
        except BaseException:
            # Its half-started instance is global: the next attempt would be given the same one.
            self.close()
            raise

    def start(self, run_id: str) -> None:
        from dbos import SetWorkflowID

        if self._dbos.get_workflow_status(run_id) is None:
            with SetWorkflowID(run_id):
                self._dbos.start_workflow(self._workflow, run_id)

    def take_over(self, run_id: str) -> None:
        status = self._dbos.get_workflow_status(run_id)
        if status is None:
            self.start(run_id)
        elif status.status == "PENDING":
            self._dbos.resume_workflow(run_id)

    def is_over(self, run_id: str) -> bool:
        status = self._dbos.get_workflow_status(run_id)
        return status is not None and status.status in _ENDED

    def close(self) -> None:
        self._dbos.destroy(destroy_registry=True)

    def _forget_before(self, time: datetime) -> None:
        old = self._dbos.list_workflows(
            status=_ENDED, completed_before=time.isoformat(), load_input=False, load_output=False
        )
        if old:
            self._dbos.delete_workflows([workflow.workflow_id for workflow in old])


def _config(url: str, executor: str) -> DBOSConfig:
    from dbos import DBOSPortableJSONSerializer

    return {
        "name": "pilothouse",
        "system_database_url": url,
        "executor_id": executor,
        "application_version": PIPELINE_SCHEMA,
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
        "log_level": "WARNING",
        "console_log_level": "WARNING",
    }


def _flow(call_step: CallStep, steps_of: Callable[[str], Sequence[str]]) -> Callable[[str], None]:
    """The workflow: each step once, its output kept by DBOS and handed to those after it."""
    from dbos import DBOS

    # Its name is written to the engine's tables: runs of before an upgrade go on under it.
    def retrain(run_id: str) -> None:
        outputs: dict[str, Output] = {}
        for name in steps_of(run_id):
            output = DBOS.run_step({"name": name}, call_step, run_id, name, dict(outputs))
            if output is None:
                return
            outputs[name] = output

    return retrain

"""The kinds of runs, with the steps of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pilothouse.data.state import runs
from pilothouse.data.state.store import State
from pilothouse.ops.batch import jobs
from pilothouse.ops.pipeline import requests
from pilothouse.ops.pipeline.context import Context
from pilothouse.ops.pipeline.engine import Output
from pilothouse.ops.pipeline.steps import run_step

STEPS = {requests.KIND: requests.STEPS, jobs.KIND: jobs.STEPS}
ONE_AT_A_TIME = frozenset({jobs.KIND})
"""Kinds of which one run is worked on and the others wait: each would take all of the machine."""


def steps_of(state: State, run_id: str) -> Sequence[str]:
    """The steps of a run, in order. Raises UnknownRun."""
    with state.read() as conn:
        return STEPS[runs.get(conn, run_id).kind]


def act_of(kind: str, name: str) -> Callable[[Context], Output]:
    """What does the step `name` of a run of this kind."""
    return jobs.score_step if kind == jobs.KIND else partial(run_step, name)

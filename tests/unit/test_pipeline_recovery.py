"""Faults around a run that must not cost it: an engine that cannot start, a busy store, an end that was not written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pilothouse.data.errors import StoreBusy
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.state import catalog, runs
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.state.runs import RunState, StepState
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline import kinds, tracking
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.context import Context
from pilothouse.ops.pipeline.dbos_engine import DbosEngine
from pilothouse.ops.pipeline.jobs import Jobs
from pilothouse.ops.pipeline.requests import STEPS
from pilothouse.ops.pipeline.tracking import StepRunner

NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOW


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w")


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = State.open(workspace.state_url)
    signature = Signature(
        features=(Feature(name="size", kind=Kind.NUMBER),),
        target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
        task=Task.BINARY,
    )
    model = ModelRow(
        name="flights", task=Task.BINARY, signature=signature, profile_id="r1", label_policy=LabelPolicy(),
        gate_policy=GatePolicy(), created_at=NOW, created_by="ann",
    )  # fmt: skip
    with opened.write() as conn:
        catalog.add_model(conn, model)
        runs.request(conn, run_id="r", model="flights", kind="retrain", arguments={}, steps=STEPS, actor="ann", at=NOW)
        runs.set_run(conn, "r", state=RunState.RUNNING, worker="here")
    yield opened
    opened.close()


@pytest.fixture
def runner(workspace: Workspace, state: State) -> StepRunner:
    return StepRunner(
        workspace=workspace, state=state, store=Store(workspace.store), children=Children(workspace.store),
        worker="here", clock=clock, stopping=threading.Event(),
    )  # fmt: skip


def busy_for(times: int) -> Any:
    """A step that finds the store busy `times` times."""
    left = [times]

    def step(name: str, context: Context) -> Mapping[str, Any]:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreBusy("The state store")
        return {"done": name}

    return step


def test_a_store_that_is_busy_for_a_moment_does_not_cost_the_run(
    state: State, runner: StepRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "RETRY_AFTER_S", (0.01, 0.01))
    monkeypatch.setattr(kinds, "run_step", busy_for(2))
    assert runner.call("r", "extract", {}) == {"done": "extract"}
    with state.read() as conn:
        assert runs.steps(conn, "r")[0].state is StepState.DONE
        assert runs.log_lines(conn, "r") == []


def test_a_store_that_stays_busy_ends_the_run_with_the_reason(
    state: State, runner: StepRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "RETRY_AFTER_S", (0.01, 0.01))
    monkeypatch.setattr(kinds, "run_step", busy_for(3))
    assert runner.call("r", "extract", {}) is None
    with state.read() as conn:
        run = runs.get(conn, "r")
    assert (run.state, run.error) == (RunState.FAILED, "The state store is busy. Try again in a moment.")


class EndedEngine:
    """An engine for which every run is over."""

    def start(self, run_id: str) -> None: ...
    def take_over(self, run_id: str) -> None: ...
    def close(self) -> None: ...

    def is_over(self, run_id: str) -> bool:
        return True


def test_a_run_whose_end_could_not_be_written_does_not_block_its_model(state: State, runner: StepRunner) -> None:
    jobs = Jobs(state, "here", runner, runner.children, EndedEngine, clock)
    jobs.turn()
    jobs.turn()
    with state.read() as conn:
        run = runs.get(conn, "r")
    assert run.state is RunState.FAILED
    assert "ended without a result" in (run.error or "")


def test_an_engine_that_could_not_start_can_be_started_later(tmp_path: Path) -> None:
    done = threading.Event()

    def call(run_id: str, name: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
        if name == STEPS[-1]:
            done.set()
        return {"step": name}

    broken = tmp_path / "jobs.sqlite"
    broken.write_bytes(b"this is no database, and long enough to be read as one " * 40)
    with pytest.raises(Exception, match="not a database"):
        DbosEngine(f"sqlite:///{broken}", "worker-0", call, lambda _: STEPS, NOW)
    broken.unlink()
    engine = DbosEngine(f"sqlite:///{broken}", "worker-0", call, lambda _: STEPS, NOW)
    engine.start("r")
    engine.start("r")
    assert done.wait(10)
    engine.close()

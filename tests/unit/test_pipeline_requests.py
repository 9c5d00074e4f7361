"""Asking for a run and calling one off: one active run a model, an audit row for each act, clear refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilothouse.data.errors import BadData, CannotRetrain, NaiveTime, NoChampion, NotAllowed, UnknownModel, UnknownRun
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.state import audit, catalog, deployments, runs
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.runs import RunState, StepState
from pilothouse.data.state.store import State
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.pipeline.requests import STEPS, Recipe, cancel, retrain, whole_days

NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)
ANN = Actor(name="ann", roles=frozenset({Right.OPERATOR}))
BOB = Actor(name="bob", roles=frozenset({Right.ANALYST}))
SIGNATURE = Signature(
    features=(Feature(name="size", kind=Kind.NUMBER),),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


def clock() -> datetime:
    return NOW


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(f"sqlite:///{tmp_path / 'state.sqlite'}")
    with opened.write() as conn:
        for name, task in (("flights", Task.BINARY), ("prices", Task.REGRESSION), ("fresh", Task.BINARY)):
            catalog.add_model(conn, model(name, task))
            catalog.add_version(conn, version(name))
        for name in ("flights", "prices"):
            deployments.append(
                conn, model=name, version=1, expected_epoch=0, act="promote", actor="ann", reason="",
                clicked_at=NOW, at=NOW,
            )  # fmt: skip
    yield opened
    opened.close()


def model(name: str, task: Task) -> ModelRow:
    return ModelRow(
        name=name, task=task, signature=replace(SIGNATURE, task=task), profile_id="r1", label_policy=LabelPolicy(),
        gate_policy=GatePolicy(), created_at=NOW, created_by="ann",
    )  # fmt: skip


def version(name: str) -> VersionRow:
    return VersionRow(
        model=name, version=1, artifact_sha256="0" * 64, runtime="sklearn", signature=SIGNATURE, trusted_types=(),
        libraries={}, threshold=0.5, run_id=None, snapshot_sha256=None, trained=None, scorecard=None, note="",
        created_at=NOW, created_by="ann",
    )  # fmt: skip


def test_a_request_writes_the_run_its_steps_and_its_audit_row(state: State) -> None:
    run = retrain(state, ANN, "flights", {"judge_days": 7}, clock)
    with state.read() as conn:
        steps, acts = runs.steps(conn, run.id), audit.rows(conn, "flights")
    assert (run.state, run.requested_by, run.model) == (RunState.QUEUED, "ann", "flights")
    assert run.arguments == {"train_days": 56, "judge_days": 7, "end": None}
    assert [s.name for s in steps] == list(STEPS)
    assert {s.state for s in steps} == {StepState.WAITING}
    assert (acts[0].act, acts[0].actor, acts[0].details["run_id"]) == ("retrain", "ann", run.id)


def test_a_second_press_attaches_to_the_active_run(state: State) -> None:
    first = retrain(state, ANN, "flights", {}, clock)
    second = retrain(state, ANN, "flights", {"judge_days": 3}, clock)
    with state.read() as conn:
        acts = [row.act for row in audit.rows(conn, "flights")]
    assert second == first
    assert acts.count("retrain") == 1


@pytest.mark.parametrize(
    ("name", "arguments", "error", "says"),
    [
        ("fligths", {}, UnknownModel, "Did you mean 'flights'?"),
        ("fresh", {}, NoChampion, "fresh has no champion yet"),
        ("prices", {}, CannotRetrain, "prices cannot be retrained: its task is regression"),
        ("flights", {"days": 3}, BadData, "takes no days. It takes: end, judge_days, train_days."),
        ("flights", {"judge_days": 0}, BadData, r"judge_days"),
        ("flights", {"end": "2026-09-21T00:00:00"}, NaiveTime, "end has no time zone"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    state: State, name: str, arguments: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        retrain(state, ANN, name, arguments, clock)
    with state.read() as conn:
        assert runs.list_runs(conn) == []


def test_an_analyst_may_not_and_the_denial_is_written_down(state: State) -> None:
    with pytest.raises(NotAllowed, match="bob may not retrain flights: it needs the role operator"):
        retrain(state, BOB, "flights", {}, clock)
    with state.read() as conn:
        assert audit.rows(conn, "flights")[0].act == "denied"


def test_a_waiting_run_is_called_off_at_once(state: State) -> None:
    run = retrain(state, ANN, "flights", {}, clock)
    ended = cancel(state, ANN, run.id, clock)
    with state.read() as conn:
        acts = [row.act for row in audit.rows(conn, "flights", limit=1)]
        states = {s.state for s in runs.steps(conn, run.id)}
    assert (ended.state, ended.finished_at) == (RunState.CANCELLED, NOW)
    assert (acts, states) == (["cancel"], {StepState.SKIPPED})
    assert retrain(state, ANN, "flights", {}, clock).id != run.id


def test_a_running_run_waits_for_its_worker_and_an_ended_one_stays(state: State) -> None:
    run = retrain(state, ANN, "flights", {}, clock)
    with state.write() as conn:
        runs.set_run(conn, run.id, state=RunState.RUNNING)
    assert cancel(state, ANN, run.id, clock).state is RunState.CANCELLING
    assert cancel(state, ANN, run.id, clock).state is RunState.CANCELLING
    with state.write() as conn:
        runs.set_run(conn, run.id, state=RunState.SUCCEEDED)
    assert cancel(state, ANN, run.id, clock).state is RunState.SUCCEEDED
    with state.read() as conn:
        assert [row.act for row in audit.rows(conn, "flights")].count("cancel") == 1
    with pytest.raises(UnknownRun):
        cancel(state, ANN, "nothing", clock)


def test_parts_lie_one_behind_the_other() -> None:
    recipe = Recipe(train_days=56, judge_days=14)
    window = recipe.window(NOW)
    assert (window.end, window.length) == (NOW, timedelta(days=70))
    assert recipe.boundary(NOW) == NOW - timedelta(days=14)


def test_a_part_is_counted_in_whole_days_and_never_cut() -> None:
    assert [whole_days(text) for text in ("8w", "14d", "48h")] == [56, 14, 2]
    with pytest.raises(BadData, match=r"counts in whole days, which '36h' is not. Use for example 14d or 8w"):
        whole_days("36h")

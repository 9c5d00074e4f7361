"""Commands that act: each writes who did it, and why."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from pilothouse.app.cli.ask import print_scorecard
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    ReasonOption,
    WorkspaceOption,
    open_house,
    print_json,
)
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.runs import Run, RunState, StepState
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle

_LOOK_EVERY_S = 0.3


def retrain(
    name: str,
    train: Annotated[str, typer.Option(help="How long a span to learn from: 8w, 56d.")] = "8w",
    judge: Annotated[str, typer.Option(help="How long a span after it, kept untouched, to judge on.")] = "2w",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Ask for a retraining of NAME. While one is under way, that one is followed instead."""
    house = open_house(workspace)
    run = house[name].retrain(train=train, judge=judge)
    if wait:
        run = _follow(house, run.id, quiet=as_json)
    if as_json:
        print_json(run)
    elif not wait:
        print(f"Run {run.id} is {run.state}. Follow it with: pilothouse runs {run.id}")
    if wait and run.state is not RunState.SUCCEEDED:
        raise typer.Exit(5)


def _follow(house: House, run_id: str, quiet: bool) -> Run:
    """Print what the run says until it has ended."""
    if not any(process.kind == "worker" for process in house.processes()) and not quiet:
        print("No worker is running, so the run waits. Start one with: pilothouse up")
    seen = 0
    while (run := house.run(run_id)).active:
        seen = _print_new_lines(house, run_id, seen, quiet)
        time.sleep(_LOOK_EVERY_S)
    _print_new_lines(house, run_id, seen, quiet)
    if not quiet:
        failed = [s for s in house.steps(run_id) if s.state is StepState.FAILED]
        print(f"Run {run.id}: {run.state}." + (f" {failed[0].name}: {run.error}" if failed else ""))
        print_scorecard(run.outcome)
    return run


def _print_new_lines(house: House, run_id: str, seen: int, quiet: bool) -> int:
    for line in house.run_log(run_id, seen):
        seen = line.seq
        if not quiet:
            print(f"{line.at:%H:%M:%S}  {line.text}")
    return seen


def cancel(run_id: str, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Call a run off."""
    print(f"Run {run_id} is {open_house(workspace).cancel(run_id).state}.")


def promote(
    name: str,
    version: int,
    reason: ReasonOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Make VERSION the champion of NAME."""
    handle = open_house(workspace)[name]
    _say(handle, handle.promote(version, reason=reason), as_json)


def rollback(
    name: str,
    reason: ReasonOption,
    to: Annotated[int | None, typer.Option("--to", help="The version to return to (the champion before).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Return NAME to its earlier champion."""
    handle = open_house(workspace)[name]
    _say(handle, handle.rollback(to, reason=reason), as_json)


def _say(handle: ModelHandle, written: Deployment, as_json: bool) -> None:
    if as_json:
        print_json(written)
        return
    took_ms = (written.at - written.clicked_at).total_seconds() * 1000
    before = f", in the place of version {written.previous}" if written.previous else ""
    print(
        f"{handle.name}: version {written.version} is the champion{before}. "
        f"Prepared and flipped in {took_ms:.0f} ms; audit row {written.audit_seq}."
    )

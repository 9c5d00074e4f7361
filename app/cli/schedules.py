"""Commands about batches by the clock; `pilothouse score --every` makes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.state.schedules import Schedule

schedules = typer.Typer(help="Batches by the clock.", no_args_is_help=True)


@schedules.command("list")
def list_schedules(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """All schedules: what is scored, how often, and when next."""
    house = open_house(workspace)
    found = house.schedules()
    if as_json:
        print_json({"schedules": found})
        return
    rows = [
        (s.id, s.model, every(s), s.next_at, s.missed, s.arguments["source"], s.arguments["out"], s.last_run_id)
        for s in found
    ]
    print_table("Schedules", ("id", "model", "every", "next", "missed", "in", "out", "last run"), rows)


@schedules.command("remove")
def remove_schedule(
    schedule_id: Annotated[str, typer.Argument(metavar="ID", help="As `schedules list` shows it.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """End the schedule ID. A batch that it has asked for already is not called off."""
    gone = open_house(workspace).unschedule(schedule_id)
    print(f"{gone.model}: {gone.arguments['source']} is no longer scored every {every(gone)}.")


def every(schedule: Schedule) -> str:
    span = timedelta(seconds=schedule.every_s)
    return f"{span.days}d" if span.days else f"{schedule.every_s // 3600}h"

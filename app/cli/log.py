"""Commands about a model's log itself: its figures counted anew, or checked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from pilothouse.app.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_house, print_json
from pilothouse.ops.figures import rebuild_figures, recount_day

_DIFFERENT = 6


def rebuild(name: str, workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Count the whole log of NAME anew and replace its roll-ups. The figures stay what they were."""
    report = rebuild_figures(open_house(workspace)[name])
    if as_json:
        print_json(report)
        return
    print(f"{name}: {report.predictions:,} predictions and {report.outcomes:,} label events counted anew.")


def recount(
    name: str,
    day: Annotated[
        datetime | None,
        typer.Option("--day", formats=["%Y-%m-%d"], help="A business day; the newest whole one when left out."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Compare one day's roll-ups of NAME with a fresh count of its rows. Exit code 6 when they differ."""
    chosen = None if day is None else day.replace(tzinfo=UTC).date()
    report = recount_day(open_house(workspace)[name], chosen)
    if as_json:
        print_json(report)
    elif report.differing:
        print(
            f"{name}, {report.day}: {report.differing:,} of {report.cells:,} cells differ. Now: pilothouse rebuild {name}"
        )
    else:
        print(f"{name}, {report.day}: all {report.cells:,} cells agree with the rows.")
    if report.differing:
        raise typer.Exit(_DIFFERENT)

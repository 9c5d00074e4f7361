"""Commands about the central house that a site's log is sent on to."""

from __future__ import annotations

import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.ops.forward.status import forward_status

forward = typer.Typer(help="Sending the log on to a central house.", no_args_is_help=True)


@forward.callback()
def about() -> None:
    """Sending the log on to a central house."""


@forward.command("status")
def show(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """What was sent on, and what waits since when."""
    found = forward_status(open_house(workspace))
    if as_json:
        print_json(found)
        return
    if found.url is None:
        print("Nothing is sent on: the setting central_url names no central house.")
        return
    rows = [
        (lag.model, lag.waiting, lag.since, lag.counted.sent, lag.counted.refused, lag.sent_at, lag.counted.reason)
        for lag in found.models
    ]
    print_table(f"Sent on to {found.url}", ("model", "wait", "since", "sent", "refused", "last", "why refused"), rows)

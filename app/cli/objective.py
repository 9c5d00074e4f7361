"""The command for latency objectives."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer

from pilothouse.app import objective_words as words
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.measures.objective import Kept
from pilothouse.ops.objectives import USUAL_SHARE, Standing


def objective(
    name: str,
    within: Annotated[str | None, typer.Argument(help="25ms, 0.5s; left out, what there is is shown.")] = None,
    share: Annotated[str, typer.Option("--share", help="Of the requests: 99%, 99.9%.")] = USUAL_SHARE,
    clear: Annotated[bool, typer.Option("--clear", help="Have none any more.")] = False,
    window: WindowOption = "7d",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say how fast NAME is to answer, or show how it has kept to that."""
    found = open_house(workspace)[name].objective(within, share=share, clear=clear, window=window)
    if as_json:
        print_json(found and {"objective": found.objective, "window": _told(found.window), "hour": _told(found.hour)})
    elif found is None:
        print(f"{name} has no latency objective. Set one with: pilothouse objective {name} 25ms --share {USUAL_SHARE}")
    else:
        _print_standing(name, found)


def _told(kept: Kept) -> dict[str, object]:
    """A span for machines, with what follows from its counts."""
    counted = {"window": kept.window, "requests": kept.requests, "in_time": kept.in_time}
    return counted | {"share": kept.share, "missed": kept.missed, "budget_left": kept.budget_left}


def _print_standing(name: str, standing: Standing) -> None:
    print(f"{name}: {words.objective_sentence(standing.objective)}")
    print_table("", words.HEAD, words.lines(standing, UTC))

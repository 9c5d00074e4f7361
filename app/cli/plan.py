"""The command that says how a model should be watched, and agrees on it."""

from __future__ import annotations

from dataclasses import asdict
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
from pilothouse.ops.measuring.plan import BUDGET


def plan(
    name: str,
    loss: Annotated[float | None, typer.Option(help="How much worse is worth an alarm: 0.02 of ROC AUC.")] = None,
    budget: Annotated[float, typer.Option(help="False alarms that may be expected in a month.")] = BUDGET,
    labelled: Annotated[
        float | None, typer.Option("--labelled-a-day", help="Labelled rows to expect, before the log can tell.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Judge the model's health by it from now on.")] = False,
    days: Annotated[int | None, typer.Option(help="With --accept: another span, of whole weeks.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Return to the usual rules.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say how NAME should be watched, from its reference and its traffic: each choice with its reason."""
    if days is not None and not accept:
        raise typer.BadParameter("--days is the span to agree on: give --accept with it.", param_hint="--days")
    model = open_house(workspace)[name]
    if clear:
        model.agree(None)
        print_json({"agreed": None}) if as_json else print(f"{name} is watched by the usual rules.")
        return
    found = model.plan(loss=loss, budget=budget, labelled_a_day=labelled)
    terms = model.agree(found, days=days) if accept else model.row.watch
    if as_json:
        print_json({"plan": asdict(found), "choices": [asdict(c) for c in found.choices], "agreed": terms})
        return
    print_table("", ("choice", "value", "why"), [(c.name, c.value, c.why) for c in found.choices])
    if terms is None:
        print(f"Nothing is agreed on yet. To judge {name} by it: pilothouse plan {name} --accept")
    else:
        print(f"Agreed on: {terms.metric} over {terms.days} days, {terms.margin:.1f} standard errors.")

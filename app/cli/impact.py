"""The command that ranks drift by what it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from pilothouse.app import formats
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    UnmaskOption,
    WhyOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.app.panels.impact import answer, decimals, psi_ranks
from pilothouse.data.measures.impact import Impact


def impact(
    name: str,
    window: WindowOption = "28d",
    metric: Annotated[
        str | None, typer.Option("--metric", help="roc_auc or log_loss; accuracy; mae or rmse: as the task has them.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", help="Whose scores; left out, of the one that answered most.")
    ] = None,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """What the drift of each feature of NAME costs, worst first, and what no single feature explains."""
    found = open_house(workspace)[name].impact(window, metric, version=version, unmask=unmask, reason=reason)
    if as_json:
        print_json(found)
    elif found.reason:
        print(f"{name}: it cannot be said: {found.reason}.")
    else:
        _print(found)


def _print(found: Impact) -> None:
    ranks, places = psi_ranks(found.features), decimals(found)
    lines = [
        (f.name, f.effect, f.verdict, f.psi, ranks.get(f.name), formats.share(f.effective_share, 0), f.note or None)
        for f in found.features
    ]
    rest = ("(not explained)", found.remainder, None, None, None, None, found.remainder.reason or None)
    print_table(
        f"{found.model} v{found.version}, {found.metric}: {found.rows:,} rows, {found.window}",
        ("feature", "effect", "95 % band", "verdict", "PSI", "by PSI", "support", "note"),
        [
            (name, formats.signed(e.value, places), formats.band(e.low, e.high, places), *more)
            for name, e, *more in (*lines, rest)
        ],
    )
    print(answer(found))
    if found.unshown:
        print(found.unshown)

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
    span_text,
)
from pilothouse.app.panels.impact import VERDICT_WORDS, answer, effect_and_band, psi_ranks
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
    print(answer(found))
    ranks = psi_ranks(found.features)
    lines = [
        (f.name, f.effect, VERDICT_WORDS[f.verdict][0], f.psi, ranks.get(f.name), formats.share(f.effective_share, 0))
        for f in found.features
    ]
    rest = ("(not explained)", found.remainder, None, None, None, None)
    print_table(
        f"{found.model} v{found.version}, {found.metric}: {found.rows:,} rows, {span_text(found.window)}",
        ("feature", "effect", "95 % band", "verdict", "PSI", "by PSI", "support"),
        [(name, *effect_and_band(found, e), *more) for name, e, *more in (*lines, rest)],
    )
    notes = [(f.name, f.note) for f in found.features] + [("not explained", found.remainder.reason)]
    for name, note in notes:
        if note:
            print(f"{name}: {note}.")
    if found.unshown:
        print(found.unshown)

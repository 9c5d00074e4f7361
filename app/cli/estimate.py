"""The command for performance without labels."""

from __future__ import annotations

from typing import Annotated

import typer

from pilothouse.app import formats
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
    span_text,
)
from pilothouse.app.panels import estimate as panels
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import JUDGED, Scoreboard

ScoreboardOption = Annotated[bool, typer.Option("--scoreboard", help="Past estimates beside what came true.")]
WindowOption = Annotated[
    str | None, typer.Option("--window", help="28d back from the data's end (26w for the scoreboard), or START/END.")
]


def estimate(
    name: str,
    window: WindowOption = None,
    scoreboard: ScoreboardOption = False,
    every: Annotated[str, typer.Option("--every", help="Length of the scoreboard's buckets: 1d, 1w.")] = "1w",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How right NAME is on rows whose labels have not come, and whether such estimates have held."""
    handle = open_house(workspace)[name]
    if scoreboard:
        board = handle.scoreboard(window or "26w", every)
        print_json(_for_machines(board)) if as_json else _print_scoreboard(board)
        return
    found = handle.estimate(window or "28d")
    print_json(found) if as_json else _print_estimate(found)


def _print_estimate(found: Estimate) -> None:
    print(panels.sentence(found))
    rests = f"{found.rows:,} rows without labels, {found.reference_rows:,} reference rows"
    if found.metrics:
        print_table(
            f"{found.model}: {rests}, {span_text(found.window)}",
            ("metric", "estimate", "low", "high", "note"),
            [(key, m.value, m.low, m.high, m.reason or None) for key, m in found.metrics.items()],
        )


def _for_machines(board: Scoreboard) -> dict[str, object]:
    lines = [
        {
            "window": line.window, "rows": line.rows, "labelled": line.labelled, "mature": line.mature,
            "estimated": line.estimated, "realized": line.realized,
        }
        for line in board.lines
    ]  # fmt: skip
    said = {"model": board.model, "window": board.window, "standing": board.standing, "reason": board.reason}
    return said | {"trusted": board.trusted, "tracks": board.tracks, "lines": lines}


def _print_scoreboard(board: Scoreboard) -> None:
    print(panels.scoreboard(board).answer)
    print_table(
        f"{board.model}: {span_text(board.window)}",
        ("metric", "buckets", "realized less estimated", "distance", "within the band", "width of the band", "verdict"),
        [
            (name, t.buckets, formats.signed(t.bias), t.error, formats.share(t.coverage, 0), t.mean_width, t.standing)
            for name, t in board.tracks.items()
        ],
    )
    for name in (name for name in JUDGED if name in board.tracks):
        known = [
            (line, line.estimated[name], line.realized.get(name)) for line in board.lines if name in line.estimated
        ]
        print_table(
            name,
            ("from", "rows", "labelled", "estimate", "low", "high", "realized"),
            [
                (line.window.start, line.rows, line.labelled, m.value, m.low, m.high, came.value if came else None)
                for line, m, came in known
            ],
        )

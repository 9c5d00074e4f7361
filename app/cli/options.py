"""Options that many commands share, and how an answer is printed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pilothouse.app.formats import MINUS, NOTHING, figure
from pilothouse.data.windows import Window
from pilothouse.ops.house import House

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", envvar="PILOTHOUSE_WORKSPACE", help="The workspace's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
WindowOption = Annotated[
    str, typer.Option("--window", help="7d, 24h or 8w back from the data's end, or START/END in ISO 8601.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is written to the audit trail.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the dashboard (8501).")]
ServicePortOption = Annotated[int | None, typer.Option("--service-port", help="Port of the service (3000).")]
UnmaskOption = Annotated[
    bool, typer.Option("--unmask", help="Show sensitive and masked columns too; needs --reason, and is audited.")
]
WhyOption = Annotated[str, typer.Option("--reason", help="Why hidden columns are shown.")]
DEFAULT_WORKSPACE = Path("workspace")
_ONE = rf"[+{MINUS}-]?[\d,]*\.?\d+(e[+-]\d+)?( ?%| pp)?"
_NUMBER = re.compile(f"{_ONE}( to {_ONE})?")
"""A number or a band."""
_LARGE, _NAME, _GAP, _WIDEST = 1e6, 28, 2, 10_000


def open_house(workspace: Path) -> House:
    """The house in the folder `workspace`, for whoever sits at the terminal."""
    return House.open(workspace)


def place_to_write(path: Path | None) -> Path | None:
    """`path`, if a file can be written there: asked before the work that fills it. Raises BadParameter."""
    if path is None:
        return None
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {path.parent}. Make it first, or name another file.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise typer.BadParameter(f"{path} may not be written by you. Name another file.")
    return path


def print_json(value: Any) -> None:
    """Stable JSON: times in ISO 8601, what cannot be said as null."""
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people, numbers to the right; columns that say nothing are left out.

    Cells are taken literally: a name cannot style the terminal.
    """
    cells = [[cell_text(cell) for cell in row] for row in rows]
    told = [place for place in range(len(columns)) if not cells or any(row[place] != NOTHING for row in cells)]
    table = Table(box=None, header_style="dim", pad_edge=False)
    kept = [[columns[place], *(row[place] for row in cells)] for place in told]
    for column, width in zip(kept, _widths(kept), strict=True):
        numbers = bool(cells) and _is_number(column)
        table.add_column(Text(column[0]), overflow="fold", justify="right" if numbers else "left", width=width)
    for row in zip(*(column[1:] for column in kept), strict=True):
        table.add_row(*map(Text, row))
    console = Console(width=_WIDEST, highlight=False)
    if title:
        console.print(Text(title, style="bold"))
    console.print(table if cells else Text("none", style="dim"))


def _widths(columns: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column is. columns : the head and the cells of each.

    Where the terminal is too narrow, headers of several words give way first, then the widest prose. A name or a number
    is never cut: rather is the line too long. A file or a pipe gets whole lines.
    """
    widths = [max(map(len, column)) for column in columns]
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return widths
    heads = [max(map(len, [*column[1:], *column[0].split(), ""])) for column in columns]
    least = [_least(column, is_name=place == 0) for place, column in enumerate(columns)]
    spare = Console().width - _GAP * (len(columns) - 1)
    for floor in (heads, least):
        while sum(widths) > spare and widths != floor:
            widest = max((p for p in range(len(widths)) if widths[p] > floor[p]), key=lambda p: widths[p])
            widths[widest] -= 1
    return widths


def _least(column: Sequence[str], *, is_name: bool) -> int:
    whole = _is_number(column) or (is_name and max(map(len, column)) <= _NAME)
    cells = column[1:] if whole else [word[:_NAME] for cell in column[1:] for word in cell.split()]
    return max(map(len, [*cells, *column[0].split(), ""]))


def _is_number(column: Sequence[str]) -> bool:
    return all(cell == NOTHING or _NUMBER.fullmatch(cell) for cell in column[1:])


def span_text(window: Window) -> str:
    """A window as `--window` takes it, as short as it can be said.

    >>> from datetime import UTC
    >>> span_text(Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, 5, tzinfo=UTC)))
    '2026-03-01T00:00Z/2026-03-29T01:30:05Z'
    """
    return "/".join(
        end.isoformat(timespec="auto" if end.second or end.microsecond else "minutes").removesuffix("+00:00") + "Z"
        for end in (window.start, window.end)
    )


def cell_text(value: object) -> str:
    """How a value stands in a table: numbers with three decimals, times to the minute, nothing as a dash."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < _LARGE else figure(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value)

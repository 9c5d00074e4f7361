"""Options that many commands share, and how an answer is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def open_house(workspace: Path) -> House:
    """The house in the folder `workspace`, for whoever sits at the terminal."""
    return House.open(workspace)


def print_json(value: Any) -> None:
    """Stable JSON: times in ISO 8601, what cannot be said as null."""
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people. Cells are taken literally: a name cannot style the terminal."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    Console(soft_wrap=False).print(table)


def cell_text(value: object) -> str:
    """How a value stands in a table: numbers with three decimals, times to the minute, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value)

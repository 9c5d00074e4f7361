"""The command for Evidently's report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    place_to_write,
    print_json,
    print_table,
)
from pilothouse.ops.reports.report import EvidentlyReport, Preset
from pilothouse.ops.reports.running import Child

_SHOWN = 10


def report(
    name: str,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Where to write it: HTML, or JSON where the name ends so.", callback=place_to_write
        ),
    ] = Path("report.html"),
    preset: Annotated[
        list[Preset] | None,
        typer.Option("--preset", help="What it is about; may be repeated. Left out: all there can be."),
    ] = None,
    window: WindowOption = "14d",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Write Evidently's report of NAME over a window, and print its verdicts beside ours and the tests that failed."""
    handle = open_house(workspace)[name]
    child = Child(lambda step: print(f"{step} …", file=sys.stderr, flush=True))
    made = handle.report(handle.window(window), preset or None, child)
    out.write_text(made.json if out.suffix == ".json" else made.html, encoding="utf-8")
    if as_json:
        print_json(_told(made, out))
        return
    print(f"{out}: {', '.join(made.presets)}; {made.sampled_rows:,} of {made.rows:,} rows, {made.seconds:.1f} s")
    if made.features:
        _print_verdicts(made)
    print(f"tests: {len(made.tests)}, of which {len(made.failed)} failed")
    for test in made.failed[:_SHOWN]:
        print(f"  {test.status}: {test.detail}")
    if len(made.failed) > _SHOWN:
        print(f"  and {len(made.failed) - _SHOWN} more: they are all in the report")


def _told(made: EvidentlyReport, out: Path) -> dict[str, Any]:
    """What was written and what it says, for machines; the report itself is in the file."""
    return {
        "file": str(out), "window": made.window, "presets": made.presets, "rows": made.rows,
        "sampled_rows": made.sampled_rows, "reference_rows": made.reference_rows, "seconds": made.seconds,
        "features": made.features, "tests": made.tests,
    }  # fmt: skip


def _print_verdicts(made: EvidentlyReport) -> None:
    print_table(
        "",
        ("feature", "Evidently", "its value", "its threshold", "PSI", "ours", "why they part"),
        [(v.feature, v.evidently, v.value, v.threshold, v.psi, v.ours, v.why or None) for v in made.features],
    )

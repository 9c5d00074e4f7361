"""The command that scores a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilothouse.app.cli.imports import progress_bars
from pilothouse.app.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_house, print_json

if TYPE_CHECKING:
    from pilothouse.ops.batch.report import ScoreReport

EXAMPLES = """
Examples:

pilothouse score flights march.parquet march-scored.parquet

pilothouse score flights march.csv scored.csv --id booking --key flight --at departure

pilothouse score flights march.parquet scored/ --version 3 --no-log

pilothouse score flights in/%Y-%m-%d.parquet out/%Y-%m-%d.parquet --every 1d --start 03:00
"""


def score(
    name: str,
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A CSV, Parquet or Arrow file, a folder of Parquet, a Delta table.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .parquet or .csv file; or a folder: one commit to a Delta table.")
    ],
    version: Annotated[int | None, typer.Option("--version", min=1, help="Who scores; else the champion.")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="An id of each prediction's own; else ids are made.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A business key that labels will come by; repeat.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="COLUMN", help="When it happened; else now.")] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whom it is about: `erase` finds rows by it.")
    ] = None,
    time_format: Annotated[str | None, typer.Option(help="How times are written: %d.%m.%Y %H:%M, epoch_ms.")] = None,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Log every row, with the role batch.")] = True,
    prefix: Annotated[str, typer.Option(help="Put before the names of the columns that are added.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Put the result over a file that is there.")] = False,
    bad_rows: Annotated[
        Path | None, typer.Option(help="Where rows that cannot be scored are set aside; else beside OUT.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file, if it is guessed wrongly.")] = None,
    every: Annotated[
        str | None,
        typer.Option(help="Have the worker do it again and again: 1h, 1d, 1w. IN and OUT may hold %Y %m %d."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="With --every 1d or 1w: the time of day, such as 03:00.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Score every row of IN with NAME, and write them with their predictions to OUT.

    OUT is there whole or not at all. Broken off, the same command goes on where it stopped: no row comes twice.
    """
    from pilothouse.ops.batch.entry import score as score_rows
    from pilothouse.ops.batch.jobs import Asked
    from pilothouse.ops.batch.schedules import schedule

    handle = open_house(workspace)[name]
    if every is not None:
        asked = Asked(
            source=str(source), out=str(out), version=version, id=id_, key=tuple(key or ()), at=at, entity=entity,
            time_format=time_format, log=log, prefix=prefix, overwrite=overwrite,
        )  # fmt: skip
        made = schedule(handle.house, name, asked, every=every, start=start)
        print(
            f"{name}: {source} is scored every {every}, next at {made.next_at:%Y-%m-%d %H:%M} UTC (schedule {made.id})."
        )
        return
    with progress_bars(quiet=as_json) as tell:
        report = score_rows(
            handle, source, out, version=version, id=id_, key=key or (), at=at, entity=entity,
            time_format=time_format, log=log, overwrite=overwrite, prefix=prefix, bad_rows=bad_rows,
            encoding=encoding, tell=tell,
        )  # fmt: skip
    _say(report, as_json)


def _say(report: ScoreReport, as_json: bool) -> None:
    if not as_json:
        print(report.sentence)
        return
    print_json(
        {
            "sentence": report.sentence,
            "model": report.model,
            "version": report.version,
            "out": str(report.out),
            "rows": report.counts,
            "bad_rows": str(report.bad_rows) if report.bad_rows else None,
            "seconds": report.seconds,
            "rows_per_s": report.rows_per_s,
            "resumed": report.resumed,
            "done_before": report.done_before,
        }
    )

"""The command that takes in somebody else's log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.errors import BadData
from pilothouse.data.signature import Task
from pilothouse.ops.imports.mapping import ColumnMap, parse_corrections

if TYPE_CHECKING:
    from pilothouse.ops.imports.report import ImportReport, Preview, Progress


def import_(
    name: str,
    predictions: Annotated[
        str | None,
        typer.Argument(
            help="A CSV, Parquet or Arrow file, a folder of Parquet, a Delta table; with --query an address."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels in a file of their own, by id or by business key.")
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="OURS=THEIRS: what a column is; repeat. OURS= takes it away.")
    ] = None,
    map_labels: Annotated[
        list[str] | None, typer.Option("--map-labels", help="OURS=THEIRS for the file of labels; repeat.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")] = False,
    task: Annotated[Task | None, typer.Option(help="What a new model does; found out from the columns.")] = None,
    target: Annotated[str | None, typer.Option(help="The column of the label.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="no,yes: the classes of a new model, the positive one last; else those that come."),
    ] = None,
    positive: Annotated[str | None, typer.Option(help="The class that the score is the probability of.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Labelled rows to compare with, for a new model; else the earliest that come.")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="7d: how long labels of a new model take, and keys find their predictions.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Version of rows that name none.")] = None,
    time_format: Annotated[str | None, typer.Option(help="How times are written: %d.%m.%Y %H:%M, epoch_ms.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of times that name none (the workspace's).")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign, . or ,")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file, if it is guessed wrongly.")] = None,
    query: Annotated[str | None, typer.Option(help="SQL, to be asked of the database that PREDICTIONS names.")] = None,
    bad_rows: Annotated[Path | None, typer.Option(help="Where rows that cannot be read are set aside.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an import that was broken off.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Take somebody else's log of predictions into NAME, which is registered if it is not there."""
    from pilothouse.ops.imports.said import Said

    house = open_house(workspace)
    said = Said(
        mapping=parse_corrections(map_ or ()), label_mapping=parse_corrections(map_labels or ()), task=task,
        target=target, classes=classes, positive=positive, horizon=horizon, version=version, time_format=time_format,
        time_zone=time_zone, decimal=decimal, encoding=encoding,
    )  # fmt: skip
    if predictions is None:
        raise BadData("Nothing to import was named. Give a file: pilothouse import NAME FILE.")
    given = {
        "labels": labels, "reference": reference, "wishes": said.wishes(), "encoding": encoding, "query": query,
        "bad_rows": bad_rows, "resume": resume,
    }  # fmt: skip
    if dry_run:
        _say_preview(house.preview_import(name, predictions, **given), as_json)
        return
    with progress_bars(quiet=as_json) as tell:
        report = house.import_log(name, predictions, tell=tell, **given)
    _say_report(report, as_json)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar for each source that is read, with its rows a second; a count where its length is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars
    from rich.progress import Task as Bar
    from rich.text import Text

    class _Speed(ProgressColumn):
        def render(self, task: Bar) -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), disable=quiet) as bars:
        started: dict[str, TaskID] = {}

        def tell(progress: Progress) -> None:
            if progress.stage not in started:
                started[progress.stage] = bars.add_task(f"Reading {progress.stage}", total=progress.rows)
            bars.update(started[progress.stage], completed=progress.read)

        yield tell


def _say_preview(found: Preview, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "sentence": found.sentence,
                "new": found.new,
                "task": found.task,
                "classes": found.classes,
                "mapping": found.mapping,
                "label_mapping": found.label_mapping,
                "notes": found.notes,
                "first_times": found.first_times,
                "looked_at": found.looked_at,
                "set_aside": found.set_aside,
                "bad": found.bad.to_dicts(),
                "label_bad": found.label_bad.to_dicts(),
            }
        )
        return
    _say_mapping("Columns", found.mapping)
    if found.label_mapping:
        _say_mapping("Columns of the labels", found.label_mapping)
    for note in (*found.notes, *found.first_times):
        print(note)
    for title, bad in (("Rows", found.bad), ("Labels", found.label_bad)):
        if bad.height:
            said = bad.select("bad_line", "bad_reasons")
            print_table(f"{title} that would be set aside", ("line", "why"), said.rows())
    print(f"{found.sentence} Nothing was written.")


def _say_mapping(title: str, mapping: ColumnMap) -> None:
    from pilothouse.ops.imports.report import mapping_frame

    print_table(title, ("their column", "is our", "read as", "because"), mapping_frame(mapping).rows())


def _say_report(report: ImportReport, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "sentence": report.sentence,
                "rows": report.rows,
                "labels": report.labels,
                "model": report.model,
                "waiting": report.labels.waiting,
                "bad_rows": str(report.bad_rows) if report.bad_rows else None,
                "bad_labels": str(report.labels.bad_rows) if report.labels.bad_rows else None,
                "first": report.first,
                "last": report.last,
                "registered": report.registered,
                "mapping": report.mapping,
                "seconds": report.seconds,
                "done_before": report.done_before,
            }
        )
        return
    _say_mapping("Columns", report.mapping)
    for text in (report.registered, report.sentence):
        if text:
            print(text)
    if report.first and report.last:
        print(f"The log of {report.model} holds rows from {report.first:%Y-%m-%d} to {report.last:%Y-%m-%d}.")

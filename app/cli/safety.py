"""Commands for the day on which the workspace is gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pilothouse.app.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_house, print_json
from pilothouse.data.copies.take import Tell
from pilothouse.ops.actors import local_operator
from pilothouse.ops.backup import backup as backups
from pilothouse.ops.backup.restore import restore as restore_copy

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


def backup(
    folder: FolderArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the backup in DIR back and hash all of it; copy nothing.")
    ] = False,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy even what could be linked, as on the disk of the workspace.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the workspace into DIR while everything runs; a second time, only what is new."""
    with _bar("Reading back" if verify else "Copying") as tell:
        done = backups.verify(folder, tell=tell) if verify else _copy(workspace, folder, not copy, tell)
    if as_json:
        print_json(done)
        return
    whole = f"{done.files:,} files, {decimal(done.size)}"
    if verify:
        print(f"The backup in {done.folder} is whole: {whole}.")
    else:
        print(f"Backed up to {done.folder}: {whole}, of which {decimal(done.read)} were new.")
    print(f"Every row acknowledged before {done.point:%Y-%m-%d %H:%M:%S} UTC is in it.")
    _say_damaged(done.damaged)


def _copy(workspace: Path, folder: Path, link: bool, tell: Tell) -> backups.Backup:
    return open_house(workspace).backup(folder, link=link, tell=tell)


def restore(
    folder: FolderArgument,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The new workspace: a new or empty folder.")],
    state_url: Annotated[
        str | None,
        typer.Option(
            "--state-url",
            envvar="PILOTHOUSE_STATE_URL",
            show_envvar=True,
            help="Put the state into this empty PostgreSQL database instead of a file.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a workspace of the backup in DIR, after reading all of it back."""
    with _bar("Restoring") as tell:
        done = restore_copy(folder, workspace, local_operator(), state_url=state_url, tell=tell)
    if as_json:
        print_json(done)
        return
    print(f"Restored {len(done.models)} models to {done.workspace} ({done.files:,} files, {decimal(done.size)}).")
    print(f"Every row acknowledged before {done.point:%Y-%m-%d %H:%M:%S} UTC is back; what came later may be missing.")
    if done.audit_broken_at is not None:
        print(f"Row {done.audit_broken_at} of the audit trail does not fit its chain: it was so in the backup.")
    _say_damaged(done.damaged)
    print(f"Next: pilothouse up --workspace {workspace}")


def _say_damaged(damaged: tuple[str, ...]) -> None:
    for path in damaged:
        print(f"{path} was damaged in the workspace already: it is in the backup as it was found.", file=sys.stderr)


@contextmanager
def _bar(words: str) -> Iterator[Tell]:
    """A progress bar on the terminal's error stream, so that what is printed stays clean; none without a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(words), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

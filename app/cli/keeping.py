"""Commands about what a model's log keeps, who may see it, and whether it is whole."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer
from rich.progress import Progress

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    ReasonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.errors import BadPolicy
from pilothouse.data.policies import LogPolicy
from pilothouse.ops.governance.erasure import Receipt

_DAMAGED = 6
_FOR_EVER = "forever"
_SPAN = re.compile(r"(\d{1,5})([dw])")

quarantine = typer.Typer(help="Files of the log that are damaged.", no_args_is_help=True)

_AgeOption = typer.Option(metavar="AGE", help=f"For example 90d or 52w; `{_FOR_EVER}` takes the limit away.")


def retention(
    name: str,
    keep: Annotated[str | None, _AgeOption] = None,
    keep_private: Annotated[str | None, _AgeOption] = None,
    full: Annotated[str | None, _AgeOption] = None,
    sample: Annotated[float | None, typer.Option(help="Share of the rows kept that are older than --full.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Carry it out now, not on the worker's next round.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How long single rows of NAME are kept; roll-ups are kept for good. Without options, what is agreed."""
    handle = open_house(workspace)[name]
    policy = _changed(handle.log_policy, keep, keep_private, full, sample)
    done = handle.preview_log_policy(policy) if dry_run else None
    if not dry_run and policy != handle.log_policy:
        handle.set_log_policy(policy)
    if now and not dry_run:
        done = handle.keep_now()
    if as_json:
        print_json({"model": name, "policy": policy, "dry_run": dry_run, "done": done})
        return
    for line in policy_lines(policy):
        print(line)
    if done is not None:
        verb = "would go" if dry_run else "went"
        print(
            f"{done.rows_removed:,} rows and {done.labels_removed:,} labels {verb} with their days, {done.rows_thinned:,} "
            f"rows {verb} from samples; {done.rows_emptied:,} rows {'would lose' if dry_run else 'lost'} what is private."
        )


def policy_lines(policy: LogPolicy) -> list[str]:
    """A policy as sentences.

    >>> policy_lines(LogPolicy(keep_days=90))
    ['Rows are removed after 90 days.', 'Private columns are kept as long as their rows.', 'All rows are kept whole.']
    """
    private = policy.keep_private_days
    return [
        "Rows are kept for ever." if policy.keep_days is None else f"Rows are removed after {policy.keep_days} days.",
        "Private columns are kept as long as their rows."
        if private is None
        else f"Entity ids, business keys, sensitive and masked columns are emptied after {private} days.",
        "All rows are kept whole."
        if policy.full_days is None or policy.sample_share == 1
        else f"Of rows older than {policy.full_days} days a sample of {policy.sample_share:.0%} is kept, with weights.",
    ]


def erase(
    name: str,
    entity: str,
    reason: ReasonOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the rows, and change nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Remove every row of ENTITY from NAME: tables, older versions, spools, snapshots, references. It cannot be undone."""
    receipt = open_house(workspace)[name].erase(entity, reason=reason, dry_run=dry_run)
    if as_json:
        print_json(receipt)
    else:
        _print_receipt(receipt)
    if receipt.leftovers:
        raise typer.Exit(5)


def _print_receipt(receipt: Receipt) -> None:
    if receipt.dry_run:
        print(f"{receipt.rows_removed:,} sealed rows would be removed, with their labels and what was made of them.")
        return
    print_table(
        f"Erased from {receipt.model} at {receipt.at:%Y-%m-%d %H:%M} UTC",
        ("place", "looked at", "rows removed", "files rewritten or deleted"),
        [(place.name, place.looked_at, place.rows_removed, len(place.files)) for place in receipt.places],
    )
    if receipt.waiting:
        print(f"{receipt.waiting:,} rows arrived meanwhile. Stop sending them, and erase again.")
    for file in receipt.leftovers:
        print(f"Still readable in {file}: look at it.")
    for place in receipt.not_reached:
        print(f"Not reached: {place}.")


def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model; all of them when left out.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Hash every file of the tables at full speed. Ends with 6 when one is not what was written."""
    house = open_house(workspace)
    reports = []
    with Progress(transient=True, disable=as_json) as bar:
        for model in house.models() if name is None else [name]:
            task = bar.add_task(model)
            handle = house[model]
            reports.append(handle.verify(lambda done, total, task=task: bar.update(task, completed=done, total=total)))  # type: ignore[misc]
    if as_json:
        print_json({"models": reports})
    for report in [] if as_json else reports:
        print(f"{report.model}: {report.files:,} files, {report.size / 2**20:,.1f} MB, {len(report.damage)} damaged")
        for damage in report.damage:
            print(f"  {damage.sentence}")
    if any(report.damage for report in reports):
        raise typer.Exit(_DAMAGED)


@quarantine.command("list")
def list_damage(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Files that were found damaged."""
    found = open_house(workspace).damage()
    if as_json:
        print_json({"damage": found})
        return
    print_table(
        "Damaged files",
        ("model", "table", "file", "of", "rows", "what is wrong"),
        [(d.model, d.table, d.file, d.period, d.rows, d.reason) for d in found],
    )


@quarantine.command("drop")
def drop_damaged(name: str, file: str, reason: ReasonOption, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Give up a damaged FILE of NAME's log: its rows are lost, roll-ups keep their counts, the rest can be read again."""
    lost = open_house(workspace)[name].drop_damaged(file, reason=reason)
    rows = "an unknown number of" if lost.rows is None else f"{lost.rows:,}"
    print(f"{lost.file} is out of the table {lost.table}: {rows} rows of {lost.period} are lost.")


def _changed(
    policy: LogPolicy, keep: str | None, keep_private: str | None, full: str | None, sample: float | None
) -> LogPolicy:
    ages = {"keep_days": keep, "keep_private_days": keep_private, "full_days": full}
    days = {name: _days(name, text) for name, text in ages.items() if text is not None}
    return replace(policy, **days, **({} if sample is None else {"sample_share": sample}))  # type: ignore[arg-type]


def _days(name: str, text: str) -> int | None:
    """
    >>> _days("keep_days", "2w"), _days("keep_days", "forever")
    (14, None)
    """
    if text == _FOR_EVER:
        return None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise BadPolicy(name, text, f"days or weeks such as 90d or 52w, or `{_FOR_EVER}`")
    return int(found[1]) * (7 if found[2] == "w" else 1)

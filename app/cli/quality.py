"""The commands for the quality of data: what is broken, and what the rules are."""

from __future__ import annotations

from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pilothouse.app import quality_words as words
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    ReasonOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    place_to_write,
    print_json,
    print_table,
)
from pilothouse.data.measures.quality import Quality
from pilothouse.ops.measuring.schemas import AgreedSchema

schema = typer.Typer(help="What the values of a model's columns are to keep to.", no_args_is_help=True)
_SHOWN = 20


class Form(StrEnum):
    """The forms that pandera reads."""

    YAML = "yaml"
    JSON = "json"


def quality(
    name: str,
    window: WindowOption = "7d",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Which rules the rows of NAME break and since when, and whether as many rows come as usual."""
    found = open_house(workspace)[name].quality(window)
    if as_json:
        print_json(_told(found))
        return
    print(words.answer(found, UTC))
    if not found.rows:
        return
    print(words.basis(found))
    print_table(
        f"{name}: rules, worst first",
        ("rule", "state", "violations", "share", "since", "newest row that breaks it"),
        [
            (
                line.rule.words,
                line.state,
                f"{line.violations:,}",
                line.share,
                line.since,
                next(iter(line.examples), None),
            )
            for line in found.rules[:_SHOWN]
        ],
    )
    odd = found.volume.odd_hours
    if odd:
        print_table(
            f"{name}: odd hours, newest first",
            ("from", "rows", "usually", "what"),
            [(hour.window.start, hour.rows, hour.expected, hour.odd) for hour in odd[::-1][:_SHOWN]],
        )


def _told(found: Quality) -> dict[str, Any]:
    """The answer for machines, with what follows from its counts."""
    return {
        "model": found.model, "window": found.window, "state": found.state, "schema_version": found.schema_version,
        "tolerated": found.tolerated, "rows": found.rows,
        "rules": [
            {"rule": line.rule.name, "words": line.rule.words, "state": line.state, "violations": line.violations,
             "share": line.share, "since": line.since, "broken_buckets": line.broken, "examples": line.examples}
            for line in found.rules
        ],
        "volume": {
            "state": found.volume.state, "reason": found.volume.reason, "late": found.volume.late,
            "last_at": found.volume.last_at, "missed": found.volume.missed, "error_share": found.volume.error_share,
            "odd_hours": [
                {"window": hour.window, "rows": hour.rows, "expected": hour.expected, "what": hour.odd}
                for hour in found.volume.odd_hours
            ],
        },
    }  # fmt: skip


@schema.command()
def show(name: str, workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """The rules of NAME in force, and the versions before them."""
    _print(open_house(workspace)[name].schema, as_json)


@schema.command()
def edit(
    name: str,
    edits: Annotated[
        list[str] | None, typer.Argument(help="'age <= 120', 'plan in A,B', 'age may be missing', 'tolerate 1%', ...")
    ] = None,
    reason: ReasonOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Agree on other rules for NAME; without an edit, on those that were inferred."""
    _print(open_house(workspace)[name].edit_schema(*(edits or ()), reason=reason), as_json)


@schema.command()
def export(
    name: str,
    form: Annotated[Form, typer.Option("--form", help="Which of pandera's forms.")] = Form.YAML,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write it; left out, it is printed.", callback=place_to_write),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """The rules of NAME as a schema of pandera. Sensitive and masked columns are left out."""
    held = open_house(workspace)[name].schema
    document = held.to_yaml() if form is Form.YAML else held.to_json()
    if out is None:
        print(document)
    else:
        out.write_text(document, encoding="utf-8")
        print(out)


def _print(held: AgreedSchema, as_json: bool) -> None:
    terms = held.terms
    if as_json:
        told = [{"rule": rule.name, "words": rule.words, "bound": rule.bound} for rule in held.rules]
        versions = [{"version": row.version, "at": row.created_at, "by": row.created_by, "reason": row.reason}
                    for row in held.history]  # fmt: skip
        print_json({"model": held.model, "version": held.version, "rules": told, "tolerated": terms.tolerated,
                    "stops_above": terms.stops_above, "tests_stop": terms.tests_stop, "versions": versions})  # fmt: skip
        return
    print_table(f"{held.model}: version {held.version}", ("rule",), [(rule.words,) for rule in held.rules])
    print(f"tolerated: {terms.tolerated:.2%} of the rows; a retraining stops above {terms.stops_above:.2%}")
    if held.history:
        rows = [(row.version, row.created_at, row.created_by, row.reason) for row in held.history]
        print_table("versions", ("version", "when", "who", "why"), rows)

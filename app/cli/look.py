"""Commands that look into the log: its rows, its labels, its columns."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

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
)
from pilothouse.app.panels.explain import value_words
from pilothouse.data.errors import BadData, BadFilter
from pilothouse.data.log.filters import parse_filter
from pilothouse.data.signature import Task

_SHOWN = ("at", "prediction_id", "version", "role", "prediction", "score", "label")


def rows(
    name: str,
    window: WindowOption = "7d",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows at most.")] = 20,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="A condition, as carrier=UA or 'wind>30' or 'wind is missing'; may be repeated."),
    ] = None,
    id: Annotated[str | None, typer.Option("--id", help="The prediction with this id.")] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="A business key, as flight=UA12; may be repeated.")
    ] = None,
    before: Annotated[str | None, typer.Option("--before", help="The `next` of an answer: the rows after it.")] = None,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """The newest rows of NAME's log with their labels, sealed or not."""
    handle = open_house(workspace)[name]
    filters = [parse_filter(text, handle.signature) for text in where or ()]
    found = handle.rows(
        window, limit, filters=filters, id=id, key=_pairs(key or []) or None, before=before, unmask=unmask,
        reason=reason,
    )  # fmt: skip
    if as_json:
        named = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        print_json(
            {"model": name, "rows": named, "total": found.total, "total_reason": found.total_reason,
             "next": found.next, "watermark": found.watermark}
        )  # fmt: skip
        return
    shown = [column for column in _SHOWN if column != "score" or handle.task is Task.BINARY]
    asked = [f.column for f in filters if f.column not in shown]
    stored = [handle.signature.stored_as(column) or column for column in asked]
    places = [(column, found.columns.index(column)) for column in (*shown, *stored)]
    of = "" if found.total is None else f" of {found.total:,}"
    print_table(
        f"{name}: {len(found.rows):,}{of} rows",
        (*shown, *asked),
        [[_cell(column, row[place]) for column, place in places] for row in found.rows],
    )
    if found.next is not None:
        print(f"more: --before '{found.next}'")


def labels(
    name: str,
    window: WindowOption = "4w",
    every: Annotated[str, typer.Option("--every", help="Length of a cohort: 1d, 1w.")] = "1w",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How many rows of NAME have a label, how long labels take, and what is odd about them."""
    handle = open_house(workspace)[name]
    found = handle.labels(window, every)
    if as_json:
        print_json(found)
        return
    print_table(
        f"{name}: labels by cohorts of {every}",
        ("from", "rows", "labelled", "coverage", "half within", "95 % within", "mature"),
        [
            (c.window.start, c.rows, c.labelled, c.coverage, _days(c.delay_p50), _days(c.delay_p95), c.mature)
            for c in found.cohorts
        ],
    )
    facts = found.facts
    print(
        f"{facts.told:,} labels recorded: {facts.unknown:,} of unknown predictions, {facts.late:,} late, "
        f"{facts.conflicting:,} conflicting, {facts.corrected:,} corrected"
    )


def columns(
    name: str,
    told: Annotated[
        list[str] | None, typer.Option("--class", metavar="COL=CLASS", help="Give a column a class; repeat.")
    ] = None,
    window: WindowOption = "26w",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Columns of NAME's log: the class of each (--class changes it), and those that came, went or changed their type."""
    handle = open_house(workspace)[name]
    for column, chosen in classes_of(told or []).items():
        handle.set_class(column, chosen)
    found = handle.schema_changes(window)
    if as_json:
        print_json({"model": name, "columns": handle.columns, "changes": found})
        return
    print_table(
        f"{name}: columns",
        ("column", "role", "kind", "class"),
        [(line.name, line.role, line.kind, line.told) for line in handle.columns],
    )
    print_table(
        f"{name}: changes of columns",
        ("since", "column", "change", "detail"),
        [(change.at, change.column, change.kind, change.detail) for change in found],
    )


def classes_of(texts: list[str]) -> dict[str, str]:
    """Classes by column, from `COL=CLASS` texts. Raises BadData."""
    pairs = {column: chosen for column, equals, chosen in (text.rpartition("=") for text in texts) if equals}
    if len(pairs) < len(texts):
        raise BadData("A class is given as COL=CLASS, once a column, for example --class age=masked.")
    return pairs


def _pairs(texts: list[str]) -> dict[str, str | int | float]:
    """`name=value` pairs; a value that is a number is one, as in the keys of the log."""
    pairs: dict[str, str | int | float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadFilter(text, "a key is a name and a value", ["flight=UA12"])
        pairs[name] = _number(value)
    return pairs


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _cell(column: str, value: object) -> object:
    """A class that is a number, or a feature, as it is: 1, not 1.000."""
    return value_words(value) if isinstance(value, float) and column != "score" else value


def _days(delay: timedelta | None) -> str | None:
    return None if delay is None else f"{delay.days} d"

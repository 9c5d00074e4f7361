"""Commands that explain: one prediction, and what a model leans on at all."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from pilothouse.app import formats
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
    span_text,
)
from pilothouse.app.panels import contributions, leaning
from pilothouse.app.panels import explain as panels
from pilothouse.data.errors import BadData
from pilothouse.data.measures.attribution import AttributionDrift
from pilothouse.data.measures.contributions import Contributions
from pilothouse.data.measures.explanation import By, Explanation


def explain(
    name: str,
    id: Annotated[str | None, typer.Option("--id", help="The prediction with this id.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Its business key, as JSON.")] = None,
    row: Annotated[str | None, typer.Option("--row", help="A row of features, as JSON; it is not logged.")] = None,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Of several classes: explain the chance of this one.")
    ] = None,
    by: Annotated[By, typer.Option("--by", help="Shapley values of the answer, or the library shap.")] = By.OURS,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Why NAME said what it said: the features of one row beside the reference, and what each contributed."""
    found = open_house(workspace)[name].explain(
        id=id,
        key=_object(key, "--key"),
        row=_object(row, "--row"),
        of_class=of_class,
        by=by,
        unmask=unmask,
        reason=reason,
    )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _object(text: str | None, option: str) -> dict[str, Any] | None:
    """The JSON object that an option gives. Raises BadData."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadData(f"{option} is no JSON ({error.msg} at character {error.pos}).") from None
    if not isinstance(value, dict) or not value:
        raise BadData(f'{option} must be a JSON object, such as {{"flight": "UA12"}}.')
    return value


def _print(found: Explanation) -> None:
    print(panels.answer(found))
    print(f"Today's champion: {panels.champion_words(found)}.")
    print_table(
        f"{found.model} v{found.said.version}, {found.explained}",
        ("feature", "value", "contribution", "95 % band", "beside the reference"),
        [
            (
                f.name, panels.shown_value(f), formats.change(f.contribution.value),
                panels.band_words(f.contribution), panels.place_words(f.place),
            )
            for f in found.features
        ],
    )  # fmt: skip
    for words in (f"{found.method}." if found.method else "", found.note):
        if words:
            print(words)


class _How(StrEnum):
    PERMUTATION = "permutation"
    SHAP = "shap"


def importance(
    name: str,
    window: WindowOption = "28d",
    reference: Annotated[bool, typer.Option("--reference", help="On the reference rows instead of a window.")] = False,
    drift: Annotated[
        bool, typer.Option("--drift", help="Whether features contribute more or less than on the reference.")
    ] = False,
    by: Annotated[
        _How,
        typer.Option("--by", help="How much worse it gets, or the mean size of contributions by the library shap."),
    ] = _How.PERMUTATION,
    version: Annotated[int | None, typer.Option("--version", help="Of another version than the champion.")] = None,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """What NAME leans on: how much worse it gets when one feature's values are shuffled among labelled rows."""
    handle = open_house(workspace)[name]
    if drift:
        _print_drift(handle.attribution_drift(window, version=version, unmask=unmask, reason=reason), as_json)
        return
    if by is _How.SHAP:
        span = None if reference else window
        _print_sizes(handle.importance(span, by="shap", version=version, unmask=unmask, reason=reason), as_json)
        return
    found = handle.importance(None if reference else window, version=version, unmask=unmask, reason=reason)
    if as_json:
        print_json(found)
        return
    print(leaning.importance_answer(found))
    if not found.reason:
        print_table(
            f"{name} v{found.version}, {found.metric}",
            ("feature", "drop", "95 % band"),
            [
                (" + ".join(f.names), formats.number(f.drop.value, 4), formats.band(f.drop.low, f.drop.high, 4))
                for f in (*found.features, *found.groups)
            ],
        )
        print(leaning.importance_note(found))


def _print_sizes(found: Contributions, as_json: bool) -> None:
    if as_json:
        # Without the contributions to single answers: hundreds of numbers a feature, which the notebook gives.
        print_json(replace(found, features=tuple(replace(f, parts=(), ranks=()) for f in found.features)))
        return
    print(contributions.answer(found))
    if found.features:
        print_table(
            f"{found.model} v{found.version}, {found.explained}",
            ("feature", "mean size", "95 % band"),
            [
                (f.name, formats.number(f.size.value, 4), formats.band(f.size.low, f.size.high, 4))
                for f in found.features
            ],
        )
        print(contributions.note(found))


def _print_drift(found: AttributionDrift, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(leaning.attribution_answer(found))
    if found.features:
        print_table(
            f"{found.model} v{found.version}: {found.rows:,} of {found.of_rows:,} rows, {span_text(found.window)}",
            ("feature", "reference", "window", "change", "95 % band", "said to differ"),
            [
                (f.name, f.reference, f.window, formats.signed(f.change.value, 4),
                 formats.band(f.change.low, f.change.high, 4), "yes" if f.changed else "no")
                for f in found.features
            ],
        )  # fmt: skip
    if found.unshown:
        print(found.unshown)

"""Commands about drift: how far features have moved, and from where on that counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

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
from pilothouse.app.panels import changes, together
from pilothouse.app.panels.drift import drift_answer
from pilothouse.data.history.results import Drift, FeatureDrift
from pilothouse.data.measures.changes import CHANCE, differing
from pilothouse.data.measures.multivariate import Multivariate
from pilothouse.ops.measuring.drift_thresholds import BUDGET, WINDOW

ExactOption = Annotated[bool, typer.Option("--exact", help="Read every row instead of the counts by bin.")]
_MORE = {"q": CHANCE, "Cramér's V": "cramers_v", "TVD": "total_variation", "Hellinger": "hellinger",
         "out of range": "out_of_range"}  # fmt: skip


def drift(
    name: str,
    window: WindowOption = "7d",
    exact: ExactOption = False,
    multivariate: Annotated[bool, typer.Option("--multivariate", help="All features together; takes seconds.")] = False,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How far the features of NAME have moved from its reference."""
    handle = open_house(workspace)[name]
    span = handle.window(window)
    if multivariate:
        _show_together(handle.multivariate_drift(span), as_json=as_json)
        return
    found, unshown = handle.shown_drift(span, exact=exact, unmask=unmask, reason=reason)
    found = replace(found, prediction=handle.prediction_drift(span))
    if as_json:
        print_json(found)
        return
    _print_drift(found)
    for sentence in (differing(found.features).sentence, unshown):
        if sentence:
            print(sentence)


def drift_thresholds(
    name: str,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", help="False alarms a month over features, score and answers; else what holds is shown."
        ),
    ] = None,
    window: Annotated[str, typer.Option("--window", help="The length drift is looked at, in whole days: 7d.")] = WINDOW,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="START/END: when nothing was wrong; else the log's first 8 weeks.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Judge by the fixed marks again.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """From which values on a feature of NAME, its score or its answers count as drifted; or calibrate that to a budget."""
    handle = open_house(workspace)[name]
    if clear or budget is not None:
        handle.calibrate_drift(budget or BUDGET, window, baseline=baseline, clear=clear)
    held = handle.drift_thresholds
    if as_json:
        print_json(held)
        return
    print(changes.thresholds_sentence(held, for_this=True))
    if held is not None:
        measures = ("psi", "ks", "jensen_shannon", "missing")
        named = [*held.features.items(), *((f"({name})", limits) for name, limits in held.answers.items())]
        rows = [(name, *(limits.get(m) for m in measures)) for name, limits in named]
        print_table("", ("feature", "PSI", "KS", "Jensen-Shannon", "rise of missing"), rows)


def _print_drift(found: Drift) -> None:
    print(drift_answer(found))
    if not found.rows:
        return
    output = [("(score)", found.score), ("(prediction)", found.prediction)]
    lines = [*((f.name, f) for f in found.features), *((title, f) for title, f in output if f is not None)]
    print_table(
        f"{found.model}: {found.rows:,} rows, {span_text(found.window)}",
        ("feature", "state", "PSI", "KS", "missing", "new", "why"),
        [(title, f.state, f.psi, f.ks, f.missing, f.new_share, f.reason) for title, f in lines],
    )
    print_table("", ("feature", "Wasserstein, sd", *_MORE), [(title, f.wasserstein, *_more(f)) for title, f in lines])


def _more(f: FeatureDrift) -> list[float | None]:
    told = [(measure, f.more.get(measure)) for measure in _MORE.values()]
    return [None if m is None else m.q if measure == CHANCE else m.value for measure, m in told]


def _show_together(found: Multivariate, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(together.answer(found))
    print(together.note(found))
    measures = [(title, m.value, formats.band(m.low, m.high), words) for title, m, words in together.measures_of(found)]
    print_table("", ("measure", "value", "band", "what it says"), measures)
    if told := together.told_apart_by(found):
        print_table("", ("feature", "AUC lost when it is shuffled"), told)

"""Commands about segments: by column, found by a search, and as groups to be treated alike."""

from __future__ import annotations

import sys
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
    span_text,
)
from pilothouse.app.panels import fairness as groups
from pilothouse.app.panels import segments as compared
from pilothouse.app.panels.weak import answer, note
from pilothouse.data.errors import BadData
from pilothouse.data.history.results import Metric, SegmentTable
from pilothouse.data.measures.fairness import GROUP_ROWS, Fairness
from pilothouse.data.measures.segment_comparison import SegmentComparison
from pilothouse.data.measures.weak_segments import WeakSegments

_NEW = {True: "yes", False: "no", None: None}


def segments(
    name: str,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="The column whose values are told apart; twice for pairs.")
    ] = None,
    window: WindowOption = "28d",
    compare: Annotated[bool, typer.Option("--compare", help="Beside all other rows, with bands.")] = False,
    watch: Annotated[
        list[str] | None, typer.Option("--watch", help="Count by this column from now on, and by no other; repeatable.")
    ] = None,
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How many rows of NAME each value of a column has, and how right the model was on them, worst first."""
    handle = open_house(workspace)[name]
    if watch:
        print(f"watched: {', '.join(handle.watch_segments(*watch))}", file=sys.stderr if as_json else None)
    columns = by or list(watch or handle.row.segments)[:1]
    if not columns:
        raise BadData(f"No segments of {name} are watched. Name a column with --by, or have one watched with --watch.")
    found: SegmentTable | SegmentComparison
    if compare or len(columns) > 1:
        found = handle.compared_segments(*columns, window=window, unmask=unmask, reason=reason)
    else:
        found = handle.segments(columns[0], window, unmask=unmask, reason=reason)
    if as_json:
        print_json(found)
    elif isinstance(found, SegmentComparison):
        _print_comparison(found)
    else:
        _print_segments(found)


def _print_segments(found: SegmentTable) -> None:
    metrics = list(dict.fromkeys(metric for segment in found.segments for metric in segment.metrics))
    print_table(
        f"{found.model} by {found.column}: {span_text(found.window)}",
        ("value", "rows", "labelled", "coverage", *metrics),
        [(s.value, s.rows, s.labelled, s.coverage, *(s.metrics[m].value for m in metrics)) for s in found.segments],
    )


def _print_comparison(found: SegmentComparison) -> None:
    print(compared.answer(found))
    print_table(
        f"{found.model} by {' and '.join(found.columns)}: {span_text(found.window)}",
        ("segment", "rows", found.metric, "95 % band", "against the rest", "score PSI", "note"),
        [
            (s.name, s.rows, s.metric.value, _band(s.metric), _band(s.difference), s.score_psi.value,
             s.metric.reason or s.difference.reason or None)
            for s in found.segments
        ],
    )  # fmt: skip
    if together := compared.bands_of(found):
        print(together)
    if found.unlisted:
        print(f"{found.unlisted:,} rarer segments, {found.unlisted_rows:,} rows together, are left out.")


def weak_segments(
    name: str,
    window: WindowOption = "28d",
    loss: Annotated[
        str | None,
        typer.Option("--loss", help="Of a binary model log_loss, brier, or surprise: beyond what it expected itself."),
    ] = None,
    min_share: Annotated[float, typer.Option("--min-share", help="Least share of the rows.", min=0.0, max=0.5)] = 0.01,
    max_depth: Annotated[int, typer.Option("--max-depth", help="Conditions of a segment.", min=1, max=2)] = 2,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Search the log of NAME for segments of one or two conditions on which it is worse than on all other rows."""
    handle = open_house(workspace)[name]
    found = handle.weak_segments(window, loss, min_share=min_share, max_depth=max_depth)
    if as_json:
        print_json(found)
        return
    print(answer(found))
    if found.found:
        _print_weak(found)
    if not found.reason:
        print(note(found))


def _print_weak(found: WeakSegments) -> None:
    print_table(
        f"{found.model}: {found.loss}, {span_text(found.window)}",
        ("segment", "share", "loss", "rest", "difference", "q", "worse in", "new"),
        [
            (
                s.name, s.share, s.loss.value, s.rest.value, _band(s.difference), s.q, f"{s.worse_in} of {s.parts}",
                _NEW[s.new_since_deploy],
            )
            for s in found.found
        ],
    )  # fmt: skip


def fairness(
    name: str,
    column: Annotated[str, typer.Argument(help="The feature or context column whose values are the groups.")],
    window: WindowOption = "28d",
    min_rows: Annotated[int, typer.Option("--min-rows", help="Rows that a group must have.", min=1)] = GROUP_ROWS,
    every: Annotated[str, typer.Option("--every", help="Steps of the trend in --json: 1d, 1w, 4w.")] = "1w",
    unmask: UnmaskOption = False,
    reason: WhyOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How alike NAME treats the groups of COLUMN: rates by group, parity and odds, by fairlearn's definitions."""
    handle = open_house(workspace)[name]
    found = handle.fairness(column, window, min_rows=min_rows, every=every, unmask=unmask, reason=reason)
    if as_json:
        print_json(found)
        return
    print(groups.answer(found))
    _print_groups(found)
    if found.reason:
        return
    print_table(
        "How far apart",
        ("", "value", "95 % band", "by chance", "lowest", "highest", "note"),
        [
            (
                groups.APART_WORDS[key],
                d.value.value,
                _band(d.value),
                d.by_chance,
                d.lowest,
                d.highest,
                d.value.reason or None,
            )
            for key, d in found.disparities.items()
        ],
    )
    if found.four_fifths is not None:
        print(f"Four-fifths rule: {found.four_fifths.reason}")


def _print_groups(found: Fairness) -> None:
    print_table(
        f"{found.model} by {found.column}: {found.rows:,} rows, {found.labelled:,} labelled, {span_text(found.window)}",
        ("group", "rows", "labelled", "rate", "value", "95 % band"),
        [
            (g.name, g.rows, g.labelled, groups.RATE_WORDS[name], metric.value, _band(metric) or metric.reason)
            for g in found.groups
            for name, metric in g.metrics.items()
        ],
    )
    if found.left_out:
        print(f"left out: {', '.join(f'{group} ({rows:,})' for group, rows in found.left_out)}")


def _band(metric: Metric) -> str | None:
    return None if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"

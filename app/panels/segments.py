"""How right a model is on each value of a column, or of two, beside all other rows, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.app import formats, markup, together_words
from pilothouse.app import metric_words as words
from pilothouse.app.panel import Panel, Table
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.segment_comparison import ComparedSegment, SegmentComparison
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.signature import NUMERIC, Task
from pilothouse.ops.governance.columns import ColumnLine

_SHOWN = 15
_HEAD = (
    "segment", "rows", "labelled", "coverage", "value", "low", "high", "rest", "difference", "difference_low",
    "difference_high", "score_psi", "reason",
)  # fmt: skip


def columns_to_choose(columns: Sequence[ColumnLine], watched: Sequence[str]) -> list[str]:
    """Columns that a person may tell segments apart by: watched ones first, then categories, then measurements."""
    shown = [c for c in columns if c.role != "entity" and c.told not in UNSHOWN]
    first = [name for name in watched if any(c.name == name for c in shown)]
    rest = sorted((c for c in shown if c.name not in watched), key=lambda c: c.kind in NUMERIC)
    return first + [c.name for c in rest]


def panel(found: SegmentComparison) -> Panel:
    """The segments as rows, and the sentence about the worst."""
    by = " and ".join(found.columns)
    asked = ", ".join(repr(name) for name in found.columns)
    return Panel(
        name=f"{found.model}-segments",
        title=f"By {by}",
        answer=answer(found),
        rows=Table(columns=_HEAD, rows=tuple(map(_cells, found.segments))),
        empty="" if found.segments else "No predictions in this range.",
        note=_note(found),
        code=f'house["{found.model}"].compared_segments({asked}, window="{found.window}")',
    )


def _cells(s: ComparedSegment) -> tuple[str | float | int | None, ...]:
    own, gap = s.metric, s.difference
    return (
        s.name, s.rows, s.labelled, s.coverage, own.value, own.low, own.high, s.rest.value, gap.value, gap.low, gap.high,
        s.score_psi.value, own.reason or gap.reason,
    )  # fmt: skip


def table(found: SegmentComparison) -> markup.Html:
    """The worst segments, each with its band, and how far they are from the rest."""
    scored = _scored(found)
    moved = ("Score PSI",) if scored else ()
    head = (
        " and ".join(found.columns), words.title(found.metric), "95 % band", "Against the rest", "95 % band", *moved, "Rows",
        "Labels",
    )  # fmt: skip
    rows = [_row(s, found.metric, scored=scored) for s in found.segments[:_SHOWN]]
    return markup.table(head, rows, right=(1, 3, *range(5, len(head))))


def _scored(found: SegmentComparison) -> bool:
    """Whether the model gives a score that may drift; only binary models do, and they are judged by their ranking."""
    return found.metric == words.MAIN[Task.BINARY][0]


def _row(s: ComparedSegment, metric: str, *, scored: bool) -> list[object]:
    name = markup.name(s.name)
    psi = markup.tag("span", formats.number(s.score_psi.value, 2), title=s.score_psi.reason)
    moved = [psi] if scored else []
    return [
        name, *_said(metric, s.metric), *_beside(metric, s.difference, s.metric.value), *moved, formats.count(s.rows),
        formats.share(s.coverage),
    ]  # fmt: skip


def _said(name: str, metric: Metric) -> list[object]:
    """A value and its band; or why there is none."""
    if metric.value is None or metric.low is None:
        return [words.value(name, metric.value), markup.tag("span", metric.reason, kind="ph-quiet")]
    return [words.value(name, metric.value), _with_words(words.band(name, metric), metric)]


def _with_words(text: str, metric: Metric) -> markup.Html:
    """A band that says of itself what it counts together."""
    return markup.tag("span", text, title=together_words.of_metric(metric))


def _beside(name: str, gap: Metric, like: float | None) -> list[object]:
    """A difference and its band. like : the segment's own value, whose decimals they take."""
    if gap.value is None:
        return [formats.NOTHING, ""]
    if gap.low is None or gap.high is None:
        return [words.change(name, gap.value, like), ""]
    return [words.change(name, gap.value, like), _with_words(words.change_band(name, gap, like), gap)]


def answer(found: SegmentComparison) -> str:
    """Where the metric is worst and best, and whether chance alone may have made the worst one."""
    known = [s for s in found.segments if s.metric.value is not None]
    if not found.segments:
        return "There are no predictions in this range."
    if len(known) < 2:
        return "Too few labels to compare segments yet."
    worst, best = known[0], known[-1]
    values = [words.value(found.metric, each.metric.value) for each in (worst, best)]
    named = [formats.short(each.name) or "(empty text)" for each in (worst, best)]
    by = " and ".join(found.columns)
    said = f"By {by}, {words.in_sentence(found.metric)} is worst for {named[0]} ({values[0]}) and best for {named[1]} ({values[1]})."
    return f"{said} {_how_sure(found.metric, worst)}".rstrip()


def _how_sure(metric: str, worst: ComparedSegment) -> str:
    gap = worst.difference
    if gap.value is None or gap.low is None or gap.high is None:
        return ""
    like = worst.metric.value
    far = (
        f"{words.change(metric, gap.value, like)} from all other rows, 95 % band {words.change_band(metric, gap, like)}"
    )
    return f"The worst lies {far}{': that may be chance' if gap.low <= 0 <= gap.high else ''}."


def _note(found: SegmentComparison) -> str:
    if not found.segments:
        return ""
    more = f"The {_SHOWN} worst of {len(found.segments)}; the menu has all. " if len(found.segments) > _SHOWN else ""
    rare = (
        f"{found.unlisted:,} rarer ones, {found.unlisted_rows:,} rows together, are left out. "
        if found.unlisted
        else ""
    )
    moved = " Score PSI is against the reference rows of the same segment." if _scored(found) else ""
    return f"{more}{rare}The rest is all other rows. {bands_of(found)}{moved}".rstrip()


def bands_of(found: SegmentComparison) -> str:
    """What the bands count as one draw."""
    return together_words.of_bands(
        [m.by for s in found.segments for m in (s.metric, s.difference) if m.low is not None]
    )

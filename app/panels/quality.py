"""Rules and their violations, hours and their rows, as panels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from pilothouse.app import formats, markup, quality_words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import State
from pilothouse.data.measures.quality import Quality, RuleLine, VolumeHour
from pilothouse.data.state.schemas import SchemaRow

_SHOWN, _FEW = 20, 5
_SHOWN_IDS = 3


def shown(found: Quality) -> tuple[RuleLine, ...]:
    """The rules that rows break, worst first; the first few where none is broken at all."""
    violated = tuple(line for line in found.rules if line.violations)
    return violated[:_SHOWN] or found.rules[:_FEW]


def rules(found: Quality) -> Panel:
    """Every rule as a row, worst first."""
    columns = ("rule", "state", "rows", "violations", "share", "broken_buckets", "since", "examples")
    rows = tuple(
        (line.rule.words, line.state, line.rows, line.violations, line.share, line.broken, line.since,
         " ".join(line.examples))
        for line in found.rules
    )  # fmt: skip
    hold = len(found.rules) - len(shown(found))
    return Panel(
        name=f"{found.model}-rules",
        title="Rules that rows break, worst first" if any(line.violations for line in found.rules) else "Rules",
        rows=Table(columns=columns, rows=rows),
        empty="" if found.rows else "No rows in this range. Choose a longer one.",
        note=f"{hold} more rules are broken by no row, or by fewer than these; the menu has all."
        if hold and found.rows
        else "",
        code=f'house["{found.model}"].quality("{found.window}")',
    )


def table(found: Quality, zone: tzinfo) -> markup.Html:
    """The worst rules, with the newest rows that break them."""
    head = ("Rule", "State", "Violations", "Share", "Broken since", "Newest rows that break it")
    return markup.table(head, [_row(line, zone) for line in shown(found)], right=(2, 3))


def _row(line: RuleLine, zone: tzinfo) -> list[object]:
    ids = markup.tag("span", ", ".join(line.examples[:_SHOWN_IDS]), kind="ph-quiet")
    share = formats.share(line.share, 2) if line.violations else formats.NOTHING
    over = "" if line.state is State.CRITICAL else " (over)"
    since = f"{formats.day_of(line.since, zone)}{over}" if line.since else ""
    return [line.rule.words, markup.chip(line.state), formats.count(line.violations), share, since, ids]


def names(found: Quality) -> dict[str, str]:
    """Rules to choose from, by the words of each: broken ones first, then those with any violation."""
    chosen = [line for line in found.rules if line.violations] or found.rules[:1]
    return {line.rule.words: line.rule.name for line in chosen}


def over_time(found: Quality, rule: str, words: str, view: charts.View) -> Panel:
    """Violations of one rule by bucket; broken buckets stand out."""
    points = [point for point in found.points if point.rows]
    rows = tuple((p.window.start, p.rows, p.violations[rule], rule in p.broken) for p in points)
    panel_rows = Table(columns=("start", "rows", "violations", "broken"), rows=rows)
    hits, broken = sum(row[2] for row in rows), sum(row[3] for row in rows)
    unit = "hour" if view.every == "hour" else "day"
    answer = f"{formats.count(hits)} violations; too many on {broken} of {len(rows)} {unit}s."
    shares = [100 * p.violations[rule] / p.rows for p in points]
    colours = [Colour.CRITICAL if rule in p.broken else Colour.VOLUME for p in points]
    bars = {
        "type": "bar", "x": [view.middle(p.window) for p in points], "y": shares, "marker": {"color": colours},
        "width": [p.window.length.total_seconds() * 850 for p in points], "showlegend": False,
        "hovertemplate": "%{y:.2f}%<extra></extra>",
    }  # fmt: skip
    line = charts.local(view.within.start, view.zone), charts.local(view.within.end, view.zone)
    limit = {
        "type": "line", "x0": line[0], "x1": line[1], "y0": 100 * found.tolerated, "y1": 100 * found.tolerated,
        "line": {"color": Colour.MUTED, "width": 1, "dash": "dash"},
    }  # fmt: skip
    axis = charts.value_axis(rangemode="tozero", ticksuffix="%")
    return Panel(
        name=f"{found.model}-violations",
        title=f"{words[:80]}: share of rows that break it",
        answer=answer,
        spec=charts.timed([bars], view, yaxis=axis, shapes=[limit]) if rows else None,
        rows=panel_rows,
        empty="" if rows else "No rows in this range. Choose a longer one.",
        note="Dashed: the share that is tolerated.",
        alt=f"Share of rows by {unit} that break the rule {words}. {answer}",
        code=f'house["{found.model}"].quality("{found.window}")',
    )


def volume(found: Quality, view: charts.View) -> Panel:
    """Rows by hour, over what the same hour of past weeks had."""
    hours = found.volume.hours
    columns = ("start", "rows", "errors", "expected", "low", "high", "odd")
    rows = tuple((h.window.start, h.rows, h.errors, h.expected, h.low, h.high, h.odd) for h in hours)
    return Panel(
        name=f"{found.model}-volume",
        title="Rows by hour",
        answer=quality_words.volume_sentence(found.volume, view.zone),
        spec=_hours(hours, view) if hours else None,
        rows=Table(columns=columns, rows=rows),
        state=found.volume.state,
        empty="" if hours else "No hour of this range is counted: counts by hour are kept for the youngest days.",
        note=f"Band: the same hour of up to {found.volume.weeks} past weeks, within what chance and its own ups and downs explain."
        if found.volume.weeks
        else "",
        alt="Rows of each hour over the band of the same hour of past weeks.",
        code=f'house["{found.model}"].quality("{found.window}").volume',
    )


def _hours(hours: Sequence[VolumeHour], view: charts.View) -> charts.Trace:
    x = [view.middle(h.window) for h in hours]
    band = charts.band(x, [h.low for h in hours], [h.high for h in hours], Colour.REFERENCE, "usual") | {"opacity": 0.4}
    came = charts.line(x, [h.rows for h in hours], "rows", Colour.CURRENT, mode="lines")
    odd = [h for h in hours if h.odd]
    marks = {
        "type": "scatter", "mode": "markers", "name": "odd", "x": [view.middle(h.window) for h in odd],
        "y": [h.rows for h in odd], "marker": {"color": Colour.CRITICAL, "size": 7, "symbol": "diamond"},
        "text": [h.odd for h in odd], "hovertemplate": "%{y:,} rows, %{text}<extra></extra>",
    }  # fmt: skip
    return charts.timed([band, came, marks], view, yaxis=charts.value_axis(rangemode="tozero", tickformat="~s"))


def history(held: Sequence[SchemaRow], zone: tzinfo, guarded: frozenset[str]) -> markup.Html:
    """Versions of the schema, newest first: who changed what, when and why."""
    head = ("Version", "When", "Who", "What", "Why")
    rows = [
        (row.version, formats.moment(row.created_at, zone), row.created_by, _edits(row, guarded), row.reason)
        for row in held
    ]
    return markup.table(head, rows)


def _edits(row: SchemaRow, guarded: frozenset[str]) -> str:
    hidden = tuple(f"{name} " for name in guarded)
    return (
        "; ".join(f"{text.split(' ')[0]} …" if text.startswith(hidden) else text for text in row.edits) or "as inferred"
    )

"""How a notebook shows what a model's methods give: as the panels that the pages make of the same value.

Where no notebook runs, nothing is done: a script prints values as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import Any

from pilothouse.app import metric_words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import (
    contributions,
    estimate,
    explain,
    fairness,
    impact,
    leaning,
    lending,
    metrics,
    quality,
    segments,
    thresholds,
    together,
    weak,
)
from pilothouse.app.quality_words import answer as quality_answer
from pilothouse.data.history.results import SegmentTable
from pilothouse.data.measures.attribution import AttributionDrift
from pilothouse.data.measures.contributions import Contributions
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.explanation import Explanation
from pilothouse.data.measures.fairness import Fairness
from pilothouse.data.measures.impact import Impact
from pilothouse.data.measures.importance import Importance
from pilothouse.data.measures.multivariate import Multivariate
from pilothouse.data.measures.plan import Plan
from pilothouse.data.measures.quality import Quality
from pilothouse.data.measures.report import Lending, MetricReport, Thresholds
from pilothouse.data.measures.scoreboard import Scoreboard
from pilothouse.data.measures.segment_comparison import SegmentComparison
from pilothouse.data.measures.weak_segments import WeakSegments


def show_in_notebooks(zone: tzinfo) -> None:
    """Have the running notebook show each of these values by its panels, times in `zone`; nothing where none runs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        for kind in _PANELS:
            shell.display_formatter.ipython_display_formatter.for_type(kind, partial(_display, zone))


def panels_of(result: Any, zone: tzinfo) -> tuple[Panel, ...]:
    """The panels of one value. Raises KeyError for one that has none."""
    return _PANELS[type(result)](result, zone)


def _display(zone: tzinfo, result: Any) -> None:
    from IPython.display import display

    for panel in panels_of(result, zone):
        display(panel)  # type: ignore[no-untyped-call]


def _metrics(found: MetricReport, _: tzinfo) -> tuple[Panel, ...]:
    note = " ".join(filter(None, (metrics.speaks_for(found), metrics.bands_rest_on(found))))
    return (replace(metrics.overview(found, None), answer=metrics.answer(found), note=note),)


def _estimate(found: Estimate, _: tzinfo) -> tuple[Panel, ...]:
    columns = ("metric", "estimate", "low", "high", "reason")
    rows = tuple((metric_words.title(name), m.value, m.low, m.high, m.reason) for name, m in found.metrics.items())
    panel = Panel(name=f"{found.model}-estimate", title="Estimated, before the labels", answer=estimate.sentence(found))
    return (replace(panel, rows=Table(columns=columns, rows=rows)),)


def _explanation(found: Explanation, _: tzinfo) -> tuple[Panel, ...]:
    return (replace(explain.panel(found), answer=explain.answer(found)),)


def _quality(found: Quality, zone: tzinfo) -> tuple[Panel, ...]:
    return (replace(quality.rules(found), answer=quality_answer(found, zone)),)


def _plan(found: Plan, _: tzinfo) -> tuple[Panel, ...]:
    rows = tuple((choice.name, choice.value, choice.why) for choice in found.choices)
    table = Table(columns=("choice", "value", "why"), rows=rows)
    return (Panel(name=f"{found.model}-plan", title="How it should be watched", rows=table),)


def _segments(found: SegmentTable, _: tzinfo) -> tuple[Panel, ...]:
    names = tuple(dict.fromkeys(name for segment in found.segments for name in segment.metrics))
    rows = tuple(
        (s.value, s.rows, s.labelled, s.coverage, *(s.metrics[n].value if n in s.metrics else None for n in names))
        for s in found.segments
    )
    table = Table(columns=(found.column, "rows", "labelled", "coverage", *names), rows=rows)
    return (Panel(name=f"{found.model}-segments", title=f"By {found.column}, worst first", rows=table),)


_PANELS: dict[type, Callable[[Any, tzinfo], tuple[Panel, ...]]] = {
    AttributionDrift: lambda found, _: (leaning.attribution_panel(found),),
    Contributions: lambda found, _: (contributions.sizes(found), contributions.dots(found)),
    Estimate: _estimate,
    Explanation: _explanation,
    Fairness: lambda found, _: (fairness.panel(found),),
    Impact: lambda found, _: (impact.panel(found),),
    Importance: lambda found, _: (leaning.importance_panel(found),),
    Lending: lambda found, zone: (lending.bands(found), lending.approval(found), lending.vintages(found, zone)),
    MetricReport: _metrics,
    Multivariate: lambda found, _: (together.panel(found),),
    Plan: _plan,
    Quality: _quality,
    Scoreboard: lambda found, _: (estimate.scoreboard(found),),
    SegmentComparison: lambda found, _: (segments.panel(found),),
    SegmentTable: _segments,
    Thresholds: lambda found, _: (thresholds.what_each_does(found), thresholds.cost(found)),
    WeakSegments: lambda found, _: (weak.panel(found),),
}

"""Figures reach the browser as Plotly itself would have sent them, without its look at every property."""

import json
from datetime import UTC, datetime, timedelta

import plotly.io
import pytest
import streamlit  # noqa: F401 - it puts its own template in force
from plotly.tools import return_figure_from_figure_or_data

from pilothouse.app.drawn import Drawn
from pilothouse.app.panels import drift, performance, traffic
from pilothouse.app.panels.charts import View
from pilothouse.app.theme import STREAMLIT, paint
from pilothouse.data.history.results import DriftPoint, Event, EventKind, Metric, TrafficPoint, TrendPoint
from pilothouse.data.windows import Window

START = datetime(2026, 9, 7, tzinfo=UTC)
WEEK = timedelta(weeks=1)
EVENT = Event(at=START + WEEK, kind=EventKind.PROMOTE, title="<b>", actor="ada", audit_seq=7)
# Plotly leaves empty lists out, which means the same: so there is an event to be marked, and a span to be shaded.
VIEW = View(
    model="flights",
    within=Window(START, START + 2 * WEEK),
    zone=UTC,
    events=(EVENT,),
    focus=Window(START, START + WEEK),
)


def panels():
    metrics = {"roc_auc": Metric(value=0.7, low=0.69, high=0.71)}
    weeks = [Window(START, START + WEEK), Window(START + WEEK, START + 2 * WEEK)]
    trend = [
        TrendPoint(window=w, version=None, rows=9, labelled=9, coverage=1.0, mature=True, metrics=metrics)
        for w in weeks
    ]
    times = {"p50_latency_ms": 5.0, "p95_latency_ms": 8.0, "p99_latency_ms": None}
    went = [TrafficPoint(window=w, version=1, rows=9, errors=0, **times) for w in weeks]
    moved = [DriftPoint(window=w, rows=900, psi={"temp": 0.3, "<b>": None}) for w in weeks]
    return [
        performance.metric_trend(trend, "roc_auc", VIEW),
        traffic.volume(went, VIEW),
        traffic.latency(went, VIEW),
        drift.heatmap(moved, ["temp", "<b>"], VIEW, ("temp", 1)),
    ]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.name)
def test_what_is_sent_is_what_plotly_makes_of_the_spec_and_finds_no_fault_with(panel):
    spec = paint(panel.spec, STREAMLIT)
    ours, theirs = (return_figure_from_figure_or_data(given, validate_figure=True) for given in (Drawn(spec), spec))
    assert sent(ours) == sent(theirs)
    assert ours["layout"]["template"]


def sent(figure):
    return json.loads(plotly.io.to_json(figure, validate=False))

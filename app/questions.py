"""The pages' questions, remembered for a few seconds so that a click does not ask all of them again.

Keyed on the model and the *text* of the range: a window that ends with live data moves with every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import dropwhile
from typing import TypeVar

import streamlit as st

from pilothouse.app import session
from pilothouse.app.faces import ModelFace, Report
from pilothouse.app.panels import fleet
from pilothouse.app.panels.charts import STEPS, View
from pilothouse.app.tours import Way
from pilothouse.data.errors import BadData
from pilothouse.data.history.results import (
    Distribution,
    Drift,
    DriftPoint,
    Health,
    Performance,
    Rows,
    TrafficPoint,
    TrendPoint,
)
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.measures.health import HealthRules
from pilothouse.data.windows import Window
from pilothouse.ops.objectives import Standing
from pilothouse.ops.releases.proof import Proof
from pilothouse.ops.releases.trying import Shadowed, Tried
from pilothouse.ops.reports.job import ReportJob

Point = TypeVar("Point", TrendPoint, DriftPoint)

TTL_S = 5
_LONGEST = {"hour": timedelta(days=14), "day": timedelta(days=366), "week": timedelta.max}
_ENOUGH_BUCKETS = 3
_CONTEXT = {"hour": timedelta(days=4), "day": timedelta(weeks=8), "week": timedelta(weeks=32)}


def context(window: Window, every: str) -> Window:
    """What a trend shows around the chosen range: enough of the past to see where it came from."""
    return Window(min(window.start, window.end - _CONTEXT[every]), window.end)


def default_step(face: ModelFace) -> str:
    """The widest bucket of which the data fill a few: a model that began an hour ago is not one point of a week."""
    window = session.window(face)
    steps = allowed_steps(window)
    wide = steps[:1] if window.length <= timedelta(days=2) else steps[::-1]
    filled = (step for step in wide if _buckets_with_rows(face, step) >= _ENOUGH_BUCKETS)
    return next(filled, steps[0])


def _buckets_with_rows(face: ModelFace, every: str) -> int:
    return sum(point.rows > 0 for point in trend(face.name, session.range_text(), every))


def allowed_steps(window: Window) -> tuple[str, ...]:
    """The buckets that a chart of the window can carry: finer ones would be thousands, too thin to see or to click."""
    return tuple(step for step in STEPS if window.length <= _LONGEST[step])


def view(face: ModelFace, every: str) -> View:
    """What the figures over time of a model's page share. They begin where the data do."""
    window = session.window(face)
    span = context(window, every)
    first = next((p.window.start for p in trend(face.name, session.range_text(), every) if p.rows), span.start)
    within = Window(first, span.end)
    events = tuple(face.events(within))
    return View(model=face.name, within=within, zone=session.zone(), every=every, events=events, focus=window)


def _from_first_row(points: Sequence[Point]) -> tuple[Point, ...]:
    """Before the model's first row there is nothing to show: charts begin where the data do."""
    return tuple(dropwhile(lambda point: point.rows == 0, points))


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def health(model: str) -> Health:
    return session.house()[model].health()


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def performance(model: str, range_text: str, previous: bool = False, version: int | None = None) -> Performance:
    """Over the chosen range, or over the one of the same length before it; of all versions, or of one."""
    face = session.house()[model]
    window = session.window(face)
    return face.history.performance(window.before() if previous else window, version)


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def trend(model: str, range_text: str, every: str, by_version: bool = False) -> tuple[TrendPoint, ...]:
    face = session.house()[model]
    span = context(session.window(face), every)
    return _from_first_row(face.history.performance_trend(span, STEPS[every], by_version=by_version))


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def stretches(model: str, range_text: str) -> tuple[TrendPoint, ...]:
    """The spans that health judges by, four weeks unless a plan says otherwise, up to the end of each week in view."""
    face = session.house()[model]
    weeks = trend(model, range_text, "week")
    if not weeks:
        return ()
    found = face.history.stretches(context(session.window(face), "week"), HealthRules.by(face.watch).recent)
    return tuple(point for point in found if point.window.start >= weeks[0].window.start)


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def drift(model: str, range_text: str) -> Drift:
    face = session.house()[model]
    return face.history.drift(session.window(face))


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def drift_trend(model: str, range_text: str, every: str) -> tuple[DriftPoint, ...]:
    face = session.house()[model]
    return _from_first_row(face.history.drift_trend(context(session.window(face), every), STEPS[every]))


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def traffic(model: str, range_text: str, every: str) -> tuple[TrafficPoint, ...]:
    face = session.house()[model]
    return tuple(face.history.traffic(context(session.window(face), every), STEPS[every]))


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def distribution(model: str, feature: str, window: Window) -> Distribution:
    return session.house()[model].history.distribution(feature, window)


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def rows(model: str, range_text: str, limit: int) -> Rows:
    face = session.house()[model]
    return face.rows(session.window(face), limit)


@st.cache_resource(ttl=3600, max_entries=3, show_spinner=False)
def report(model: str, range_text: str, about: str, asked_at: datetime) -> ReportJob[Report]:
    """Evidently's report in the making, and then made; kept for an hour. about : a preset, or `all`.

    `asked_at` tells one request from the next. It goes on when the page is left.
    """
    face = session.house()[model]
    window, presets = session.window(face), None if about == "all" else [about]
    return ReportJob(lambda child: face.report(window, presets, child))


def since(face: ModelFace, time: datetime) -> Window | None:
    """From `time` to the end of the data; None when nothing has come since."""
    end = face.data_end()
    return Window(time, end) if end is not None and end > time else None


def around(face: ModelFace, window: Window) -> View:
    """Days around a window, with two weeks before it at least: what is new needs the old beside it."""
    span = Window(window.start - max(window.length, timedelta(weeks=2)), window.end)
    return View(model=face.name, within=span, zone=session.zone(), every="day", events=tuple(face.events(span)))


@st.cache_resource(ttl=15, max_entries=8, show_spinner=False)
def compared(model: str, before: int, now: int, deployment_seq: int) -> Comparison | None:
    """Both versions on the labelled rows since a switch; scores rows, so it is asked at most four times a minute."""
    face = session.house()[model]
    deployment = next(d for d in face.deployments if d.seq == deployment_seq)
    window = since(face, deployment.at)
    try:
        return face.compare(before, now, window) if window else None
    except BadData:
        # Right after a switch there are no labelled rows yet, or all of one class: nothing to compare, and no fault.
        return None


@st.cache_data(ttl=15, max_entries=8, show_spinner=False)
def tried(model: str, epoch: int) -> Tried | None:
    """The canary beside the champion. epoch : of the model, so that an act is seen at once."""
    return session.house()[model].tried()


@st.cache_data(ttl=15, max_entries=8, show_spinner=False)
def shadowed(model: str, epoch: int) -> tuple[Shadowed, ...]:
    """The shadows against the answers; `epoch` as in `tried`."""
    return tuple(session.house()[model].shadowed())


@st.cache_data(ttl=5, max_entries=32, show_spinner=False)
def proof(model: str, deployment_seq: int) -> Proof:
    """What a switch did to the requests around it."""
    return session.house()[model].proof(deployment_seq)


@st.cache_data(ttl=TTL_S, max_entries=64, show_spinner=False)
def objective(model: str, range_text: str) -> Standing | None:
    """How the latency objective was kept over the chosen range and the last hour."""
    face = session.house()[model]
    return face.objective(window=session.window(face))


def way_so_far(model: str) -> Way:
    """How far a visitor of the demo has come with its model."""
    face = session.house()[model]
    runs = face.runs(20)
    acts = [deployment.act for deployment in face.deployments if deployment.previous is not None]
    return Way(
        needs_a_person=health(model).state in fleet.NEEDS_A_PERSON,
        running=any(run.active for run in runs),
        verdict=next((run.verdict for run in runs if run.verdict), ""),
        promoted="promote" in acts,
        rolled_back="rollback" in acts,
    )


@st.cache_data(ttl=TTL_S, max_entries=256, show_spinner=False)
def fleet_line(model: str, range_text: str) -> fleet.Line:
    """Everything the fleet says of one model."""
    face = session.house()[model]
    champion = face.champion
    return fleet.line(
        model=model,
        task=face.task,
        champion=champion.version if champion else None,
        health=health(model),
        performance=performance(model, range_text),
        trend=trend(model, range_text, "week"),
        drift=drift(model, range_text),
        traffic=traffic(model, range_text, "day"),
        last_at=face.history.watermark().data_to,
    )

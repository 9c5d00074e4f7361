"""The questions of the Performance page, remembered for a few seconds; keyed as in `questions`."""

from __future__ import annotations

from datetime import datetime
from itertools import dropwhile

import streamlit as st

from pilothouse.app import session
from pilothouse.app.panels.charts import STEPS
from pilothouse.app.questions import TTL_S, context
from pilothouse.data.history.results import TrendPoint
from pilothouse.data.measures.report import Lending, MetricReport, OwnValue, Thresholds
from pilothouse.data.policies import Costs, OwnMetric

_KEPT_S = 60


@st.cache_data(ttl=TTL_S, max_entries=64, show_spinner=False)
def metrics(
    model: str, range_text: str, threshold: float | None = None, exact: bool = False, as_known: datetime | None = None
) -> MetricReport:
    """All but the team's own metrics, which take longer: see `own_values`."""
    face = session.house()[model]
    return face.metrics(session.window(face), threshold=threshold, exact=exact, as_known=as_known, own=False)


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def own_values(model: str, range_text: str, kept: tuple[OwnMetric, ...]) -> tuple[OwnValue, ...]:
    """kept : the model's own metrics, so that the answer of others is never shown."""
    face = session.house()[model]
    return face.own_values(session.window(face))


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def metric_trend(model: str, range_text: str, every: str, threshold: float | None = None) -> tuple[TrendPoint, ...]:
    """Every metric by bucket, from the first with rows; some milliseconds a bucket, so it is kept longer."""
    face = session.house()[model]
    points = face.metric_trend(context(session.window(face), every), STEPS[every], threshold=threshold)
    return tuple(dropwhile(lambda point: point.rows == 0, points))


@st.cache_data(ttl=TTL_S, max_entries=64, show_spinner=False)
def thresholds(model: str, range_text: str, threshold: float | None, costs: Costs | None) -> Thresholds:
    """costs : the model's own, so that an answer by others is never shown."""
    face = session.house()[model]
    return face.thresholds(session.window(face), threshold=threshold)


@st.cache_data(ttl=_KEPT_S, max_entries=16, show_spinner=False)
def lending(model: str, range_text: str, bands: int, ages: int) -> Lending:
    """ages : 0 leaves the vintages out, which read every row."""
    face = session.house()[model]
    return face.lending(session.window(face), bands=bands, ages=ages)

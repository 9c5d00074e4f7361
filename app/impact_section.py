"""Drift ranked by what it costs, as a part of a page."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import drift_map, metric_words, questions_impact, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import impact as impacts
from pilothouse.data.measures.impact import Impact
from pilothouse.ops.measuring.impact import METRICS


def section(face: ModelFace) -> None:
    """What the drift of each feature costs, in a metric of the reader's choice; or why it cannot be said."""
    widgets.section(
        "What drift costs",
        "The reference rows weighted to lie as this range does, one feature at a time: what does the model show then?",
    )
    if face.champion is None:
        widgets.empty("No version is live, so there are no scores to judge. Promote one first.")
        return
    metric = _chosen(face)
    found = widgets.attempt(lambda: questions_impact.impact(face.name, session.range_text(), metric))
    if found is not None:
        place(face, found)


def ranking(face: ModelFace) -> bool:
    """The same in the task's usual metric, without a head; False, and nothing is drawn, where it cannot be said."""
    if face.champion is None:
        return False
    found = questions_impact.impact(face.name, session.range_text(), METRICS[face.task][0])
    if not found.reason:
        place(face, found)
    return not found.reason


def place(face: ModelFace, found: Impact) -> None:
    if face.champion is not None and face.champion.version != found.version:
        widgets.quiet(f"Version {found.version} answered most rows of this range, so its scores are the ones judged.")
    search, extra = drift_map.search_box(len(found.features), "search-impact"), None
    if not found.reason:
        extra = impacts.table(found, drift_map.SHOWN_FEATURES, search)
    render.show(impacts.panel(found), extra=extra)


def _chosen(face: ModelFace) -> str:
    metrics = METRICS[face.task]
    if len(metrics) == 1:
        return metrics[0]
    chosen = st.segmented_control(
        "Metric", metrics, default=metrics[0], key=f"impact-metric-{face.task}", format_func=metric_words.title,
        label_visibility="collapsed", required=True,
    )  # fmt: skip
    return str(chosen or metrics[0])

"""Fairness as a part of a page: a column, how large a group must be, the groups, and how it went over time."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import questions_segments, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import fairness
from pilothouse.app.panels.charts import View
from pilothouse.data.measures.fairness import GROUP_ROWS, Fairness
from pilothouse.data.policies import UNSHOWN


def section(face: ModelFace, names: list[str]) -> None:
    widgets.section("Fairness", fairness.ASKED[face.task])
    hidden = [line.name for line in face.columns if line.told in UNSHOWN and line.role != "entity"]
    if hidden:
        widgets.quiet(
            f"Hidden columns are not offered here ({', '.join(hidden)}). "
            f"`pilothouse fairness {face.name} COLUMN --unmask --reason WHY` measures one, and the audit trail keeps it."
        )
    if not names:
        widgets.empty("No column that may be shown tells groups apart.")
        return
    left, right = st.columns(2)
    column = left.selectbox("Groups of", names, key="fairness-column") or names[0]
    rows = right.number_input("Rows that a group must have", 10, 1_000_000, GROUP_ROWS, step=50, key="fairness-rows")
    with st.spinner("Reading every row of this range …"):
        found = widgets.attempt(lambda: questions_segments.fairness(face.name, session.range_text(), column, int(rows)))
    if found is not None:
        render.show(fairness.panel(found), extra=fairness.table(found) if found.groups else None)
        _over_time(face, found)


def _over_time(face: ModelFace, found: Fairness) -> None:
    if len(found.trend) < 2 or found.reason:
        return
    # The differences; a ratio says the same with another zero.
    shown = [name for name, apart in found.disparities.items() if not apart.ratio][:2]
    within = session.window(face)
    events = tuple(face.events(within))
    view = View(model=face.name, within=within, zone=session.zone(), every="week", events=events)
    for column, name in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            render.show(fairness.trend(found, name, view), brush=True)

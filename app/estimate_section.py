"""Performance before its labels, as a part of a page."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import metric_words, questions, render, session, widgets
from pilothouse.app import questions_estimate as asked
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import estimate as panels
from pilothouse.app.panels.charts import View
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import Scoreboard
from pilothouse.data.windows import Window


def section(face: ModelFace) -> None:
    """What is to be expected of answers whose labels have not come, and how good that was before."""
    chosen = session.range_text()
    with st.spinner("Reading the scores of half a year …", show_time=True):
        found = widgets.attempt(lambda: asked.estimate(face.name, chosen))
    if found is None:
        return
    told, board = found
    widgets.section("Estimated without labels", panels.sentence(told))
    place(face, told, board)


def place(face: ModelFace, told: Estimate, board: Scoreboard) -> None:
    if told.metrics:
        with st.container(border=True):
            widgets.quiet("This range, from its answers alone")
            st.html(panels.metrics_table(told))
    if not board.tracks:
        widgets.empty(f"{board.reason[:1].upper()}{board.reason[1:]}.")
        return
    names = panels.names(board)
    name = (
        st.selectbox("Estimated metric", names, format_func=metric_words.title, key="estimated", width=260) or names[0]
    )
    render.show(panels.over_time(board, name, view(face, board)))
    render.show(panels.scoreboard(board), extra=panels.scoreboard_table(board))


def view(face: ModelFace, board: Scoreboard) -> View:
    """The weeks of the scoreboard from the first with rows on, with what happened in them."""
    shown = questions.view(face, "week")
    first = next((line.window.start for line in board.lines if line.rows), board.window.start)
    within = Window(first, board.window.end)
    return View(model=face.name, within=within, zone=shown.zone, events=tuple(face.events(within)), focus=shown.focus)

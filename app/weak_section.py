"""Weak segments as a part of a page: searched for when somebody asks, since it takes seconds."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import questions_segments, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import weak
from pilothouse.data.measures.weak_segments import LOSSES, WeakSegments


def section(face: ModelFace) -> None:
    widgets.section(
        "Weak segments",
        "Rows with one or two things in common on which the model is worse than on all others: found on one half of the "
        "days, measured on the other.",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        loss = _chosen(face)
        label = "Search again" if remembered(face) else "Find weak segments"
        st.button(label, icon=":material/search:", on_click=_ask, args=(face.name, session.range_text(), loss))
        widgets.quiet("A few seconds on 100,000 rows.")
    found = remembered(face)
    if found is not None:
        render.show(weak.panel(found), extra=weak.table(found) if found.found else None)


def remembered(face: ModelFace) -> WeakSegments | None:
    """What the search of this model and range has found; None when nobody has asked, or it could not be had."""
    asked = session.kept("weak")
    if asked is None or asked[:2] != (face.name, session.range_text()):
        return None
    with st.spinner("Looking at every segment of one or two conditions …"):
        return widgets.attempt(lambda: questions_segments.weak(*asked))


def _ask(model: str, chosen: str, loss: str) -> None:
    st.session_state["weak"] = (model, chosen, loss, session.now().isoformat())


def _chosen(face: ModelFace) -> str:
    losses = LOSSES[face.task]
    if len(losses) == 1:
        return losses[0]
    chosen = st.segmented_control(
        "Loss", losses, default=losses[0], key="weak-loss", format_func=lambda loss: weak.LOSS_WORDS[loss], required=True,
        label_visibility="collapsed",
        help="Surprise is the log-loss beyond what the model's own probability made one expect.",
    )  # fmt: skip
    return str(chosen or losses[0])

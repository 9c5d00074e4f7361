"""Drift of all features together on the Drift page: asked for with a button, since it takes seconds."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import questions_drift, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import together


def _ask(model: str, chosen: str) -> None:
    st.session_state["together"] = (model, chosen, session.now().isoformat())


def section(face: ModelFace) -> None:
    """Whether the window as a whole can be told from the reference, and by which features."""
    chosen = session.range_text()
    widgets.section(
        "All features together",
        "Two features can each look as before and yet stand together as they never did. This reads a sample of rows.",
    )
    asked = st.session_state.get("together")
    fresh = asked is not None and asked[:2] == (face.name, chosen)
    label = "Measure it again" if fresh else "Measure all features together"
    st.button(label, icon=":material/join:", on_click=_ask, args=(face.name, chosen), key="together-ask")
    if asked is None or not fresh:
        return
    with st.spinner("A classifier learns to tell the rows apart; some seconds are usual."):
        found = widgets.attempt(lambda: questions_drift.multivariate(face.name, chosen, asked[2]))
    if found is not None:
        render.show(together.panel(found), extra=together.table(found))

"""The thresholds of drift on the Drift page: by which marks states are given, and the act of calibrating others."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import changes
from pilothouse.data.history.results import Drift

_USUAL = ("2", "7d")


@st.dialog("Drift thresholds", icon=":material/straighten:")
def thresholds_dialog(face: ModelFace) -> None:
    widgets.paragraph(
        f"From which values on a feature of {face.name}, its score or its answers count as drifted. Windows in which "
        "nothing is wrong are drawn from the first eight weeks of the log, and each threshold is set so that false "
        "alarms keep to the budget. Where the log is too short, rows of the reference are drawn instead."
    )
    held = face.drift_thresholds
    usual = (f"{held.per_month:g}", f"{held.window.days}d") if held else _USUAL
    with st.form("thresholds", border=False):
        budget = st.text_input("False alarms a month, over all of them", usual[0], key="thresholds-budget")
        window = st.text_input("Length of the windows looked at", usual[1], key="thresholds-window", help="Whole days.")
        widgets.quiet(
            "The audit trail keeps who set them. States change on every page; the figures stay what they are."
        )
        asked = st.form_submit_button("Calibrate", icon=":material/straighten:", key="thresholds-confirm")
    if asked:
        done = f"{face.name}: thresholds allow {budget} false alarms a month."
        widgets.act(lambda: face.calibrate_drift(budget, window), done, "Drawing windows …")
    if held and st.button("Use the fixed marks", icon=":material/undo:", key="thresholds-clear"):
        widgets.act(lambda: face.calibrate_drift(clear=True), f"{face.name} is judged by the fixed marks.", "Writing …")


def section(face: ModelFace, found: Drift) -> None:
    """By which marks the states above are given."""
    held = face.drift_thresholds
    widgets.section("Thresholds")
    with st.container(border=True, key="thresholds"):
        widgets.paragraph(changes.thresholds_sentence(held, for_this=held is None or held.holds_for(found.window)))
        label = "Change the thresholds" if held else "Calibrate thresholds"
        if st.button(label, icon=":material/straighten:", key="thresholds-open"):
            thresholds_dialog(face)

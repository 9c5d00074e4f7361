"""How the model is watched, on the Model page: what is suggested, why, and the act of agreeing on it."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import markup, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import plan as panels
from pilothouse.data.measures.plan import Plan
from pilothouse.ops.measuring.plan import BUDGET


@st.dialog("How it is watched", icon=":material/visibility:", width="large")
def plan_dialog(face: ModelFace) -> None:
    widgets.paragraph("What its reference and its traffic suggest. Change the figures, and the plan follows.")
    left, right = st.columns(2)
    with left:
        usual = 0.0 if face.watch is None else face.watch.loss
        loss = st.number_input("A loss worth an alarm", 0.0, value=usual, step=0.005, format="%.3f", key="plan-loss",
                               help="In the metric's own unit; 0 for the usual one.")  # fmt: skip
    with right:
        usual = BUDGET if face.watch is None else face.watch.budget
        budget = st.number_input("False alarms a month", 0.01, 30.0, value=usual, step=0.1, key="plan-budget")
    found = widgets.attempt(lambda: face.plan(loss=loss or None, budget=budget))
    if found is None:
        return
    st.html(panels.choices(found))
    if found.reason:
        widgets.quiet(f"{found.reason[:1].upper()}{found.reason[1:]}.")
    widgets.quiet("The audit trail keeps who agreed on it.")
    with st.container(horizontal=True):
        agree_buttons(face, found)


def agree_buttons(face: ModelFace, found: Plan) -> None:
    if found.watch is not None and st.button("Agree", icon=":material/check:", key="plan-agree", type="primary"):
        done = f"{face.name} is judged over {found.watch.days} days from now on."
        widgets.act(lambda: face.agree(found), done, "Writing …")
    if face.watch is not None and st.button("Return to the usual rules", icon=":material/undo:", key="plan-clear"):
        widgets.act(lambda: face.agree(None), f"{face.name} is watched by the usual rules.", "Writing …")


@st.fragment
def section(face: ModelFace) -> None:
    """By which span and which margin the model is judged."""
    widgets.section("How it is watched")
    with st.container(border=True, key="plan"):
        st.html(markup.tag("p", panels.agreed(face.watch), kind="ph-sentence"))
        if st.button("See what the reference and the traffic suggest", icon=":material/visibility:", key="plan-open"):
            plan_dialog(face)

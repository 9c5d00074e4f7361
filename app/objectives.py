"""The latency objective on the Model page: how it is kept, and the act of setting one."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import markup, questions, session, widgets
from pilothouse.app import objective_words as words
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import traffic
from pilothouse.data.policies import Objective
from pilothouse.ops.objectives import USUAL_SHARE

_USUAL_WITHIN = "25 ms"


@st.dialog("Latency objective", icon=":material/timer:")
def objective_dialog(face: ModelFace, present: Objective | None) -> None:
    widgets.paragraph(f"How fast {face.name} is to answer. While it does not, the Fleet page says so.")
    usual = (words.within_text(present), words.share_text(present)) if present else (_USUAL_WITHIN, USUAL_SHARE)
    with st.form("objective", border=False):
        within = st.text_input("Within", usual[0], key="objective-within", help="Such as 25 ms or 0.5 s.")
        share = st.text_input("Share of the requests", usual[1], key="objective-share", help="Such as 99% or 99.9%.")
        widgets.quiet("The audit trail keeps who set it.")
        asked = st.form_submit_button("Set the objective", icon=":material/timer:", key="objective-confirm")
    if asked:
        done = f"{face.name} is to answer {share} of the requests within {within}."
        widgets.act(lambda: face.objective(within, share=share), done, "Writing …")
    if present and st.button("Have none", icon=":material/timer_off:", key="objective-clear"):
        widgets.act(lambda: face.objective(clear=True), f"{face.name} has no latency objective any more.", "Writing …")


@st.fragment
def section(face: ModelFace) -> None:
    """How fast the model is to answer, and whether it does."""
    widgets.section("Latency objective")
    with st.container(border=True, key="objective"):
        found = widgets.attempt(lambda: (questions.objective(face.name, session.range_text()),))
        if found is None:
            return
        (standing,) = found
        if standing is None:
            widgets.quiet("Nobody has said how fast this model is to answer.")
        else:
            said = [markup.chip(words.state_now(standing)), " ", words.objective_sentence(standing.objective)]
            st.html(markup.tag("p", markup.join(said), kind="ph-sentence"))
            st.html(traffic.objective_table(standing, session.zone()))
        label = "Change the objective" if standing else "Set an objective"
        if st.button(label, icon=":material/timer:", key="objective-open"):
            objective_dialog(face, standing.objective if standing else None)

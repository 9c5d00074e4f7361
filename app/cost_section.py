"""Thresholds on the Performance page: what each does, what it costs, and the act of saying what mistakes cost."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import metric_words as words
from pilothouse.app import questions_performance as questions
from pilothouse.app import render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import metrics, thresholds
from pilothouse.data.measures.report import MetricReport
from pilothouse.data.policies import Costs

_USUAL = Costs(fp=1.0, fn=5.0)
_ASKED = (
    ("fn", "A row let pass that comes true"),
    ("fp", "A row flagged for nothing"),
    ("tp", "A row flagged that comes true"),
    ("tn", "A row let pass that does not"),
)


@st.dialog("What answers cost", icon=":material/payments:")
def costs_dialog(face: ModelFace, present: Costs | None) -> None:
    widgets.paragraph("What one answer of each kind costs. A gain is a negative cost.")
    usual = present or _USUAL
    with st.form("costs", border=False):
        given = {
            name: st.number_input(label, value=float(getattr(usual, name)), key=f"costs-{name}", format="%g")
            for name, label in _ASKED
        }
        currency = st.text_input("Currency", usual.currency, key="costs-currency")
        widgets.quiet("The audit trail keeps who set it.")
        asked = st.form_submit_button("Set the costs", icon=":material/payments:", key="costs-confirm")
    if asked:
        costs = Costs(**{name: float(value) for name, value in given.items()}, currency=currency)
        widgets.act(lambda: face.set_costs(costs), f"{face.name}: the costs are set.", "Writing …")
    if present and st.button("Have none", icon=":material/money_off:", key="costs-clear"):
        widgets.act(lambda: face.set_costs(None), f"{face.name} has no costs any more.", "Writing …")


def section(face: ModelFace, report: MetricReport, asked: float | None) -> None:
    """What the threshold in force does, what others would, and which costs least. asked : the one on the slider."""
    widgets.section("Threshold and costs", "What flagging from another score on would have done with these rows.")
    present = report.threshold or 0.5
    found = questions.thresholds(face.name, session.range_text(), asked, face.costs)
    left, right = st.columns(2)
    with left:
        render.show(thresholds.what_each_does(found))
    with right:
        render.show(thresholds.cost(found))
    if report.crossing is not None:
        with st.container(border=True):
            widgets.quiet(f"Labelled rows with a score, flagged from {present:g} on:")
            st.html(metrics.crossing_table(report.crossing, binary=True))
    with st.container(horizontal=True, vertical_alignment="center"):
        label = "Change the costs" if face.costs else "Say what mistakes cost"
        if st.button(label, icon=":material/payments:", key="costs-open"):
            costs_dialog(face, face.costs)
        widgets.quiet(_agreed(face.costs) + (f" {thresholds.elkan(found.saving)}" if found.saving else ""))


def _agreed(costs: Costs | None) -> str:
    if costs is None:
        return "Nobody has said yet what this model's mistakes cost."
    missed, alarm = (words.money(each, costs.currency) for each in (costs.fn, costs.fp))
    right = ""
    if costs.tp or costs.tn:
        hit, passed = (words.money(each, costs.currency) for each in (costs.tp, costs.tn))
        right = f" A row rightly flagged costs {hit}, one rightly let pass {passed}."
    return f"A missed row costs {missed}, a false alarm {alarm}.{right}"

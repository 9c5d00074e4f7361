"""The section for Evidently's report: choose what it is about, see it made, call it off, take it along."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import streamlit as st

from pilothouse.app import formats, markup, questions, session, widgets
from pilothouse.app.faces import ModelFace, Report
from pilothouse.app.panels import reports
from pilothouse.data.signature import Task
from pilothouse.ops.reports.job import ReportJob
from pilothouse.ops.reports.report import Preset

ALL = "all"


def section(face: ModelFace) -> None:
    widgets.section(
        "Evidently report",
        "The report many know, over a stated sample of this time range, made in a process of its own.",
    )
    if not questions.performance(face.name, session.range_text()).rows:
        widgets.empty("No predictions in this range: there is nothing to report on.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        about = st.selectbox("About", choices(face.task), key="report-about", width=220) or ALL
        current = (face.name, session.range_text(), about)
        asked_for = st.session_state.get("report")
        fresh = asked_for is not None and asked_for[:3] == current
        label = "Make it again" if fresh else "Make the report"
        st.button(label, icon=":material/lab_profile:", on_click=_ask, args=current)
    if asked_for is not None and fresh:
        _show(face.name, current[1], about, asked_for[3])


def choices(task: Task) -> tuple[str, ...]:
    """What a report of the task can be about; performance needs labels, and says so where there are none."""
    own = Preset.REGRESSION if task is Task.REGRESSION else Preset.CLASSIFICATION
    return (ALL, str(Preset.DRIFT), str(Preset.SUMMARY), str(own))


def _ask(model: str, chosen: str, about: str) -> None:
    st.session_state["report"] = (model, chosen, about, session.now())


def _show(model: str, chosen: str, about: str, asked_at: datetime) -> None:
    job = questions.report(model, chosen, about, asked_at)
    if job.active:
        _progress(job, asked_at)
        return
    made = widgets.attempt(job.result)
    if made is not None:
        _finished(made, f"{model}-evidently-{about}-{chosen}")


@st.fragment(run_every=1.0)
def _progress(job: ReportJob[Report], asked_at: datetime) -> None:
    """The step at hand, until the report is there."""
    if not job.active:
        st.rerun()
    took = formats.duration(session.now() - asked_at)
    words = f"{job.steps[-1].capitalize()} … {took}; half a minute is usual. You may leave this page; it goes on."
    with st.container(border=True):
        st.html(markup.tag("p", words, kind="ph-sentence"))
        st.button("Cancel", icon=":material/stop_circle:", key="report-cancel", on_click=job.cancel)


def _finished(made: Report, name: str) -> None:
    found = made.result
    with st.container(border=True):
        st.html(reports.verdicts(found))
        with st.container(horizontal=True):
            download = partial(st.download_button, icon=":material/download:", on_click="ignore")
            download("Download the report", found.html, f"{name}.html", "text/html", key="report-html")
            download("Its figures (JSON)", found.json, f"{name}.json", "application/json", key="report-json")
    st.iframe(reports.sandboxed(found.html), height=780, alt=f"Evidently report: {name}")

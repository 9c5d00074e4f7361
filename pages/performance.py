"""Performance: how right was it, how surely, and what would another threshold be worth?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta

import streamlit as st

from pilothouse.app import cost_section, estimate_section, formats, markup, render, session, widgets
from pilothouse.app import metric_words as words
from pilothouse.app import questions as shared
from pilothouse.app import questions_performance as questions
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import lending, metrics, performance
from pilothouse.app.panels.charts import View
from pilothouse.data.measures.report import MetricReport
from pilothouse.data.signature import Task

_VIEWS = {
    Task.BINARY: ("Curves", "Threshold and costs", "Score bands", "Estimated", "All metrics"),
    Task.MULTICLASS: ("Classes", "Estimated", "All metrics"),
    Task.REGRESSION: ("Errors", "Estimated", "All metrics"),
}
_AGES = 12
_EXACT_AT_MOST = 2_000_000


def threshold(face: ModelFace) -> float | None:
    """The threshold that a person tries out; None for the one in force."""
    return st.session_state.get("try-threshold") if face.task is Task.BINARY else None


def as_known() -> datetime | None:
    """The moment as known at which the metrics are shown besides: the end of a day that a person chose."""
    day = st.session_state.get("known-on")
    if day is None:
        return None
    return datetime.combine(day + timedelta(days=1), time(), session.house().settings.zone)


def answer(face: ModelFace, report: MetricReport) -> None:
    champion = markup.badge(f"champion v{face.champion.version}" if face.champion else "no champion", "current")
    widgets.title(f"Performance of {face.name}", metrics.answer(report), [champion])


def controls(face: ModelFace, report: MetricReport) -> None:
    """What the numbers are asked with: another threshold, every row, an earlier standpoint."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if face.task is Task.BINARY:
            st.number_input(
                "Threshold", 0.0, 1.0, value=report.threshold, step=0.01, format="%.3f", key="try-threshold",
                help="Try another one here. The service goes on with the one in force.", width=140,
            )  # fmt: skip
        st.date_input(
            "As known at the end of", value=None, key="known-on", width=190,
            help="Shows beside today's figures what was known by then: labels that came later are left out.",
        )  # fmt: skip
        if report.rows <= _EXACT_AT_MOST:
            st.toggle("From every row", key="exact", help="Reads every labelled row instead of counts.")
    if told := metrics.speaks_for(report):
        widgets.quiet(told)


def with_own(face: ModelFace, report: MetricReport) -> MetricReport:
    """The report with the team's own metrics, run in a process of their own."""
    if not face.own_metrics:
        return report
    with st.spinner("Running the team's own metrics …", show_time=True):
        return replace(report, own=questions.own_values(face.name, session.range_text(), face.own_metrics))


def numbers(report: MetricReport) -> None:
    widgets.tiles(metrics.tiles(report))
    widgets.quiet(
        f"{formats.span(report.window, session.zone())}. 95 % bands: how far chance alone may have moved a value. "
        f"{metrics.bands_rest_on(report)}"
    )


def over_time(face: ModelFace, report: MetricReport) -> None:
    """One metric of the person's choice, bucket by bucket."""
    widgets.section("Over time")
    names = list(report.metrics)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox("Metric", names, format_func=words.title, key="metric", width=260) or names[0]
        every = widgets.step(shared.default_step(face), shared.allowed_steps(session.window(face)))
    points = questions.metric_trend(face.name, session.range_text(), every, threshold(face))
    view: View = shared.view(face, every)
    render.show(performance.metric_trend(points, metric, view), brush=True)


def curves(report: MetricReport) -> None:
    widgets.section("Curves")
    left, middle, right = st.columns(3)
    with left:
        render.show(metrics.calibration(report))
    with middle:
        render.show(metrics.roc(report))
    with right:
        render.show(metrics.precision_recall(report))


def score_bands(face: ModelFace) -> None:
    widgets.section(
        "Score bands", "For lenders and their kind: how well the score parts rows, and how months turn out."
    )
    bands = int(st.segmented_control("Bands", (5, 10, 20), default=10, key="bands", required=True) or 10)
    wanted = st.session_state.get("vintages") == (face.name, session.range_text())
    with st.spinner("Reading every row of the range …", show_time=True):
        found = questions.lending(face.name, session.range_text(), bands, _AGES if wanted else 0)
    render.show(lending.bands(found), extra=lending.table(found) if found.bands else None)
    left, right = st.columns(2)
    with left:
        render.show(lending.approval(found))
    with right:
        if wanted:
            render.show(lending.vintages(found, session.zone()))
        else:
            widgets.empty(
                "Vintages show what share of each month's rows has come true by each age. They read every row."
            )
            st.button(
                "Show the vintages",
                icon=":material/timeline:",
                key="ask-vintages",
                on_click=_ask_vintages,
                args=(face.name,),
            )


def _ask_vintages(model: str) -> None:
    st.session_state["vintages"] = (model, session.range_text())


def everything(face: ModelFace, report: MetricReport, asked: float | None) -> None:
    moment, then = as_known(), None
    if moment is not None:
        then = widgets.attempt(
            lambda: questions.metrics(face.name, session.range_text(), asked, bool(report.exact), moment)
        )
    render.show(metrics.overview(report, then), extra=metrics.table(report, then) if report.labelled else None)


def classes(report: MetricReport) -> None:
    widgets.section("By class")
    if report.crossing is None:
        widgets.empty(metrics.NO_LABELS)
        return
    with st.container(border=True):
        st.html(metrics.classes(report))
    with st.container(border=True):
        st.html(metrics.crossing_table(report.crossing, binary=False))


def behind(face: ModelFace, report: MetricReport, asked: float | None) -> None:
    """What lies behind the numbers, one view at a time, so that only what is looked at is computed."""
    names = _VIEWS[report.task]
    unlabelled = report.rows and not report.labelled
    start = names[-1] if as_known() else "Estimated" if unlabelled else names[0]
    chosen = st.segmented_control(
        "Look at", names, default=start, key="behind", label_visibility="collapsed", required=True
    )
    if chosen == "Curves":
        curves(report)
    elif chosen == "Threshold and costs":
        cost_section.section(face, report, asked)
    elif chosen == "Score bands":
        score_bands(face)
    elif chosen == "Estimated":
        estimate_section.section(face)
    elif chosen == "Classes":
        classes(report)
    elif chosen == "Errors":
        render.show(metrics.errors(report))
    else:
        everything(face, report, asked)


def main() -> None:
    face = widgets.require_model()
    asked = threshold(face)
    with st.spinner("Counting …"):
        report = questions.metrics(face.name, session.range_text(), asked, bool(st.session_state.get("exact")))
    answer(face, report)
    controls(face, report)
    report = with_own(face, report)
    numbers(report)
    over_time(face, report)
    behind(face, report, asked)


main()

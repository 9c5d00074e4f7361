"""Model: is it right, and why not? One model's story, answer first, raw rows last."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import (
    drift_map,
    formats,
    impact_section,
    markup,
    objectives,
    plan_section,
    questions,
    render,
    report_section,
    sentences,
    session,
    widgets,
)
from pilothouse.app import metric_words as words
from pilothouse.app import questions_estimate as estimates
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import ahead, fleet, performance, tables, traffic
from pilothouse.app.panels import drift as drifts
from pilothouse.data.history.results import Drift, Health
from pilothouse.data.signature import Task


def answer(face: ModelFace) -> None:
    health, measured = questions.health(face.name), questions.performance(face.name, session.range_text())
    champion = markup.badge(f"champion v{face.champion.version}" if face.champion else "no champion", "current")
    widgets.title(face.name, sentences.is_it_right(health, measured), [markup.chip(health.state), champion])
    if health.reasons:
        with st.container(border=True):
            st.html(fleet.reasons(health.reasons))
            if fleet.rest_on_labels(health.reasons) and not measured.mature:
                widgets.quiet(
                    "Judged on the newest days whose labels are all due; the figures below are of the time range."
                )
            ways_out(face, health)


def ways_out(face: ModelFace, health: Health) -> None:
    """What to do about it: where to act, or how to send what is missing."""
    here = face.champion is None or face.champion.artifact_sha256 is not None
    if health.state in fleet.NEEDS_A_PERSON and here:
        with st.container(horizontal=True):
            if fleet.asks_for_drift(health.reasons):
                st.page_link(session.page("drift"), label="Drift", icon=":material/waves:")
            if face.task is Task.BINARY:
                st.page_link(session.page("retrain"), label="Retrain", icon=":material/model_training:")
            else:
                st.page_link(session.page("segments"), label="Segments", icon=":material/groups:")
            st.page_link(session.page("releases"), label="Releases", icon=":material/rocket_launch:")
        return
    widgets.quiet(sentences.how_to_send(face.name, session.house().service_url, here=here))


def numbers(face: ModelFace) -> None:
    chosen = session.range_text()
    now, before = questions.performance(face.name, chosen), questions.performance(face.name, chosen, previous=True)
    widgets.tiles(tables.model_tiles(now, before, questions.drift(face.name, chosen)))
    due = sentences.maturity(now, face.label_policy)
    widgets.quiet(f"{formats.span(now.window, session.zone())}. {due}")


def over_time(face: ModelFace) -> str:
    """Performance by bucket; gives the bucket chosen, which the rest of the page shares."""
    chosen = session.range_text()
    widgets.section("Performance over time")
    with st.container(horizontal=True, vertical_alignment="center"):
        window = session.window(face)
        every = widgets.step(questions.default_step(face), questions.allowed_steps(window))
        apart = st.toggle("Versions apart", key="by-version")
        widgets.quiet("The soft band is the time range; drag sideways on a chart to choose another.")
    points = questions.trend(face.name, chosen, every, apart)
    together = questions.trend(face.name, chosen, every)
    view = questions.view(face, every)
    stretches = questions.stretches(face.name, chosen) if every == "week" and not apart else ()
    main = words.MAIN[face.task][0]
    course = performance.metric_trend(points, main, view, stretches)
    told = None if apart else widgets.attempt(lambda: estimates.ahead(face.name, chosen, every))
    if told is not None:
        course = ahead.with_estimates(course, told, main, view)
    render.show(course, brush=True)
    for column, panel in zip(st.columns(2), performance.beside(points, together, view, main), strict=True):
        with column:
            render.show(panel, brush=True)
    return every


def drift(face: ModelFace, every: str) -> None:
    found, unshown, classes = drift_map.shown(face)
    widgets.section("Drift", f"{drifts.drift_answer(found)} {drift_map.basis(face, found)} {unshown}".rstrip())
    drift_map.hidden_values(face)
    if drift_map.map_and_shape(face, found, every, classes) is not None:
        ranking(face, found)
    st.page_link(session.page("drift"), label="Every measure of drift", icon=":material/waves:")


def ranking(face: ModelFace, found: Drift) -> None:
    """By what the drift of each feature costs, where that can be said; else by how far each has moved."""
    if not session.hidden_shown_until(face.name) and impact_section.ranking(face):
        return
    search, shown = drift_map.search_box(len(found.features), "search-features"), drift_map.SHOWN_FEATURES
    render.show(drifts.ranked(found, shown, search), extra=drifts.table(found, shown, search))


def asked(face: ModelFace, every: str) -> None:
    chosen, view = session.range_text(), questions.view(face, every)
    widgets.section("Traffic and labels")
    found = questions.traffic(face.name, chosen, every)
    left, middle, right = st.columns(3)
    with left:
        render.show(traffic.volume(found, view), brush=True)
    with middle:
        render.show(traffic.latency(found, view), brush=True)
    with right:
        render.show(performance.coverage(questions.trend(face.name, chosen, every), view), brush=True)


def by_segment() -> None:
    widgets.section("By segment", "Where the model is right, and where it is not, and whether it treats groups alike.")
    st.page_link(session.page("segments"), label="Segments", icon=":material/groups:")


def latest(face: ModelFace) -> None:
    widgets.section("Latest rows")
    found = questions.rows(face.name, session.range_text(), 50)
    if not found.rows:
        widgets.empty("No predictions in this range.")
        return
    many = f"The newest {len(found.rows)} of {formats.count(found.total)} rows of this range."
    widgets.quiet(f"{many} Choose one to see why the model said what it said.")
    at = found.columns.index("prediction_id")
    ids = [str(row[at]) for row in found.rows]
    st.dataframe(
        tables.row_columns(found, session.zone(), face.signature.shown()),
        hide_index=True,
        key="latest-rows",
        on_select=lambda: widgets.explain_row("latest-rows", ids, face.name),
        selection_mode="single-row",
        alt="The newest rows of the prediction log.",
    )


def main() -> None:
    face = widgets.require_model()
    answer(face)
    numbers(face)
    every = over_time(face)
    drift(face, every)
    asked(face, every)
    objectives.section(face)
    plan_section.section(face)
    by_segment()
    report_section.section(face)
    latest(face)


main()

"""Model: is it right, and why not? One model's story, answer first, raw rows last."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import streamlit as st

from pilothouse.app import formats, markup, objectives, questions, render, sentences, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import drift as drifts
from pilothouse.app.panels import fleet, performance, reports, segments, tables, traffic
from pilothouse.data.history.results import Drift, DriftPoint, Health
from pilothouse.data.policies import UNSHOWN
from pilothouse.ops.governance.columns import without_names, without_sensitive

SHOWN_FEATURES = 20


def answer(face: ModelFace) -> None:
    health, measured = questions.health(face.name), questions.performance(face.name, session.range_text())
    champion = markup.badge(f"champion v{face.champion.version}" if face.champion else "no champion", "current")
    widgets.title(face.name, sentences.is_it_right(health, measured), [markup.chip(health.state), champion])
    if health.reasons:
        with st.container(border=True):
            st.html(fleet.reasons(health.reasons))
            ways_out(face, health)


def ways_out(face: ModelFace, health: Health) -> None:
    """What to do about it: where to act, or how to send what is missing."""
    here = face.champion is None or face.champion.artifact_sha256 is not None
    if health.state in fleet.NEEDS_A_PERSON and here:
        with st.container(horizontal=True):
            st.page_link(session.page("retrain"), label="Retrain", icon=":material/model_training:")
            st.page_link(session.page("releases"), label="Releases", icon=":material/rocket_launch:")
        return
    widgets.quiet(sentences.how_to_send(face.name, session.house().service_url, here=here))


def numbers(face: ModelFace) -> None:
    chosen = session.range_text()
    now, before = questions.performance(face.name, chosen), questions.performance(face.name, chosen, previous=True)
    widgets.tiles(tables.model_tiles(now, before, questions.drift(face.name, chosen)))
    words = sentences.maturity(now, face.label_policy)
    widgets.quiet(f"{formats.span(now.window, session.zone())}. {words}")


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
    render.show(performance.metric_trend(points, "roc_auc", view, stretches), brush=True)
    left, right = st.columns(2)
    with left:
        render.show(performance.metric_trend(points, "log_loss", view), brush=True)
    with right:
        render.show(performance.said_and_happened(together, view), brush=True)
    return every


@st.dialog("Show hidden values", icon=":material/visibility:")
def unmask_dialog(face: ModelFace) -> None:
    widgets.paragraph("The drift of sensitive columns and the categories of masked ones, to you alone, for 15 minutes.")
    reason = st.text_input("Reason", key="unmask-reason", placeholder="What do you need to see them for?")
    widgets.quiet("The audit trail keeps who looked, at which columns, and why.")
    if st.button("Show them", icon=":material/visibility:", key="unmask-confirm"):
        widgets.act(lambda: session.show_hidden(face, reason), f"{face.name}: hidden values are shown.", "Writing …")


def hidden_values(face: ModelFace) -> None:
    """The way to look behind column classes, and back."""
    until = session.hidden_shown_until(face.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        if until is not None:
            st.button("Hide them again", icon=":material/visibility_off:", key="hide", on_click=session.hide_again)
            widgets.quiet(f"Hidden values are shown to you until {formats.moment(until, session.zone())}.")
        else:
            if st.button("Show hidden values", icon=":material/visibility:", key="unmask"):
                unmask_dialog(face)
            widgets.quiet("Sensitive columns are left out here, and the categories of masked ones have no name.")


def drift(face: ModelFace, every: str) -> None:
    chosen = session.range_text()
    guarded = {line.name: line.told for line in face.columns}
    classes = {} if session.hidden_shown_until(face.name) else guarded
    found, unshown = without_sensitive(questions.drift(face.name, chosen), classes)
    view = questions.view(face, every)
    basis = f"Reference: {formats.count(found.reference.rows)} labelled rows held out from training."
    widgets.section("Drift", f"{drifts.drift_answer(found)} {basis} {unshown}".rstrip())
    if any(guarded.get(f.name) in UNSHOWN for f in face.signature.features):
        hidden_values(face)
    points = questions.drift_trend(face.name, chosen, every)
    names = [f.name for f in found.features]
    if not points or not names:
        widgets.empty("No predictions to compare with the reference yet.")
        return
    scope = (face.name, chosen, every)
    left, right = st.columns([3, 2])
    with right:
        feature, place = picked(names, points, scope)
        shape = without_names(questions.distribution(face.name, feature, points[place].window), face.signature, classes)
        # As tall as the map beside it, less the box above.
        height = max(240, drifts.map_height(len(names[:SHOWN_FEATURES])) - 64)
        render.show(drifts.overlay(shape, view, height))
    with left:
        panel = drifts.heatmap(points, names[:SHOWN_FEATURES], view, (feature, place))
        render.show(panel, on_cell=partial(_choose_cell, scope), extra=drifts.legend())
    ranking(found)


def picked(names: list[str], points: tuple[DriftPoint, ...], scope: tuple[str, ...]) -> tuple[str, int]:
    """The feature and the bucket shown beside the map: by the box above it, or by a click on the map.

    scope : what a bucket's place is counted in; a place chosen in another scope means another time, and is forgotten.
    """
    feature = st.selectbox("Feature", names, key="feature", help="Or choose a cell of the map.") or names[0]
    chosen_in, place = st.session_state.get("bucket", (None, 0))
    return feature, min(place, len(points) - 1) if chosen_in == scope else drifts.newest_known(points, feature)


def _choose_cell(scope: tuple[str, ...], hit: tuple[object, ...]) -> None:
    if len(hit) == 3 and hit[0] == "cell":
        st.session_state["feature"], st.session_state["bucket"] = str(hit[1]), (scope, int(str(hit[2])))


def ranking(found: Drift) -> None:
    search = ""
    if len(found.features) > SHOWN_FEATURES:
        words = f"Search {len(found.features)} features"
        search = st.text_input("Search features", placeholder=words, label_visibility="collapsed")
    render.show(drifts.ranked(found, SHOWN_FEATURES, search), extra=drifts.table(found, SHOWN_FEATURES, search))


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


def by_segment(face: ModelFace) -> None:
    widgets.section("By segment", "Where the model is right, and where it is not, by the values of one column.")
    names = segments.columns_to_choose(face.columns, face.segments_watched)
    if not names:
        widgets.empty("No column of this model tells groups of rows apart.")
        return
    column = st.selectbox("Column", names, key="segment") or names[0]
    found = widgets.attempt(lambda: questions.segments(face.name, session.range_text(), column))
    if found is not None:
        render.show(segments.panel(found, face.task), extra=segments.table(found, face.task))


def report(face: ModelFace) -> None:
    widgets.section(
        "Evidently report",
        "The report many know, over a stated sample of this time range, made in a process of its own.",
    )
    if not questions.performance(face.name, session.range_text()).rows:
        widgets.empty("No predictions in this range: there is nothing to report on.")
        return
    asked_for = st.session_state.get("report")
    current = (face.name, session.range_text())
    fresh = asked_for is not None and asked_for[:2] == current
    label = "Make it again" if fresh else "Make the report"
    st.button(label, icon=":material/lab_profile:", on_click=_ask_report, args=current)
    if asked_for is not None and fresh:
        show_report(face.name, current[1], asked_for[2])


def _ask_report(model: str, chosen: str) -> None:
    st.session_state["report"] = (model, chosen, session.now())


def show_report(model: str, chosen: str, asked_at: datetime) -> None:
    with st.spinner("Evidently is at work; half a minute is usual."):
        made = widgets.attempt(lambda: questions.report(model, chosen, asked_at).result)
    if made is None:
        return
    name = f"{model}-evidently-{chosen}.html"
    with st.container(border=True):
        st.html(reports.verdicts(made))
        st.download_button(
            "Download the report", made.html, name, "text/html", icon=":material/download:", on_click="ignore"
        )
    st.iframe(reports.sandboxed(made.html), height=780, alt=f"Evidently report of {model}")


def latest(face: ModelFace) -> None:
    widgets.section("Latest rows")
    found = questions.rows(face.name, session.range_text(), 50)
    if not found.rows:
        widgets.empty("No predictions in this range.")
        return
    widgets.quiet(f"The newest {len(found.rows)} of {formats.count(found.total)} rows of this range.")
    st.dataframe(
        tables.row_columns(found, session.zone(), face.signature.shown()),
        hide_index=True,
        key="latest-rows",
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
    by_segment(face)
    report(face)
    latest(face)


main()

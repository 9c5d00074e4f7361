"""Drift as pages show it: what is hidden, the map of feature and time, and the shape of the feature chosen on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from pilothouse.app import formats, questions, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import drift as drifts
from pilothouse.data.history.results import Drift, DriftPoint
from pilothouse.data.policies import UNSHOWN, ColumnClass
from pilothouse.ops.governance.columns import without_names, without_sensitive

SHOWN_FEATURES = 20


def shown(face: ModelFace) -> tuple[Drift, str, Mapping[str, ColumnClass]]:
    """Drift over the chosen range as this person may see it, what is left out, and the classes that hide it."""
    classes = {} if session.hidden_shown_until(face.name) else {line.name: line.told for line in face.columns}
    found, unshown = without_sensitive(questions.drift(face.name, session.range_text()), classes)
    return found, unshown, classes


def basis(face: ModelFace, found: Drift) -> str:
    """What is compared with."""
    rows = formats.count(found.reference.rows)
    if face.champion is not None and face.champion.artifact_sha256 is None:
        return f"Reference: the {rows} rows that the model was registered with."
    return f"Reference: {rows} labelled rows held out from training."


@st.dialog("Show hidden values", icon=":material/visibility:")
def unmask_dialog(face: ModelFace) -> None:
    widgets.paragraph("The drift of sensitive columns and the categories of masked ones, to you alone, for 15 minutes.")
    reason = st.text_input("Reason", key="unmask-reason", placeholder="What do you need to see them for?")
    widgets.quiet("The audit trail keeps who looked, at which columns, and why.")
    if st.button("Show them", icon=":material/visibility:", key="unmask-confirm"):
        widgets.act(lambda: session.show_hidden(face, reason), f"{face.name}: hidden values are shown.", "Writing …")


def hidden_values(face: ModelFace) -> None:
    """The way to look behind column classes, and back; nothing where no feature is hidden."""
    guarded = {line.name: line.told for line in face.columns}
    if not any(guarded.get(f.name) in UNSHOWN for f in face.signature.features):
        return
    until = session.hidden_shown_until(face.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        if until is not None:
            st.button("Hide them again", icon=":material/visibility_off:", key="hide", on_click=session.hide_again)
            widgets.quiet(f"Hidden values are shown to you until {formats.moment(until, session.zone())}.")
        else:
            if st.button("Show hidden values", icon=":material/visibility:", key="unmask"):
                unmask_dialog(face)
            widgets.quiet("Sensitive columns are left out here, and the categories of masked ones have no name.")


def map_and_shape(face: ModelFace, found: Drift, every: str, classes: Mapping[str, ColumnClass]) -> str | None:
    """PSI by feature and bucket beside the distribution of the feature chosen; gives that feature, None without rows."""
    chosen, view = session.range_text(), questions.view(face, every)
    points = questions.drift_trend(face.name, chosen, every)
    names = [f.name for f in found.features]
    if not points or not names:
        widgets.empty("No predictions to compare with the reference yet.")
        return None
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
    return feature


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


def search_box(features: int, key: str) -> str:
    """What to look for among more features than are shown at once."""
    if features <= SHOWN_FEATURES:
        return ""
    words = f"Search {features} features"
    return st.text_input("Search features", placeholder=words, label_visibility="collapsed", key=key) or ""

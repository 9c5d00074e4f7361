"""Drift: what has changed in what the model is asked, by how much, and whether chance explains it."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import (
    drift_map,
    drift_thresholds,
    impact_section,
    markup,
    multivariate_section,
    questions,
    questions_drift,
    render,
    session,
    widgets,
)
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import changes
from pilothouse.app.panels import drift as drifts
from pilothouse.data.history.results import Drift
from pilothouse.data.measures.changes import differing


def answer(face: ModelFace, found: Drift, unshown: str) -> None:
    chance = differing(found.features).sentence
    badge = markup.badge(f"{len(found.features)} features", "plain")
    widgets.title(f"Drift of {face.name}", drifts.drift_answer(found), [badge])
    widgets.quiet(" ".join(filter(None, (drift_map.basis(face, found), chance, unshown))))


def over_time(face: ModelFace, found: Drift) -> None:
    """The map, and beside it the feature chosen, with all its measures below."""
    widgets.section("By feature and time")
    every = widgets.step(questions.default_step(face), questions.allowed_steps(session.window(face)))
    _, _, classes = drift_map.shown(face)
    chosen = drift_map.map_and_shape(face, found, every, classes)
    feature = next((f for f in found.features if f.name == chosen), None)
    if feature is not None:
        render.show(changes.one_feature(feature, face.name, found.window), extra=changes.one_table(feature))


def ranking(found: Drift) -> None:
    widgets.section("Feature by feature")
    search = drift_map.search_box(len(found.features), "search-measures")
    shown = drift_map.SHOWN_FEATURES
    render.show(changes.every_measure(found, shown, search), extra=changes.table(found, shown, search))


def output(face: ModelFace, found: Drift) -> None:
    """What the model said, measured like a feature."""
    widgets.section("The model's own output", "Its score and its answers against those to the reference rows.")
    told = widgets.attempt(lambda: (questions_drift.prediction_drift(face.name, session.range_text()),))
    lines = [("score", found.score), ("prediction", told[0] if told else None)]
    if any(line is not None for _, line in lines):
        with st.container(border=True):
            st.html(changes.output(lines))
    else:
        widgets.empty("There is nothing to compare the answers with: the reference rows have neither score nor answer.")


def main() -> None:
    face = widgets.require_model()
    found, unshown, _ = drift_map.shown(face)
    answer(face, found, unshown)
    drift_map.hidden_values(face)
    impact_section.section(face)
    over_time(face, found)
    ranking(found)
    output(face, found)
    drift_thresholds.section(face, found)
    multivariate_section.section(face)


main()

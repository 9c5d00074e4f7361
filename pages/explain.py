"""Explain: why did the model say this, what does it lean on at all, and has that changed?"""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from pilothouse.app import (
    drift_map,
    formats,
    leaning_section,
    questions,
    questions_explain,
    render,
    session,
    widgets,
)
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import explain as panels
from pilothouse.data.measures.explanation import By, Explanation
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.signature import Task, Value
from pilothouse.ops.measuring.by_shap import is_installed

_NEWEST = 10
_HEAD = {
    "prediction_id": "Prediction", "at": "When", "version": "Version", "prediction": "Said", "score": "Score",
    "label": "Came true",
}  # fmt: skip
_BY = {By.OURS: "Of the answer", By.SHAP: "By shap, on the model's own scale"}


def head(face: ModelFace) -> str:
    """The page's name and the box; gives the prediction that is asked about."""
    widgets.title("Explain", f"Why did {face.name} say this? Find one prediction by its id or its business key.")
    if (key := session.asked_key()) is not None:
        st.session_state["id"] = key
    asked = st.text_input(
        "Prediction", key="id", bind="query-params", placeholder='Its id, or a business key such as {"flight": "UA12"}'
    )
    if any(line.told in UNSHOWN for line in face.columns):
        drift_map.hidden_values(face)
    return (asked or "").strip()


def one(face: ModelFace, asked: str) -> None:
    unmask = session.hidden_shown_until(face.name) is not None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by, of_class = _by(), _of_class(face)
    found = widgets.attempt(lambda: questions_explain.explanation(face.name, asked, unmask, by, of_class))
    if found is None:
        return
    widgets.section("One prediction", panels.answer(found))
    left, right = st.columns([3, 2])
    with left:
        render.show(panels.panel(found))
    with right, st.container(border=True, height="stretch"):
        st.html(panels.facts(found, session.zone()))
    beside(found)


def _by() -> By:
    """Who finds the contributions; where the library shap is not installed there is nothing to choose."""
    if not is_installed():
        return By.OURS
    chosen = st.segmented_control(
        "By", [*By], default=By.OURS, key="explained-by", format_func=_BY.__getitem__, label_visibility="collapsed",
        required=True,
    )  # fmt: skip
    return By(chosen or By.OURS)


def _of_class(face: ModelFace) -> Value:
    """The class whose chance is explained; None for the one that was answered."""
    if face.task is not Task.MULTICLASS:
        return None
    return st.selectbox(
        "Explain the chance of", [None, *face.signature.target.classes], key="explained-class", width=260,
        format_func=lambda told: "the class that was answered" if told is None else str(told),
    )  # fmt: skip


def beside(found: Explanation) -> None:
    words = f"Each value beside those of {formats.count(found.reference_rows)} reference rows."
    widgets.section("Its features", words)
    with st.container(border=True, key="explain-features"):
        st.html(panels.table(found.features))


def newest(face: ModelFace) -> None:
    """Where to begin: the newest predictions, each one click from its explanation."""
    found = questions.rows(face.name, session.range_text(), _NEWEST)
    if not found.rows:
        widgets.empty("No predictions in this range: there is nothing to explain yet.")
        return
    told = [name for name in _HEAD if name != "score" or face.task is Task.BINARY]
    places = [found.columns.index(name) for name in told]
    ids = [str(row[places[0]]) for row in found.rows]
    widgets.section("The newest predictions", "Choose one to see why the model said what it said.")
    columns = {
        _HEAD[name]: [_cell(name, row[place]) for row in found.rows] for name, place in zip(told, places, strict=True)
    }
    st.dataframe(
        columns, hide_index=True, key="explain-newest", on_select=lambda: _choose(ids), selection_mode="single-row",
        alt="The newest predictions.",
    )  # fmt: skip


def _cell(name: str, value: object) -> str:
    if isinstance(value, datetime):
        return formats.second(value, session.zone())
    if value is None:
        return formats.NOTHING
    if isinstance(value, float):
        return formats.figure(value) if name == "score" else panels.value_words(value)
    return str(value)


def _choose(ids: list[str]) -> None:
    if (chosen := widgets.chosen_row("explain-newest", ids)) is not None:
        st.session_state["id"] = chosen


def main() -> None:
    face = widgets.require_model()
    asked = head(face)
    if asked:
        one(face, asked)
    else:
        newest(face)
    leaning_section.importance(face)
    leaning_section.drift(face)


main()

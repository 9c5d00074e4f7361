"""Segments: for whom is the model wrong, and does it treat groups alike?"""

from __future__ import annotations

import streamlit as st

from pilothouse.app import fairness_section, questions_segments, render, session, weak_section, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import segments, weak
from pilothouse.data.measures.segment_comparison import SegmentComparison

_NONE = "nothing else"


def answer(face: ModelFace, names: list[str]) -> None:
    """The worst segment: of those that were searched for, or else of the first column."""
    found = weak_section.remembered(face)
    if found is not None:
        widgets.title(f"Segments of {face.name}", weak.answer(found))
        return
    first = compared(face, (names[0],)) if names else None
    said = "No column of this model tells groups of rows apart." if first is None else segments.answer(first)
    widgets.title(f"Segments of {face.name}", said)


def compared(face: ModelFace, columns: tuple[str, ...]) -> SegmentComparison | None:
    with st.spinner("Reading every row of this range …"):
        return widgets.attempt(lambda: questions_segments.compared(face.name, session.range_text(), columns))


def by_column(face: ModelFace, names: list[str]) -> None:
    widgets.section("By column", "The rows that share a value, or two of them, beside all other rows.")
    if not names:
        widgets.empty("No column of this model tells groups of rows apart.")
        return
    left, right = st.columns(2)
    first = left.selectbox("Column", names, key="segment") or names[0]
    others = [_NONE, *(name for name in names if name != first)]
    second = right.selectbox("And", others, key="segment-and") or _NONE
    found = compared(face, (first,) if second == _NONE else (first, second))
    if found is not None:
        render.show(segments.panel(found), extra=segments.table(found) if found.segments else None)


def main() -> None:
    face = widgets.require_model()
    names = segments.columns_to_choose(face.columns, face.segments_watched)
    answer(face, names)
    weak_section.section(face)
    by_column(face, names)
    fairness_section.section(face, names)


main()

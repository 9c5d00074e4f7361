"""What a model leans on, and whether that has changed, as sections of a page; each is asked for by a button."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import questions_explain, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import contributions, leaning
from pilothouse.ops.measuring.by_shap import INSTALL, is_installed

_RANGE, _REFERENCE = "This time range", "The reference"
_WORSE, _SIZES = "How much worse without it", "Size of contributions (shap)"


def importance(face: ModelFace) -> None:
    widgets.section(
        "What the model leans on",
        "Each feature's values are shuffled among labelled rows: how much worse does the model get without them? "
        "Or, by shap: how far does each feature move the answers?",
    )
    if not _can_be_asked(face):
        return
    with st.container(horizontal=True):
        rows = st.segmented_control(
            "Rows", (_RANGE, _REFERENCE), default=_RANGE, key="importance-rows", label_visibility="collapsed",
            required=True,
        )  # fmt: skip
        by = _choice()
    scope = (face.name, session.range_text(), str(rows), by)
    if not _asked("importance", scope, "Measure it"):
        return
    on_reference = rows == _REFERENCE
    if by == _SIZES:
        sizes(face, on_reference)
        return
    found = widgets.attempt(lambda: questions_explain.importance(face.name, session.range_text(), on_reference))
    if found is not None:
        render.show(leaning.importance_panel(found), extra=leaning.groups_table(found) if found.groups else None)


def _choice() -> str:
    """By what importance is measured; where the library shap is not installed, how to have it."""
    if not is_installed():
        widgets.quiet(f"The size of contributions needs the library shap: `{INSTALL}`.")
        return _WORSE
    chosen = st.segmented_control(
        "By", (_WORSE, _SIZES), default=_WORSE, key="importance-by", label_visibility="collapsed", required=True
    )
    return str(chosen)


def sizes(face: ModelFace, on_reference: bool) -> None:
    """Mean size of contributions, and each of them."""
    found = widgets.attempt(lambda: questions_explain.contributions(face.name, session.range_text(), on_reference))
    if found is None:
        return
    left, right = st.columns(2)
    with left:
        render.show(contributions.sizes(found))
    with right:
        render.show(contributions.dots(found))


def drift(face: ModelFace) -> None:
    widgets.section(
        "Has that changed?",
        "Whether features contribute more, or less, to the answers of this range than to those on the reference. "
        "Labels are not needed.",
    )
    if not _can_be_asked(face) or not _asked("attribution", (face.name, session.range_text()), "Compare"):
        return
    found = widgets.attempt(lambda: questions_explain.attribution(face.name, session.range_text()))
    if found is not None:
        render.show(
            leaning.attribution_panel(found), extra=leaning.attribution_table(found) if found.features else None
        )


def _can_be_asked(face: ModelFace) -> bool:
    champion = face.champion
    if champion is not None and champion.artifact_sha256 is not None:
        return True
    served = "No version is live" if champion is None else "The champion is served elsewhere"
    widgets.empty(f"{served}, so no model can be asked about mixed rows. Register a version with its artifact.")
    return False


def _asked(what: str, scope: tuple[str, ...], label: str) -> bool:
    """Whether a person has asked for it, for this model and range: it scores a hundred thousand rows and more."""
    key = f"asked-{what}"
    st.button(label, icon=":material/calculate:", key=f"ask-{what}", on_click=_ask, args=(key, scope))
    return bool(session.kept(key) == scope)


def _ask(key: str, scope: tuple[str, ...]) -> None:
    st.session_state[key] = scope

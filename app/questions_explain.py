"""What the page Explain asks, remembered: each question scores thousands of rows."""

from __future__ import annotations

import json

import streamlit as st

from pilothouse.app import session
from pilothouse.data.errors import BadFilter
from pilothouse.data.measures.attribution import AttributionDrift
from pilothouse.data.measures.contributions import Contributions
from pilothouse.data.measures.explanation import Explanation
from pilothouse.data.measures.importance import Importance
from pilothouse.data.signature import Value

TTL_S = 60
_SEEN = "Shown on the page Explain, while hidden values were shown."


@st.cache_data(ttl=TTL_S, max_entries=32, show_spinner="Asking the model about mixed rows …")
def explanation(model: str, asked: str, unmask: bool, by: str, of_class: Value) -> Explanation:
    """One prediction. asked : its id, or its business key as JSON; `key_of` tells them apart."""
    face, key = session.house()[model], key_of(asked)
    return face.explain(
        id=asked if key is None else None, key=key, of_class=of_class, by=by, unmask=unmask,
        reason=_SEEN if unmask else "",
    )  # fmt: skip


def key_of(asked: str) -> dict[str, str | int | float] | None:
    """The business key that a text is, as JSON; None for an id. Raises BadFilter for what only begins like one."""
    if not asked.startswith("{"):
        return None
    try:
        key = json.loads(asked)
    except json.JSONDecodeError:
        raise BadFilter(asked, "it is no JSON object", ['{"flight": "UA12"}']) from None
    if not key or any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in key.values()):
        raise BadFilter(asked, "a business key has texts and numbers", ['{"flight": "UA12"}'])
    return dict(key)


@st.cache_data(ttl=600, max_entries=16, show_spinner="Dealing out each feature and scoring the rows again …")
def importance(model: str, range_text: str, on_reference: bool) -> Importance:
    """What the champion leans on, on the labelled rows of the chosen range or of the reference."""
    face = session.house()[model]
    return face.importance(None if on_reference else session.window(face))


@st.cache_data(ttl=600, max_entries=16, show_spinner="Explaining some hundred rows; the first time takes longer …")
def contributions(model: str, range_text: str, on_reference: bool) -> Contributions:
    """What features contribute to the champion's answers in the chosen range or to the reference rows, by shap."""
    face = session.house()[model]
    return face.importance(None if on_reference else session.window(face), by="shap")


@st.cache_data(ttl=600, max_entries=16, show_spinner="Explaining rows of both …")
def attribution(model: str, range_text: str) -> AttributionDrift:
    """Whether features contribute more or less than on the reference, by the champion."""
    face = session.house()[model]
    return face.attribution_drift(session.window(face))

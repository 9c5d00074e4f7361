"""What the pages ask about the cost of drift, remembered: the reference is scored anew for each question."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.data.measures.impact import Impact

TTL_S = 60


@st.cache_data(ttl=TTL_S, max_entries=64, show_spinner="Scoring the reference anew …")
def impact(model: str, range_text: str, metric: str) -> Impact:
    """Over the chosen range, by the version that answered most of it."""
    face = session.house()[model]
    return face.impact(session.window(face), metric)

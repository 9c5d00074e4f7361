"""The questions of the page Data quality, remembered as in `questions`."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.app.questions import TTL_S
from pilothouse.data.measures.quality import Quality
from pilothouse.ops.measuring.schemas import AgreedSchema


@st.cache_data(ttl=12 * TTL_S, max_entries=32, show_spinner=False)
def quality(model: str, range_text: str) -> Quality:
    """Rules and volume; every row of the range is read, so it is asked at most once a minute."""
    face = session.house()[model]
    return face.quality(session.window(face))


@st.cache_data(ttl=TTL_S, max_entries=32, show_spinner=False)
def schema(model: str) -> AgreedSchema:
    """The rules in force, and the versions before them."""
    return session.house()[model].schema

"""The question about estimates, remembered for a minute: it reads the scores of half a year."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import Scoreboard

_KEPT_S = 60


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def estimate(model: str, range_text: str) -> tuple[Estimate, Scoreboard]:
    """Of the chosen range; and by week over the half year up to its end, or over all of it where that is longer."""
    face = session.house()[model]
    return face.estimate_with_past(session.window(face))

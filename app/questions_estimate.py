"""The questions about estimates, remembered for a minute: each reads the scores of half a year."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import Scoreboard
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.estimates import JUDGED_OVER

_KEPT_S = 60


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def estimate(model: str, range_text: str) -> Estimate:
    face = session.house()[model]
    return face.estimate(session.window(face))


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def scoreboard(model: str, range_text: str) -> Scoreboard:
    """By week, over the half year up to the end of the chosen range, or over all of it where that is longer."""
    face = session.house()[model]
    window = session.window(face)
    return face.scoreboard(Window(min(window.start, window.end - JUDGED_OVER), window.end), "1w")

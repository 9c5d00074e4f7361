"""The questions about estimates, remembered for a minute: they read the scores of half a year."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.app.questions import context
from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.scoreboard import Ahead, Scoreboard

_KEPT_S = 60


@st.cache_data(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def estimate(model: str, range_text: str) -> tuple[Estimate, Scoreboard]:
    """Of the chosen range; and by week over the half year up to its end, or over all of it where that is longer."""
    face = session.house()[model]
    return face.estimate_with_past(session.window(face))


@st.cache_data(ttl=_KEPT_S, max_entries=64, show_spinner="Reading the scores of half a year …")
def ahead(model: str, range_text: str, every: str) -> Ahead:
    """What is to be expected of the buckets of a trend whose labels are still arriving. every : a word of `STEPS`."""
    face = session.house()[model]
    return face.estimate_ahead(context(session.window(face), every), f"1{every[0]}")

"""Questions about drift that are read from the log itself, remembered as in `questions`."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.app.questions import TTL_S
from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.measures.multivariate import Multivariate


@st.cache_data(ttl=12 * TTL_S, max_entries=64, show_spinner=False)
def prediction_drift(model: str, range_text: str) -> FeatureDrift | None:
    """Drift of what the model answered; it is read from the log, so it is asked at most once a minute."""
    face = session.house()[model]
    return face.prediction_drift(session.window(face))


@st.cache_data(ttl=3600, max_entries=16, show_spinner=False)
def multivariate(model: str, range_text: str, asked_at: str) -> Multivariate:
    """Drift of all features together, kept for an hour: it takes seconds. `asked_at` tells one request from the next."""
    face = session.house()[model]
    return face.multivariate_drift(session.window(face))

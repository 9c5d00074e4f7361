"""Questions about segments, which are read from the log itself, remembered as in `questions`."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import session
from pilothouse.app.questions import TTL_S
from pilothouse.data.measures.fairness import Fairness
from pilothouse.data.measures.segment_comparison import SegmentComparison
from pilothouse.data.measures.weak_segments import WeakSegments


@st.cache_data(ttl=12 * TTL_S, max_entries=64, show_spinner=False)
def compared(model: str, range_text: str, columns: tuple[str, ...]) -> SegmentComparison:
    """Segments by one column or two; every row is read, so it is asked at most once a minute."""
    face = session.house()[model]
    return face.compared_segments(*columns, window=session.window(face))


@st.cache_data(ttl=3600, max_entries=16, show_spinner=False)
def weak(model: str, range_text: str, loss: str, asked_at: str) -> WeakSegments:
    """Where the model is weak, kept for an hour: it takes seconds. `asked_at` tells one request from the next."""
    face = session.house()[model]
    return face.weak_segments(session.window(face), loss)


@st.cache_data(ttl=12 * TTL_S, max_entries=64, show_spinner=False)
def fairness(model: str, range_text: str, column: str, min_rows: int) -> Fairness:
    """The groups of a column, over the range and week by week."""
    face = session.house()[model]
    return face.fairness(column, session.window(face), min_rows=min_rows)

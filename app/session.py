"""Who is here and what they look at: the house, the model and the time range of this browser session."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import streamlit as st

from pilothouse.app import ranges
from pilothouse.app.faces import HouseFace, ModelFace
from pilothouse.data.windows import Window, utc_now

_SEEN_FOR = timedelta(minutes=15)
_PAGES = Path(__file__).resolve().parent.parent / "pages"


def house() -> HouseFace:
    """The house of the workspace that PILOTHOUSE_WORKSPACE names, opened once a process."""
    return _opened(workspace())


def workspace() -> str:
    """The folder that the dashboard was started for."""
    return os.environ.get("PILOTHOUSE_WORKSPACE", ".")


@st.cache_resource(show_spinner=False, max_entries=1)
def _opened(workspace: str) -> HouseFace:
    from pilothouse.app.house import open_house

    return open_house(workspace)


def model() -> ModelFace:
    """The model chosen in the sidebar. A page that needs one calls `require_model` first."""
    return house()[st.session_state["model"]]


def zone() -> tzinfo:
    """The workspace's business zone, or UTC when the sidebar's switch asks for it."""
    return UTC if st.session_state.get("utc") else house().settings.zone


def zone_name() -> str:
    return "UTC" if st.session_state.get("utc") else house().settings.time_zone


def now() -> datetime:
    return utc_now()


def range_text() -> str:
    return str(st.session_state.get("range") or ranges.DEFAULT_RANGE)


def range_options() -> list[str]:
    """The presets, and the range that a drag on a chart (or the URL) asks for."""
    asked = str(st.session_state.get("range") or st.query_params.get("range", ""))
    extra = [asked] if asked not in ranges.PRESETS and ranges.is_known(asked, house().settings.zone) else []
    return [*ranges.PRESETS, *extra]


def choose_span(start: datetime, end: datetime) -> None:
    """Make a drag, in the wall-clock time that is shown, the shared time range. For callbacks."""
    shown, business = zone(), house().settings.zone
    there = (time.replace(tzinfo=shown).astimezone(business).replace(tzinfo=None) for time in (start, end))
    st.session_state["range"] = ranges.custom_text(*ranges.snapped(*there))


def window(face: ModelFace) -> Window:
    """The chosen time range for `face`: presets count back from the end of its own data.

    A span is read in the business zone whatever zone is shown, so that a link means the same to everybody.
    """
    chosen = range_text()
    return ranges.parse_custom(chosen, house().settings.zone) or face.window(chosen)


def page(name: str) -> st.Page:
    """A page of the dashboard, to declare it or to link to it."""
    title, icon, default = _PLACES[name]
    return st.Page(_PAGES / f"{name}.py", title=title, icon=icon, url_path=None if default else name, default=default)


_PLACES = {
    "fleet": ("Fleet", ":material/grid_view:", True),
    "model": ("Model", ":material/monitoring:", False),
    "drift": ("Drift", ":material/waves:", False),
    "performance": ("Performance", ":material/target:", False),
    "segments": ("Segments", ":material/groups:", False),
    "quality": ("Data quality", ":material/rule:", False),
    "explain": ("Explain", ":material/lightbulb:", False),
    "releases": ("Releases", ":material/rocket_launch:", False),
    "retrain": ("Retrain", ":material/model_training:", False),
    "log": ("Log", ":material/database:", False),
    "intake": ("Import", ":material/input:", False),
    "keys": ("Keys", ":material/key:", False),
}


def kept(name: str) -> Any:
    """What a page has kept for this browser session, or None."""
    return st.session_state.get(name)


def visit(place: str, name: str) -> None:
    """Make `name` the model that the pages speak of, and go to `place` in the run that follows. For callbacks."""
    st.session_state["model"], st.session_state["go"] = name, place


def explain(name: str, asked: str) -> None:
    """Go to the explanation of one prediction, by its id. For callbacks."""
    st.session_state["go-with"] = {"id": asked}
    visit("explain", name)


def asked_key() -> str | None:
    """Once, the business key that the address asks about by `?key=`; None without one."""
    key = st.query_params.get("key")
    if key is not None:
        del st.query_params["key"]
    return key


def follow() -> None:
    """Go where a callback asked to go."""
    place, asked = st.session_state.pop("go", None), st.session_state.pop("go-with", {})
    if place:
        # A mapping, be it empty: without one Streamlit clears the URL, and refuses to where widgets are bound to it.
        st.switch_page(page(place), query_params=asked)


def show_hidden(face: ModelFace, reason: str) -> None:
    """Show the model's hidden values to this browser session for a while. Raises NotAllowed, NoReason."""
    face.unmask(reason=reason)
    st.session_state["unmasked"] = (face.name, now() + _SEEN_FOR)


def hidden_shown_until(model: str) -> datetime | None:
    """Until when this browser session sees the model's hidden values; None when it does not."""
    of, until = st.session_state.get("unmasked", ("", now()))
    return until if of == model and until > now() else None


def hide_again() -> None:
    """Hide what `show_hidden` has shown. For callbacks."""
    st.session_state.pop("unmasked", None)


def flash(text: str, icon: str = ":material/check:") -> None:
    """Say `text` once, after the rerun that follows."""
    st.session_state["flash"] = (text, icon)


def forget_answers() -> None:
    """Ask anew after an act: what was cached spoke of the world before it."""
    st.cache_data.clear()

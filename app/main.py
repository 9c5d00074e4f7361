"""The dashboard's entry: what every page shares. Run by `streamlit run`, never imported."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pilothouse.app import markup, ranges, sentences, session, widgets
from pilothouse.app.theme import CSS_FILE
from pilothouse.data.errors import PilothouseError

_STATIC = Path(__file__).resolve().parent / "static"


def _sidebar() -> None:
    with st.sidebar:
        names = session.house().models()
        if names:
            # Bound here, in the entry script, so that they outlive a change of page; the URL holds the shown text.
            st.selectbox("Model", names, key="model", bind="query-params")
        _time_range()
        if session.range_text() not in ranges.PRESETS:
            st.button("Back to 14 days", icon=":material/undo:", on_click=_reset_range, width="stretch")
        st.toggle("UTC", key="utc", help="Show all times in UTC: for incidents across zones.")
        if names:
            _data_note()
        _demo_note()


def _time_range() -> None:
    # A default beside a value that a callback has set makes Streamlit warn, so it is given only until there is one.
    default = 0 if "range" in st.session_state else ranges.PRESETS.index(ranges.DEFAULT_RANGE)
    help_text = "For every page. A sideways drag on a chart over time sets it too."
    options = session.range_options()
    st.selectbox("Time range", options, index=default, key="range", bind="query-params", help=help_text)


def _reset_range() -> None:
    st.session_state["range"] = ranges.DEFAULT_RANGE


def _data_note() -> None:
    note = sentences.data_note(session.model().history.watermark(), session.zone(), session.zone_name())
    st.html(markup.tag("p", note, kind="ph-sidenote"))


def _demo_note() -> None:
    demo = session.house().demo
    if demo is not None:
        st.html(markup.tag("p", markup.join([markup.tag("b", "Demo. "), demo.sentence]), kind="ph-sidenote"))


def _say_flash() -> None:
    said = st.session_state.pop("flash", None)
    if said:
        text, icon = said
        st.toast(text, icon=icon)


def main() -> None:
    st.set_page_config(page_title="Pilothouse", page_icon=str(_STATIC / "icon.svg"), layout="wide")
    st.html(CSS_FILE)
    st.logo(str(_STATIC / "logo.svg"), size="large", icon_image=str(_STATIC / "icon.svg"))
    places = {
        "Monitor": [
            session.page(name) for name in ("fleet", "model", "drift", "performance", "segments", "quality", "explain")
        ],
        "Operate": [session.page(name) for name in ("releases", "retrain", "log", "intake", "keys")],
    }
    here = st.navigation(places)
    session.follow()
    _sidebar()
    _say_flash()
    try:
        here.run()
    except PilothouseError as error:
        widgets.refusal(error, "Not available")


main()

"""Keys: who may call the service, and for what. A key is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pilothouse.app import session, widgets
from pilothouse.app.faces import NewKey
from pilothouse.app.panels import keys as panels
from pilothouse.data.state.keys import KeyRow

_FOR_EVER = "no end"
_LIVES = ("90d", "30d", "365d", _FOR_EVER)


@st.dialog("New key", icon=":material/key:", on_dismiss="rerun")
def create_dialog() -> None:
    house = session.house()
    with st.form("create", border=False):
        caller = st.text_input("Caller", key="key-caller", help="Who will use it. The name stands in the log.").strip()
        scopes = st.multiselect("It may", panels.scopes_offered(house.models()), key="key-scopes")
        life = st.selectbox("It ends after", _LIVES, key="key-life")
        asked = st.form_submit_button("Make the key", icon=":material/key:", key="key-create")
    if asked:
        expires = None if life == _FOR_EVER else life
        show(widgets.attempt(lambda: house.keys.create(caller, scopes, expires=expires)))


@st.dialog("Successor", icon=":material/autorenew:", on_dismiss="rerun")
def rotate_dialog(key: KeyRow) -> None:
    widgets.paragraph(f"A new key for {key.caller} with the same scopes. The present one holds for seven days more.")
    if st.button("Make the successor", icon=":material/autorenew:", key="key-rotate"):
        show(widgets.attempt(lambda: session.house().keys.rotate(key.caller)))


@st.dialog("Revoke", icon=":material/block:")
def revoke_dialog(key: KeyRow) -> None:
    widgets.paragraph(
        f"The key {key.id} of {key.caller} ends at once: requests with it are refused within two seconds."
    )
    with st.form("revoke", border=False):
        reason = st.text_input("Reason", key="key-reason", placeholder="Leaked? Not used any more?").strip()
        widgets.quiet("The reason is kept in the audit trail.")
        asked = st.form_submit_button("Revoke it", icon=":material/block:", key="key-revoke")
    if asked:
        keys = session.house().keys
        widgets.act(lambda: keys.revoke(key.id, reason=reason), f"The key of {key.caller} is revoked.", "Revoking …")


def show(made: NewKey | None) -> None:
    """The key itself, which nobody can show again."""
    if made is not None:
        widgets.paragraph(f"This is the key of {made.row.caller}. Copy it now: it is not shown again.")
        st.code(made.text, language=None)


def held(keys: Sequence[KeyRow]) -> None:
    for key in keys:
        with st.container(border=True, key=f"held-{key.id}"):
            st.html(panels.table([key], session.now(), session.zone()))
            with st.container(horizontal=True):
                if st.button("Make a successor", icon=":material/autorenew:", key=f"rotate-{key.id}"):
                    rotate_dialog(key)
                if st.button("Revoke", icon=":material/block:", key=f"revoke-{key.id}"):
                    revoke_dialog(key)


def main() -> None:
    house, now = session.house(), session.now()
    keys = house.keys.list()
    widgets.title("Keys", f"Who may call the service? {panels.answer(keys, house.settings, now)}")
    if st.button("New key", icon=":material/key:", key="new-key"):
        create_dialog()
    live, ended = panels.live(keys, now), panels.ended(keys, now)
    if live:
        held(live)
    else:
        widgets.empty("No key is live. Make one here, or with `pilothouse keys create CALLER --scope predict:*`.")
    if ended:
        widgets.section(
            "Ended", "Keys that were revoked or have expired. They stay here, as they do in the audit trail."
        )
        with st.container(border=True):
            st.html(panels.table(ended, now, session.zone()))


main()

"""Import: somebody else's log of predictions, from a file to the model's page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pilothouse.app import intake, session, widgets
from pilothouse.data.errors import PilothouseError

TICK_S = 1


def choose_file() -> None:
    with st.container(border=True, key="upload"):
        left, right = st.columns(2)
        predictions = left.file_uploader("Predictions", type=intake.SUFFIXES, key="predictions-file")
        labels = right.file_uploader(
            "Labels, if they lie in a file of their own", type=intake.SUFFIXES, key="labels-file"
        )
        widgets.quiet(intake.LIMITS)
        name = st.text_input(
            "Model", key="import-name", placeholder="a new name, or that of a model that is here"
        ).strip()
        if st.button("Look at the file", icon=":material/search:", key="look", disabled=predictions is None):
            try:
                with st.spinner("Reading the first rows …"):
                    intake.look(name, predictions, labels)
            except PilothouseError as error:
                widgets.refusal(error, "Not read")


def show_mapping(found: dict[str, Any]) -> None:
    widgets.section(
        "What each column is", "Change the second column where a guess is wrong; the file is then read again."
    )
    for question in found.get("questions", ()):
        widgets.paragraph(f"{question}: write it beside the one that it is.")
    edited = st.data_editor(
        found["mapping"],
        key=f"mapping-{found['number']}-{found['turn']}",
        hide_index=True,
        disabled=["theirs", "kind", "why"],
        column_config={
            "theirs": "Their column",
            "ours": st.column_config.TextColumn("is our", help=intake.PARTS),
            "kind": "read as",
            "why": "because",
        },
    )
    changed = intake.changes(found["mapping"], edited)
    if changed and st.button("Read again", icon=":material/refresh:", key="again", type="primary"):
        try:
            with st.spinner("Reading the first rows …"):
                intake.look_again(changed)
        except PilothouseError as error:
            widgets.refusal(error, "Not read")
            return
        st.rerun()


def show_preview(found: dict[str, Any]) -> None:
    widgets.section("What would happen", found["sentence"])
    for note in found["notes"]:
        widgets.quiet(note)
    bad = intake.bad_rows(found)
    if bad:
        st.html(bad)
    label = intake.act_words(found)
    if st.button(label, icon=":material/input:", key="import", type=widgets.weight(not found["set_aside"])):
        intake.begin()
        st.rerun()


@st.fragment(run_every=TICK_S)
def live(number: str) -> None:
    """The import as it goes; the whole page runs anew once it has ended."""
    state = intake.state(number)
    if state.state != "running":
        st.rerun()
    st.progress(intake.share(state), text=intake.progress_words(state))
    st.button("Stop", icon=":material/stop_circle:", key="stop-import", on_click=intake.stop, args=(number,))


def show_result(model: str, number: str) -> None:
    state = intake.state(number)
    if state.state == "failed":
        widgets.paragraph(state.error)
        return
    widgets.paragraph(state.found["sentence"])
    if state.found["registered"]:
        widgets.quiet(state.found["registered"])
    for what, content in intake.set_aside(state).items():
        name = f"{model}.bad-{what}.csv"
        st.download_button(f"{what.title()} set aside (CSV)", content, name, "text/csv", key=f"bad-{what}")
    widgets.visit(f"Go to {model}", "model", model, icon=":material/monitoring:", primary=True)


def main() -> None:
    widgets.title("Import", "Watch a model that is served elsewhere: its log of predictions is enough.")
    number, model = st.query_params.get("import", ""), st.query_params.get("into", "")
    if number and intake.is_known(number):
        with st.container(border=True, key="running-import"):
            live(number) if intake.state(number).state == "running" else show_result(model, number)
    choose_file()
    found = session.kept("intake")
    if found is not None:
        show_mapping(found)
    if found is not None and "questions" not in found:
        show_preview(found)


main()

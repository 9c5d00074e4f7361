"""Import: somebody else's log of predictions, from a file to the model's page."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from pilothouse.app import intake, session, widgets
from pilothouse.data.errors import PilothouseError
from pilothouse.data.signature import Task
from pilothouse.ops.imports.said import DECIMALS

TICK_S = 1
_FOUND_OUT = "found out"


def choose_file() -> None:
    with st.container(border=True, key="upload"):
        left, middle, right = st.columns(3)
        predictions = left.file_uploader("Predictions", type=intake.SUFFIXES, key="predictions-file")
        labels = middle.file_uploader(
            "Labels, if they lie in a file of their own", type=intake.SUFFIXES, key="labels-file"
        )
        reference = right.file_uploader(
            "Reference of a new model, if you have one", type=intake.SUFFIXES, key="reference-file",
            help="Labelled rows to compare with, columns called as in the predictions; else the earliest that come.",
        )  # fmt: skip
        widgets.quiet(intake.LIMITS)
        name = st.text_input(
            "Model", key="import-name", placeholder="a new name, or that of a model that is here"
        ).strip()
        if st.button("Look at the file", icon=":material/search:", key="look", disabled=predictions is None):
            try:
                with st.spinner("Reading the first rows …"):
                    intake.look(name, predictions, labels, reference)
            except PilothouseError as error:
                widgets.refusal(error, "Not read")


def correct(found: dict[str, Any]) -> dict[str, Any]:
    """What the files are taken for, to be corrected; gives all that is said of them now."""
    said = show_mapping(found, "mapping", "Columns") | show_mapping(found, "label_mapping", "Columns of the labels")
    return said | show_reading(found["number"]) | (show_model(found["number"], found) if found.get("new", True) else {})


def show_mapping(found: dict[str, Any], name: str, title: str) -> dict[str, Any]:
    if found.get(name) is None:
        return {}
    widgets.section(title, "Where a guess is wrong, write into the second column what it is.")
    table = st.data_editor(
        found[name],
        key=f"{name}-{found['number']}-{found['turn']}",
        hide_index=True,
        disabled=["theirs", "kind", "why"],
        column_config={
            "theirs": "their column",
            "ours": st.column_config.TextColumn("is our", help=intake.PARTS),
            "kind": "read as",
            "why": st.column_config.TextColumn("because", width="large"),
        },
    )
    return intake.edited(found, name, table)


def show_reading(number: str) -> dict[str, Any]:
    """How values are read; what is left empty is found out."""
    widgets.section("How it is read", "What is left empty is found out.")
    with st.container(border=True):
        first, second, third, fourth, fifth = st.columns([3, 3, 2, 2, 2])
        zone = first.selectbox(
            "Time zone", sorted(available_timezones()), index=None, key=f"time-zone-{number}",
            placeholder=f"the workspace's: {session.house().settings.time_zone}", help="Of times that name none.",
        )  # fmt: skip
        times = second.text_input(
            "Time format", key=f"time-format-{number}", placeholder=_FOUND_OUT,
            help="How times are written, as `%d.%m.%Y %H:%M`; or `epoch_s`, `epoch_ms`, `epoch_us`.",
        )  # fmt: skip
        decimal = third.selectbox("Decimal sign", DECIMALS, index=None, key=f"decimal-{number}", placeholder=_FOUND_OUT)
        encoding = fourth.text_input(
            "Encoding", key=f"encoding-{number}", placeholder=_FOUND_OUT, help="Of a CSV file, such as cp1252."
        )
        version = fifth.number_input(
            "Version", min_value=1, value=None, step=1, key=f"version-{number}", placeholder=_FOUND_OUT,
            help="Of rows that name none; else the champion's, or 1.",
        )  # fmt: skip
    return _given(time_zone=zone, time_format=times, decimal=decimal, encoding=encoding, version=version)


def show_model(number: str, found: dict[str, Any]) -> dict[str, Any]:
    """What a new model is; a model that is here already knows it."""
    widgets.section("The new model", "What is left empty is found out.")
    with st.container(border=True):
        first, second, third, fourth, fifth = st.columns([3, 3, 2, 2, 2])
        task = first.selectbox(
            "Task", [task.value for task in Task], index=None, key=f"task-{number}", placeholder=_FOUND_OUT
        )
        target = second.selectbox(
            "Target", intake.columns(found), index=None, key=f"target-{number}", placeholder=_FOUND_OUT,
            accept_new_options=True, help="The column of the label.",
        )  # fmt: skip
        classes = third.text_input(
            "Classes",
            key=f"classes-{number}",
            placeholder="no,yes",
            help="The positive one last; else those that come.",
        )
        positive = fourth.text_input(
            "Positive class", key=f"positive-{number}", placeholder=_FOUND_OUT,
            help="The class that the score is the probability of.",
        )  # fmt: skip
        horizon = fifth.text_input(
            "Horizon", key=f"horizon-{number}", placeholder="7d",
            help="How long labels take, and how far keys look for their predictions.",
        )  # fmt: skip
    return _given(task=task, target=target, classes=classes, positive=positive, horizon=horizon)


def _given(**options: Any) -> dict[str, Any]:
    """The options that are not left empty."""
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in options.items()}
    return {name: value for name, value in stripped.items() if value not in (None, "")}


def read_again(said: dict[str, Any]) -> None:
    widgets.quiet("Nothing is imported as long as a correction has not been read.")
    if st.button("Read again", icon=":material/refresh:", key="again", type="primary"):
        with st.spinner("Reading the first rows …"):
            intake.look_again(said)
        st.rerun()


def show_preview(found: dict[str, Any]) -> None:
    widgets.section("What would happen", found["sentence"])
    for note in found["notes"]:
        widgets.quiet(note)
    bad = intake.bad_rows(found)
    if bad:
        st.html(bad)
    clean = widgets.weight(not found["set_aside"])
    st.button(intake.act_words(found), icon=":material/input:", key="import", type=clean, on_click=intake.begin)


def show_changes(found: dict[str, Any]) -> None:
    if changed := intake.changed_table(found):
        widgets.section("What the correction changed")
        st.html(changed)


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


def show_found(found: dict[str, Any]) -> None:
    """What was found of a file: to be corrected, and read again, and imported as it was read."""
    problems = st.container()
    said = correct(found)
    unread = said != found["said"]
    if unread or "sentence" not in found:
        with problems:
            for problem in found.get("problems", ()):
                widgets.problem(problem, "Not read")
    if unread:
        read_again(said)
        return
    show_changes(found)
    if "sentence" in found:
        show_preview(found)


def main() -> None:
    widgets.title("Import", "Watch a model that is served elsewhere: its log of predictions is enough.")
    number, model = st.query_params.get("import", ""), st.query_params.get("into", "")
    if number and intake.is_known(number):
        with st.container(border=True, key="running-import"):
            live(number) if intake.state(number).state == "running" else show_result(model, number)
    choose_file()
    found = session.kept("intake")
    if found is not None:
        show_found(found)


main()

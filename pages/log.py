"""Log: is it whole? What it holds, what waits, how labels come in, what is kept, and what was erased."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import formats, markup, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import log as panels
from pilothouse.data.policies import LogPolicy
from pilothouse.ops.governance.log_state import LogState


@st.dialog("What is kept", icon=":material/auto_delete:")
def policy_dialog(face: ModelFace) -> None:
    policy = face.log_policy
    widgets.paragraph(f"How long single rows of {face.name} are kept, in days. 0 keeps them for ever.")
    keep = _days("Remove rows after", policy.keep_days, "keep-days")
    private = _days("Empty entity ids, keys and private columns after", policy.keep_private_days, "keep-private")
    full = _days("Thin rows to a sample after", policy.full_days, "keep-full")
    share = st.number_input("Share kept of thinned rows", 0.01, 1.0, policy.sample_share, 0.05, key="keep-share")
    asked = LogPolicy(keep_days=keep, keep_private_days=private, full_days=full, sample_share=share)
    report = widgets.attempt(lambda: face.preview_log_policy(asked))
    if report is None:
        return
    widgets.paragraph(panels.preview_words(report))
    widgets.quiet("The worker carries it out within a day. The change is kept in the audit trail.")
    if st.button("Keep it so", icon=":material/check:", key="keep-confirm", disabled=asked == policy):
        widgets.act(lambda: face.set_log_policy(asked), f"{face.name}: what is kept has changed.", "Writing …")


def _days(label: str, known: int | None, key: str) -> int | None:
    return int(st.number_input(label, 0, 36_500, known or 0, key=key)) or None


@st.dialog("Erase an entity", icon=":material/person_remove:")
def erasure_dialog(face: ModelFace) -> None:
    widgets.paragraph(
        f"Every row of one entity is removed from {face.name}: tables and their older versions, spools, labels, training "
        "snapshots, references. It cannot be undone, and backups made before are not reached."
    )
    with st.form("erase", border=False):
        entity = st.text_input("Entity", key="erase-entity", help="As callers send it: entity_id.").strip()
        again = st.text_input("The same once more", key="erase-again").strip()
        reason = st.text_input("Reason", key="erase-reason", placeholder="Who asked, and when?").strip()
        widgets.quiet("The receipt and the audit trail hold a keyed hash of the entity, never its name.")
        asked = st.form_submit_button("Erase it everywhere", icon=":material/person_remove:", key="erase-confirm")
    if asked and not (entity and reason and entity == again):
        st.html(markup.join([markup.badge("▲ Not done", "watch"), " Give the entity twice, and a reason."]))
    elif asked:
        widgets.act(
            lambda: face.erase(entity, reason=reason), f"{face.name}: erased. The receipt stands below.", "Erasing …"
        )


def head(face: ModelFace, state: LogState) -> None:
    widgets.title(
        "Log", f"Is the log of {face.name} whole? {panels.answer(state)}", [markup.chip(panels.status(state))]
    )
    if state.damage:
        with st.container(border=True, key="damage"):
            st.html(panels.damage(state.damage))
    widgets.tiles(panels.tiles(state, session.house().last_backup, session.now()))
    if lag := face.forward_lag:
        widgets.paragraph(f"Sent on to the central house: {lag.sentence}.")


def held(state: LogState) -> None:
    widgets.section(
        "Tables", "Rows go from the spool into the tables, and from there into roll-ups; each is counted once."
    )
    with st.container(border=True):
        st.html(panels.tables(state))
    if state.set_aside:
        rows = formats.count(state.rows_set_aside)
        widgets.section("Set aside", f"{rows} rows were taken, but cannot be read. Their bytes are kept in the spool.")
        with st.container(border=True):
            st.html(panels.set_aside(state, session.zone()))


def recount(face: ModelFace, state: LogState) -> None:
    """The last comparison of roll-ups with rows; a day that differed is the one to look at again."""
    last = state.recounted
    widgets.section("Recount", "Roll-ups are checked against the rows that they count, one day at a time.")
    with st.container(border=True, key="recount-box"):
        st.html(panels.recount(last, face.name, session.now()))
        day = last.found.day if last and last.found.differing else None
        label = f"Recount {day} again" if day else "Recount the newest whole day"
        if st.button(label, icon=":material/calculate:", key="recount"):
            widgets.act(lambda: face.recount(day), f"{face.name}: recounted.", "Counting the rows …")


def batches(face: ModelFace) -> None:
    if not face.batches:
        return
    widgets.section(
        "Batches", "Files that were scored at once. Their rows have the role batch, and no live figure counts them."
    )
    with st.container(border=True, key="batches"):
        st.html(panels.batches(face.batches, session.zone()))


def labels(face: ModelFace) -> None:
    window = session.window(face)
    found = widgets.attempt(lambda: face.labels(window, "1w"))
    if found is None:
        return
    widgets.section("Labels", panels.label_words(found))
    if not any(cohort.rows for cohort in found.cohorts):
        widgets.empty("No predictions in this range: there is nothing to wait for a label for.")
        return
    with st.container(border=True):
        st.html(panels.coverage(found, session.zone()))


def columns(face: ModelFace) -> None:
    found = widgets.attempt(lambda: face.schema_changes(session.window(face)))
    words = "Sensitive and masked values are hidden on pages, in samples and in reports. `pilothouse columns` changes a class."
    widgets.section("Columns", words)
    left, right = st.columns(2)
    with left, st.container(border=True, height="stretch"):
        st.html(panels.columns(face.columns))
    with right, st.container(border=True, height="stretch"):
        if found:
            st.html(panels.changes(found, session.zone()))
        else:
            st.html(markup.tag("p", "No column came, went or changed its type in this range.", kind="ph-empty"))


def kept(face: ModelFace, state: LogState) -> None:
    widgets.section("What is kept")
    with st.container(border=True, key="kept"):
        for line in panels.policy_words(face.log_policy, state.raw_from):
            widgets.paragraph(line)
        with st.container(horizontal=True):
            if st.button("Change what is kept", icon=":material/auto_delete:", key="keep"):
                policy_dialog(face)
            if st.button("Erase an entity", icon=":material/person_remove:", key="erase"):
                erasure_dialog(face)
    if face.receipts:
        widgets.section("Erased", "One receipt for each; it lists what was looked at and what was removed.")
        with st.container(border=True):
            st.html(panels.receipts(face.receipts, session.zone()))


def main() -> None:
    face = widgets.require_model()
    state = face.log_state
    head(face, state)
    held(state)
    recount(face, state)
    batches(face)
    labels(face)
    columns(face)
    kept(face, state)


main()

"""What the Releases page shows and does of canaries and shadows. Each button names its act, asks once, and says why not."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import markup, questions, session, widgets
from pilothouse.app import trial_words as words
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import trials as panels
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.state.trials import Trial, TrialKind, share_text

_SHARES = ("1%", "5%", "10%", "25%", "50%")
_KEPT = "The reason is kept in the audit trail."


@st.dialog("Canary", icon=":material/science:")
def canary_dialog(face: ModelFace, version: int, running: Trial | None, epoch: int) -> None:
    """Start a canary, or change its share."""
    now = share_text(running.basis_points) if running else ""
    asks = f"Change the share of version {version}?" if running else f"Let version {version} answer a share?"
    st.html(markup.tag("h3", asks, kind="ph-heading"))
    widgets.paragraph(
        "The same customers stay with it: who is in is decided by a hash of the entity, or of the row's id."
    )
    widgets.paragraph("All service workers load it first. Whoever is in the smaller share stays in a larger one.")
    with st.form("canary", border=False):
        index = _SHARES.index(now) if now in _SHARES else 0
        share = st.selectbox("Share of the requests", _SHARES, index=index, key="canary-share", accept_new_options=True)
        reason = st.text_input("Reason", key="canary-reason", placeholder="What do you want to see?").strip()
        widgets.quiet(_KEPT)
        label = "Change the share" if running else f"Start the canary with version {version}"
        asked = st.form_submit_button(label, icon=":material/science:", key="canary-confirm")
    if asked:
        widgets.act(
            lambda: face.canary(version, share=share or "", reason=reason, expected_epoch=epoch),
            f"Version {version} answers {share} of the requests to {face.name}.",
            "All workers are loading the version …",
        )


@st.dialog("Shadow", icon=":material/visibility:")
def shadow_dialog(face: ModelFace, version: int, epoch: int) -> None:
    st.html(markup.tag("h3", f"Ask version {version} too, without telling anybody?", kind="ph-heading"))
    widgets.paragraph("It scores every answered row afterwards. What it says is logged, and reaches no client.")
    with st.form("shadow", border=False):
        reason = st.text_input("Reason", key="shadow-reason", placeholder="What do you want to see?").strip()
        widgets.quiet(_KEPT)
        asked = st.form_submit_button(
            f"Start the shadow of version {version}", icon=":material/visibility:", key="shadow-confirm"
        )
    if asked:
        widgets.act(
            lambda: face.shadow(version, reason=reason, expected_epoch=epoch),
            f"Version {version} is a shadow of {face.name}.",
            "All workers are loading the version …",
        )


@st.dialog("End", icon=":material/stop_circle:")
def end_dialog(face: ModelFace, trial: Trial, epoch: int) -> None:
    st.html(markup.tag("h3", f"End the {trial.kind} of version {trial.version}?", kind="ph-heading"))
    after = "The champion answers everybody again." if trial.kind is TrialKind.CANARY else "It is asked no longer."
    widgets.paragraph(f"{after} What was logged stays.")
    with st.form("end-trial", border=False):
        reason = st.text_input("Reason", key="end-trial-reason").strip()
        widgets.quiet(_KEPT)
        asked = st.form_submit_button(f"End the {trial.kind}", icon=":material/stop_circle:", key="end-trial-confirm")
    if asked:
        widgets.act(
            lambda: _end(face, trial, reason, epoch),
            f"The {trial.kind} of version {trial.version} has ended.",
            "Ending …",
        )


def _end(face: ModelFace, trial: Trial, reason: str, epoch: int) -> Trial:
    if trial.kind is TrialKind.CANARY:
        return face.canary(end=True, reason=reason, expected_epoch=epoch)
    return face.shadow(trial.version, end=True, reason=reason, expected_epoch=epoch)


def buttons(face: ModelFace, version: VersionRow) -> None:
    """Ways to try a challenger before it is promoted; none for one that is on trial, or is served elsewhere."""
    running = face.trials
    tried = {(trial.kind, trial.version) for trial in running}
    if version.artifact_sha256 is None or face.champion is None:
        return
    has_canary = any(trial.kind is TrialKind.CANARY for trial in running)
    number = version.version
    with st.container(horizontal=True):
        if not has_canary and st.button("Try as canary", icon=":material/science:", key=f"canary-{number}"):
            canary_dialog(face, number, None, face.epoch)
        shadowed = (TrialKind.SHADOW, number) in tried
        if not shadowed and st.button("Ask as shadow", icon=":material/visibility:", key=f"shadow-{number}"):
            shadow_dialog(face, number, face.epoch)


def not_loaded(face: ModelFace) -> None:
    """Versions that a running worker could not load: it goes on with the one before, and no promotion passes."""
    failed = face.failed_loads
    if not failed:
        return
    with st.container(border=True):
        widgets.problem(
            "A service worker goes on with the version that it has; mend or replace the other.", "Not loaded"
        )
        st.html(panels.failed_table(failed))


@st.fragment(run_every=10)
def on_trial(name: str) -> None:
    """The canary beside the champion, and every shadow; figures follow the log."""
    face = session.house()[name]
    running = face.trials
    if not running:
        return
    widgets.section("On trial", "A canary answers a share of the requests; a shadow is asked too and answers nobody.")
    columns = st.columns(min(len(running), 2))
    for place, trial in enumerate(running):
        with columns[place % len(columns)], st.container(border=True, key=f"trial-{trial.kind}-{trial.version}"):
            _head(face, trial)
            if trial.kind is TrialKind.CANARY:
                _canary(face)
            else:
                _shadow(face, trial)


def _head(face: ModelFace, trial: Trial) -> None:
    canary = trial.kind is TrialKind.CANARY
    role = markup.badge(f"Canary {share_text(trial.basis_points)}" if canary else "Shadow", "challenger")
    title = markup.tag("h2", f"Version {trial.version}", kind="ph-heading")
    st.html(markup.tag("div", markup.join([title, role]), kind="ph-row"))
    widgets.quiet(words.trial_sentence(trial, session.zone()))
    with st.container(horizontal=True):
        key = f"{trial.kind}-{trial.version}"
        if canary and st.button("Change the share", icon=":material/tune:", key=f"share-{key}"):
            canary_dialog(face, trial.version, trial, face.epoch)
        if st.button(f"End the {trial.kind}", icon=":material/stop_circle:", key=f"end-{key}"):
            end_dialog(face, trial, face.epoch)


def _canary(face: ModelFace) -> None:
    tried = widgets.attempt(lambda: questions.tried(face.name, face.epoch))
    if tried is None:
        return
    st.html(panels.tried_table(tried))
    if tried.few:
        widgets.quiet(words.few_words(tried))


def _shadow(face: ModelFace, trial: Trial) -> None:
    found = widgets.attempt(lambda: questions.shadowed(face.name, face.epoch)) or ()
    for shadowed in found:
        if shadowed.trial.version == trial.version:
            widgets.paragraph(words.shadow_sentence(shadowed))
            if shadowed.shadow:
                st.html(panels.shadow_table(shadowed))
            if shadowed.few:
                widgets.quiet(words.few_words(shadowed))

"""Releases: who is champion, who would be better, and the two acts: promote and roll back, each with its proof."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import (
    formats,
    markup,
    packing,
    questions,
    ranges,
    render,
    sentences,
    session,
    trial_words,
    trials,
    widgets,
)
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import performance, releases
from pilothouse.app.panels import trials as panels
from pilothouse.app.panels.charts import STEPS
from pilothouse.data.signature import Task
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.windows import Window
from pilothouse.ops.releases.proof import Proof

_KEPT = "The reason is kept in the audit trail."


@st.dialog("Promote", icon=":material/rocket_launch:")
def promote_dialog(face: ModelFace, version: VersionRow, epoch: int) -> None:
    card, number = version.scorecard, version.version
    before = "It is the first champion."
    if face.champion:
        before = f"Version {face.champion.version} stays at hand, so that you can roll back."
    st.html(markup.tag("h3", f"Make version {number} the champion of {face.name}?", kind="ph-heading"))
    widgets.paragraph(f"Every answer from the flip on comes from version {number}. {before}")
    widgets.paragraph("All service workers load it first; none switches before all can.")
    if card is None or releases.verdict(card) == "promote":
        widgets.paragraph(releases.predicted_outcome(card, face.name, number))
    else:
        st.html(markup.join([releases.verdict_chip(card), " ", releases.verdict_reason(card)]))
    taken_back = releases.rolled_back(face.deployments, number)
    if taken_back:
        widgets.paragraph(releases.rollback_sentence(taken_back, session.zone()))
    # A form, so that Enter in the reason promotes, as a click does.
    with st.form("promote", border=False):
        reason = st.text_input("Reason", key="promote-reason", placeholder="Why now?").strip()
        widgets.quiet(_KEPT)
        kind = widgets.weight(releases.is_recommended(version, face.deployments))
        label = f"Promote version {number}"
        asked = st.form_submit_button(label, type=kind, icon=":material/rocket_launch:", key="promote-confirm")
    if asked and not reason:
        st.html(markup.join([markup.badge("▲ Not done", "watch"), " Say why first."]))
    elif asked:
        widgets.act(
            lambda: face.promote(number, reason=reason, expected_epoch=epoch),
            f"Version {number} is the champion of {face.name}.",
            "All workers are loading the version …",
        )


@st.dialog("Roll back", icon=":material/undo:")
def rollback_dialog(face: ModelFace, target: int, epoch: int) -> None:
    champion = face.champion.version if face.champion else None
    st.html(markup.tag("h3", f"Roll {face.name} back to version {target}?", kind="ph-heading"))
    widgets.paragraph(f"Traffic moves from version {champion} to version {target} within about a second.")
    widgets.paragraph(f"Requests under way finish on version {champion}.")
    with st.form("rollback", border=False):
        reason = st.text_input("Reason", key="rollback-reason", placeholder="What went wrong?").strip()
        widgets.quiet(_KEPT)
        asked = st.form_submit_button(f"Roll back to version {target}", icon=":material/undo:", key="rollback-confirm")
    if asked:
        words = reason or "rolled back from the dashboard"
        widgets.act(
            lambda: face.rollback(target, reason=words, expected_epoch=epoch),
            f"{face.name} is back on version {target}.",
            "Switching …",
        )


def answer(face: ModelFace, challengers: list[VersionRow]) -> None:
    champion, deployments = face.champion, face.deployments
    if champion is None:
        widgets.title("Releases", f"{face.name} has no champion yet: nothing answers its requests. Promote a version.")
        return
    since = f" since {formats.moment(deployments[0].at, session.zone())}" if deployments else ""
    words = f"Version {champion.version} is the champion of {face.name}{since}."
    if challengers:
        words += f" Version {challengers[0].version} {releases.standing(challengers[0], deployments)}."
    widgets.title("Releases", words)


def champion_card(face: ModelFace) -> None:
    champion = face.champion
    with st.container(border=True, key="champion", height="stretch"):
        if champion is None:
            st.html(markup.tag("p", "No champion. Promote a version to answer requests with it.", kind="ph-empty"))
            return
        st.html(releases.card_head(champion, markup.badge("Champion", "current")))
        chosen = session.range_text()
        measured = questions.performance(face.name, chosen, version=champion.version)
        st.html(releases.version_facts(champion, session.zone(), measured, ranges.name(chosen)))
        target = face.rollback_target()
        if target is None:
            widgets.quiet("There is no earlier champion to roll back to.")
        elif st.button(f"Roll back to version {target}", icon=":material/undo:", key="rollback"):
            rollback_dialog(face, target, face.epoch)


def challenger_card(face: ModelFace, version: VersionRow) -> None:
    card, taken_back = version.scorecard, releases.rolled_back(face.deployments, version.version)
    with st.container(border=True, key=f"challenger-{version.version}", height="stretch"):
        role = markup.badge("↶ Rolled back", "watch") if taken_back else markup.badge("Challenger", "challenger")
        st.html(releases.card_head(version, role, releases.verdict_chip(card)))
        if taken_back:
            widgets.paragraph(releases.rollback_sentence(taken_back, session.zone()))
        widgets.scorecard(card, face.name, version.version, session.zone())
        st.html(releases.version_facts(version, session.zone()))
        kind = widgets.weight(releases.is_recommended(version, face.deployments))
        label = f"Promote version {version.version}"
        if st.button(label, type=kind, icon=":material/rocket_launch:", key=f"promote-{version.version}"):
            promote_dialog(face, version, face.epoch)
        trials.buttons(face, version)


def no_challenger(face: ModelFace) -> None:
    with st.container(border=True, height="stretch"):
        if face.task is not Task.BINARY:
            said = markup.prose(f"No challenger. {sentences.not_retrained(face.name)}")
            st.html(markup.tag("p", said, kind="ph-empty"))
            return
        words = "No challenger. Retraining makes one, and compares it with the champion on rows that neither has seen."
        st.html(markup.tag("p", words, kind="ph-empty"))
        widgets.visit("Retrain", "retrain", face.name, icon=":material/model_training:", key="no-challenger")


def switch_proof(name: str, proof: Proof) -> None:
    """What the switch did to the requests around it, as the log has it."""
    left, right = st.columns([2, 3])
    with left, st.container(border=True, height="stretch"):
        st.html(panels.proof_phases(proof))
        st.html(panels.proof_workers(proof, session.zone()))
    with right:
        render.show(panels.proof_panel(proof, name), key="switch-proof")


@st.fragment(run_every=10)
def since_switch(name: str) -> None:
    """The newest switch on real outcomes; comes alive as labels arrive."""
    face = session.house()[name]
    newest = face.deployments[0]
    if newest.previous is None:
        return
    proof = widgets.attempt(lambda: questions.proof(name, newest.seq))
    widgets.section(f"Since the switch to version {newest.version}", trial_words.proof_sentence(proof) if proof else "")
    if proof:
        switch_proof(face.name, proof)
    window = questions.since(face, newest.at)
    if window is None:
        widgets.empty("No rows since the switch yet. Both versions are compared here on the first that come.")
        return
    if face.task is not Task.BINARY:
        both_versions(face, window)
        return
    left, right = st.columns([2, 3])
    with left, st.container(border=True, height="stretch"):
        compared = widgets.attempt(lambda: questions.compared(name, newest.previous or 0, newest.version, newest.seq))
        st.html(releases.live_comparison(compared, newest))
    with right:
        both_versions(face, window)


def both_versions(face: ModelFace, window: Window) -> None:
    """The main metric around the switch, each version on its own rows."""
    view = questions.around(face, window)
    points = face.history.performance_trend(view.within, STEPS[view.every], by_version=True)
    render.show(performance.metric_trend(points, performance.main_of(points), view), key="since-switch")


def past(face: ModelFace) -> None:
    widgets.section("Every change of champion")
    if face.deployments:
        with st.container(border=True):
            st.html(releases.history_table(face.deployments, session.zone()))
    else:
        widgets.empty("No version has been promoted yet.")
    acts = face.trial_acts
    if acts:
        widgets.section("Every canary and shadow")
        with st.container(border=True):
            st.html(panels.trials_table(acts, session.zone()))
    widgets.section(
        "Audit", "Who did what. Each row is sealed to the one before it; `pilothouse audit verify` checks the chain."
    )
    with st.container(border=True):
        st.html(releases.audit_table(face.audit(30), session.zone()))


def take_along(face: ModelFace) -> None:
    """The champion as a file that serves alone, made and offered on a click."""
    words = "The champion with all that it needs in one file. `bentoml serve` runs it anywhere, with a log of its own."
    widgets.section("Package", words)
    if not st.button("Package the champion", icon=":material/package_2:", key="package"):
        return
    with st.status("Packaging …") as status:
        made = widgets.attempt(lambda: packing.parcel(face, lambda step: status.update(label=f"Packaging: {step} …")))
        status.update(label="Packaged" if made else "Not packaged", state="complete" if made else "error")
    if made:
        icon = ":material/download:"
        st.download_button(f"Download {made.name}", made.content, made.name, icon=icon, on_click="ignore")


def main() -> None:
    face = widgets.require_model()
    challengers = releases.challengers(face.versions, face.champion)
    answer(face, challengers)
    trials.not_loaded(face)
    left, right = st.columns([2, 3])
    with left:
        champion_card(face)
    with right:
        challenger_card(face, challengers[0]) if challengers else no_challenger(face)
    if len(challengers) > 1:
        more = len(challengers) - 1
        with st.expander(f"{more} more version{'s' if more > 1 else ''}"):
            for version in challengers[1:]:
                challenger_card(face, version)
    trials.on_trial(face.name)
    if face.deployments:
        since_switch(face.name)
    if face.champion:
        take_along(face)
    past(face)


main()

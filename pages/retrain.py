"""Retrain: start a run, watch its steps, read what it found. The run goes on elsewhere, whatever this page does."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from pilothouse.app import formats, markup, questions, sentences, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import releases, runs
from pilothouse.data.errors import PilothouseError, UnknownRun
from pilothouse.data.history.results import State
from pilothouse.data.signature import Task
from pilothouse.data.state.runs import Run, RunState
from pilothouse.ops.pipeline.gate import Verdict

TICK_S = 2
ANEW_AFTER = timedelta(weeks=1)
"""After a verdict to keep the champion, it takes some new labels for another run to say anything else."""
RECIPE = (
    "The champion's pipeline is fitted anew on the labelled log. Champion and challenger are then judged on the same "
    "later rows, which neither has seen."
)


def chosen_run(face: ModelFace, recent: tuple[Run, ...]) -> Run | None:
    """The run in the URL if it is this model's, else the active one, else the newest."""
    asked = st.query_params.get("run")
    if asked:
        try:
            run = session.house().run(asked)
        except UnknownRun:
            widgets.quiet("The run in the address is not known here; showing the newest.")
        else:
            if run.model == face.name:
                return run
    return next((run for run in recent if run.active), recent[0] if recent else None)


def start(face: ModelFace, run: Run | None, active: bool) -> None:
    with st.container(border=True, key="start", height="stretch"):
        st.html(markup.tag("h2", "Start a run", kind="ph-heading"))
        widgets.quiet(RECIPE)
        left, right = st.columns(2)
        train = left.number_input("Train on, weeks", 1, 104, 8, key="train-weeks")
        judge = right.number_input("Judge on, weeks", 1, 26, 2, key="judge-weeks", help="The newest weeks of the log.")
        widgets.quiet(sentences.gate(face.gate_policy))
        kind = widgets.weight(recommended(face, run) and not active)
        label = "Start retraining"
        if st.button(label, type=kind, icon=":material/model_training:", disabled=active, key="start-run"):
            asked = f"A run for {face.name} has been asked for."
            widgets.act(lambda: show_run(face.retrain(train=f"{train}w", judge=f"{judge}w")), asked, "Asking …")
        if active:
            widgets.quiet("One run at a time for a model: this one first.")


def recommended(face: ModelFace, run: Run | None) -> bool:
    """Whether a new run is the next thing to do: the model needs it, no run of the last week has said to keep the
    champion, and no challenger waits to be promoted."""
    if run is not None and run.verdict == Verdict.KEEP and session.now() - run.requested_at < ANEW_AFTER:
        return False
    return not awaits_promotion(face, run) and questions.health(face.name).state in {State.CRITICAL, State.WATCH}


def awaits_promotion(face: ModelFace, run: Run | None) -> bool:
    """Whether the run made a version that the gate recommends, and nobody has promoted or taken back."""
    waiting = releases.challengers(face.versions, face.champion)
    return run is not None and any(
        v.version == run.version and releases.is_recommended(v, face.deployments) for v in waiting
    )


def show_run(run: Run) -> None:
    st.query_params["run"] = run.id


@st.fragment(run_every=TICK_S)
def live(run_id: str) -> None:
    """Steps as they go; the whole page runs anew once the run has ended."""
    house = session.house()
    run = house.run(run_id)
    if not run.active:
        st.rerun()
    steps(run)
    state, words = sentences.processes(house.processes(), session.now())
    if run.state is RunState.QUEUED and state is not State.HEALTHY:
        widgets.paragraph(words)
    st.button(
        "Cancel the run",
        icon=":material/stop_circle:",
        key="cancel-run",
        on_click=lambda: _cancel(run_id),
        disabled=run.state is RunState.CANCELLING,
    )
    log(run_id)


def _cancel(run_id: str) -> None:
    try:
        session.house().cancel(run_id)
    except PilothouseError as error:
        session.flash(str(error), icon=":material/info:")


def steps(run: Run) -> None:
    found = session.house().steps(run.id)
    st.html(run_head(run))
    if run.active:
        st.progress(runs.progress(found), text=runs.progress_sentence(run, found))
    st.html(runs.step_list(found, session.now()))


def run_head(run: Run) -> markup.Html:
    title = markup.tag("h2", f"Run of {formats.moment(run.requested_at, session.zone())}", kind="ph-heading")
    who = markup.tag("span", f"asked for by {run.requested_by}", kind="ph-quiet")
    return markup.tag("div", markup.join([title, runs.run_chip(run), who]), kind="ph-row")


def log(run_id: str) -> None:
    with st.expander("Log"):
        st.html(runs.log(session.house().run_log(run_id), session.zone()))


def finished(face: ModelFace, run: Run) -> None:
    steps(run)
    st.html(runs.checked(session.house().steps(run.id)) or " ")
    if run.error:
        widgets.paragraph(run.error)
    log(run.id)
    if run.outcome and run.version is not None:
        verdict(face, run)


def verdict(face: ModelFace, run: Run) -> None:
    card = run.outcome or {}
    version = run.version or 0
    heading = markup.tag("h2", f"Version {version}", kind="ph-heading")
    st.html(markup.tag("div", markup.join([heading, releases.verdict_chip(card)]), kind="ph-row"))
    widgets.scorecard(card, face.name, version, session.zone())
    waits = awaits_promotion(face, run)
    widgets.visit("Go to Releases", "releases", face.name, icon=":material/rocket_launch:", primary=waits)


def _since(face: ModelFace, run: Run) -> str:
    """What has become of the run's version since."""
    if face.champion and face.champion.version == run.version:
        return " It is the champion now."
    return " It has been rolled back since." if releases.rolled_back(face.deployments, run.version or 0) else ""


def answer(face: ModelFace, run: Run | None, newest: bool) -> None:
    which = "The last run" if newest else "This run"
    if run is None:
        words = f"{face.name} has not been retrained here yet."
    elif run.active:
        words = f"A run is under way for {face.name}. You may leave or reload this page; it goes on."
    elif run.verdict:
        words = f"{which} made version {run.version}: {releases.verdict_words(run.outcome)}.{_since(face, run)}"
    else:
        words = f"{which} {'failed' if run.state is RunState.FAILED else 'was cancelled'}; nothing was changed."
    widgets.title("Retrain", words)


def main() -> None:
    face = widgets.require_model()
    recent = face.runs(20)
    run = chosen_run(face, recent)
    answer(face, run, newest=run in recent[:1])
    if face.task is not Task.BINARY:
        widgets.empty(sentences.not_retrained(face.name))
        return
    left, right = st.columns([2, 3])
    with left:
        start(face, run, any(one.active for one in recent))
    with right, st.container(border=True, key="run", height="stretch"):
        if run is None:
            st.html(markup.tag("p", "No run yet. Its steps will stand here, live.", kind="ph-empty"))
        elif run.active:
            live(run.id)
        else:
            finished(face, run)
    if recent:
        widgets.section("Runs")
        with st.container(border=True):
            st.html(runs.table(recent, session.zone()))


main()

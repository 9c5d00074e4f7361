"""What the pages say: the fleet's inbox, a scorecard, a switch, a run, and what must be running."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pilothouse.app import sentences, tours
from pilothouse.app.panels import fleet, releases, runs
from pilothouse.app.tours import Way
from pilothouse.data.history.results import Health, Metric, Performance, Reason, State, Watermark
from pilothouse.data.signature import Task
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.runs import Run, RunState, Step, StepState
from pilothouse.data.windows import Window

NOW = datetime(2026, 9, 20, tzinfo=UTC)
CARD = {
    "rows": 12_502,
    "window": {"start": "2026-09-06T00:00:00+00:00", "end": "2026-09-20T00:00:00Z"},
    "champion": {"version": 1, "roc_auc": {"value": 0.676, "low": 0.67, "high": 0.68}, "log_loss": {"value": 0.49}},
    "challenger": {"version": None, "roc_auc": {"value": 0.734, "low": 0.73, "high": 0.74}, "log_loss": {"value": 0.5}},
    "gain": {"value": 0.058, "low": 0.052, "high": 0.064},
    "decision": {"verdict": "promote", "reason": "It gains <b>0.058</b>."},
}
SENTENCE = "ROC AUC fell to 0.650, 0.049 below the reference; the rule allows 0.03."


def a_line(model, state):
    reasons = (Reason(rule="auc", state=state, value=0.65, threshold=0.69, sentence=SENTENCE, act="Retrain."),)
    return fleet.Line(
        model=model, task=Task.BINARY, champion=1, health=Health(state=state, reasons=reasons), metric=Metric(value=0.7),
        trend=(0.7, None), rows=100, labelled=90, max_psi=0.1, worst_feature="temp", p95_latency_ms=None, last_at=NOW,
    )  # fmt: skip


def test_the_inbox_counts_those_that_need_a_person_worst_first():
    lines = [a_line("b", State.HEALTHY), a_line("c", State.WATCH), a_line("a", State.CRITICAL)]
    assert [line.model for line in fleet.worst_first(lines)] == ["a", "c", "b"]
    assert fleet.inbox_sentence(lines) == "2 models need you."
    assert fleet.inbox_sentence(lines[:1]) == "Nothing needs you: the model is healthy."
    assert fleet.tiles(lines, "last 14 days")[0] == ("Models needing attention", "2 of 3", "1 critical, 1 on watch")
    assert fleet.tiles(lines, "last 14 days")[3][1] == "–"


def test_no_data_is_not_healthy():
    assert "no data yet to judge the model by" in fleet.inbox_sentence([a_line("a", State.NO_DATA)])
    two = [a_line("a", State.NO_DATA), a_line("b", State.HEALTHY)]
    assert fleet.inbox_sentence(two) == "Nothing needs you, but 1 of 2 models has no data to judge by."


def test_a_reason_stands_with_its_act():
    shown = fleet.reasons(a_line("a", State.CRITICAL).health.reasons)
    assert SENTENCE in shown
    assert "Retrain." in shown


def test_a_scorecard_says_which_rows_which_way_is_better_and_by_how_much():
    shown = releases.scorecard_table(CARD, challenger=2)
    assert "Champion v1" in shown
    assert "+0.058" in shown
    assert "+0.052 to +0.064" in shown
    # The log-loss rose, which is worse: its badge is amber, not teal.
    assert '<span class="ph-chip ph-watch">+0.010</span>' in shown
    assert releases.same_rows(CARD, UTC) == "12,502 labelled rows of 6 Sep to 19 Sep, held out from training"
    assert "+0.058" in releases.predicted_outcome(CARD, "flights", 2)


def test_a_version_without_a_scorecard_is_not_called_good():
    assert releases.verdict(None) == ""
    assert "Not judged" in releases.verdict_chip(None)
    assert "not known" in releases.predicted_outcome(None, "flights", 2)


def a_run(state):
    return Run(
        id="r", model="flights", kind="retrain", state=state, arguments={}, requested_by="ada", requested_at=NOW,
        started_at=NOW, finished_at=None, verdict=None, outcome=None, error=None, version=None, worker=None,
    )  # fmt: skip


def a_step(place, state, progress=None):
    started = None if state is StepState.WAITING else NOW
    return Step(
        run_id="r", position=place, name=f"step{place}", state=state, started_at=started, finished_at=None,
        progress=progress, message="<i>hostile</i>", output=None,
    )  # fmt: skip


def test_progress_counts_the_running_step_by_its_own():
    steps = [a_step(0, StepState.DONE), a_step(1, StepState.RUNNING, 0.5), a_step(2, StepState.WAITING)]
    assert runs.progress(steps) == 0.5
    assert runs.progress_sentence(a_run(RunState.RUNNING), steps) == "Step 2 of 3: step1."
    assert runs.progress_sentence(a_run(RunState.QUEUED), steps) == "Waiting for a worker."
    shown = runs.step_list(steps, NOW + timedelta(seconds=41))
    assert "50% · &lt;i&gt;hostile" in shown
    assert "41 s" in shown


def process(kind, beat=NOW):
    return ProcessRow(
        id=f"{kind}{beat}", kind=kind, host="h", pid=1, url=None, started_at=NOW, beat_at=beat, details={}
    )


def test_what_is_not_running_is_said_with_the_way_out():
    state, words = sentences.processes((process("service"), process("service", NOW - timedelta(seconds=1))), NOW)
    assert state is State.CRITICAL
    assert "No worker is running" in words
    assert "pilothouse up" in words
    state, words = sentences.processes((process("service"), process("worker")), NOW)
    assert (state, words) == (State.HEALTHY, "1 service worker and 1 background worker running.")
    assert sentences.processes((process("worker", NOW - timedelta(minutes=5)),), NOW)[0] is State.CRITICAL


def test_is_it_right_answers_first():
    mark = Watermark(
        data_to=NOW, sealed_rows=1, unsealed_rows=0, prediction_version=1, label_version=1,
        folded_prediction_version=1, folded_label_version=1,
    )  # fmt: skip
    measured = Performance(
        model="flights", version=None, window=Window(NOW - timedelta(days=14), NOW), watermark=mark, rows=100,
        labelled=90, coverage=0.9, mature=True, metrics={"roc_auc": Metric(value=0.7)},
    )  # fmt: skip
    said = sentences.is_it_right(Health(state=State.HEALTHY), measured)
    assert said == "Yes. Its ROC AUC is 0.700 on 90 labelled rows of this range."
    critical = a_line("a", State.CRITICAL).health
    assert sentences.is_it_right(critical, measured) == "No, not as it stands. 1 critical reason:"
    silent = replace(measured, rows=0, labelled=0, metrics={})
    assert sentences.is_it_right(Health(state=State.NO_DATA), silent).endswith(
        "There are no predictions in this range."
    )


def a_deployment(seq, version, previous, act):
    return Deployment(
        seq=seq, model="flights", version=version, previous=previous, act=act, actor="ada", reason="complaints.", at=NOW,
        clicked_at=NOW, audit_seq=seq,
    )  # fmt: skip


def test_a_version_that_was_rolled_back_is_not_recommended_again_until_it_is_promoted_again():
    first, promoted = a_deployment(1, 1, None, "promote"), a_deployment(2, 2, 1, "promote")
    back, again = a_deployment(3, 1, 2, "rollback"), a_deployment(4, 2, 1, "promote")
    assert releases.rolled_back([promoted, first], 2) is None
    assert releases.rolled_back([promoted, first], 1) is None
    assert releases.rolled_back([back, promoted, first], 2) == back
    assert releases.rolled_back([again, back, promoted, first], 2) is None
    said = releases.rollback_sentence(back, UTC)
    assert said == "It was champion until ada rolled it back on 20 Sep 2026 00:00: complaints."


def test_the_tour_says_what_is_next_wherever_the_demo_stands():
    at_start = Way(needs_a_person=True, running=False, verdict="", promoted=False, rolled_back=False)
    assert [stop.done for stop in tours.stops(at_start)] == [False] * 5
    judged = replace(at_start, verdict="promote")
    assert [stop.done for stop in tours.stops(judged)] == [True, True, True, False, False]
    assert "promote the challenger" in tours.stops(judged)[3].words
    kept = tours.stops(replace(at_start, verdict="keep"))
    assert "the champion stays" in kept[3].words
    assert "roll back" not in kept[4].words
    calm = replace(at_start, needs_a_person=False, verdict="promote", promoted=True, rolled_back=True)
    assert "card above" not in tours.stops(calm)[0].words.split(";")[0]
    assert all(stop.done for stop in tours.stops(calm))
    assert '<li class="ph-tour-next">' in tours.listing(kept)

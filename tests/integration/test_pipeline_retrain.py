"""The whole retraining over a real log: planted staleness, a real worker, kills in the middle, calling off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import psutil
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pilothouse.data.errors import UntrustedArtifact
from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import seal
from pilothouse.data.log.spool import Spool
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Task
from pilothouse.data.state import audit, catalog, processes, runs
from pilothouse.data.state.runs import Run, RunState, StepState
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Window, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops import artifacts
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.compare import compare
from pilothouse.ops.pipeline.requests import STEPS, cancel, retrain
from pilothouse.ops.pipeline.snapshot import JUST_PAST, mature_end
from pilothouse.ops.pipeline.tracking import StepRunner
from pilothouse.ops.references import Terms
from pilothouse.ops.registry import Registry
from pilothouse.ops.scoring import SklearnScorer
from pilothouse.ops.slots import Slot

ANN = Actor(name="ann", roles=frozenset({Right.OPERATOR}))
ROWS, DAYS = 6_000, 70
HANGS_AFTER_S = 120.0
# Far enough back that every label is mature, whatever the hour of the test.
END = (utc_now() - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace with the model `flights`, its log sealed."""

    workspace: Workspace
    state: State
    store: Store
    truth: pl.DataFrame

    def run(self, run_id: str) -> Run:
        with self.state.read() as conn:
            return runs.get(conn, run_id)

    def states(self, run_id: str) -> list[StepState]:
        with self.state.read() as conn:
            return [step.state for step in runs.steps(conn, run_id)]

    def log(self, run_id: str) -> str:
        with self.state.read() as conn:
            return "\n".join(line.text for line in runs.log_lines(conn, run_id))

    def versions(self) -> list[catalog.VersionRow]:
        with self.state.read() as conn:
            return catalog.list_versions(conn, "flights")


def world(rows: int, seed: int, *, shifted: bool) -> pl.DataFrame:
    """Late depends on `wind` before the shift and on `traffic` after it."""
    rng = np.random.default_rng(seed)
    wind, traffic = rng.normal(size=rows), rng.normal(size=rows)
    carrier = rng.choice(["AA", "UA", "DL"], rows)
    cause = traffic if shifted else wind
    late = rng.random(rows) < 1 / (1 + np.exp(1 - 1.5 * cause - 0.5 * (carrier == "UA")))
    return pl.DataFrame({"wind": wind, "traffic": traffic, "carrier": carrier, "late": late.astype(int)})


def linear() -> Any:
    return LogisticRegression(max_iter=200)


def slow_to_refit() -> Any:
    """A champion that is fitted at once, and whose clone takes minutes."""
    return HistGradientBoostingClassifier(max_iter=2, early_stopping=False)


def make_place(root: Path, *, stale: bool, estimator: Callable[[], Any] = linear) -> Place:
    workspace = Workspace.create(root)
    state, store = State.open(workspace.state_url), Store(workspace.store)
    past, reference = world(3_000, 1, shifted=False), world(1_000, 2, shifted=False)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
    model = make_pipeline(columns, estimator())
    features = ["wind", "traffic", "carrier"]
    frame = past.select(features).to_pandas()
    frame["carrier"] = frame["carrier"].astype(object)
    model.fit(frame, past["late"].to_numpy())
    if estimator is slow_to_refit:
        model.set_params(histgradientboostingclassifier__max_iter=100_000)
    Registry(workspace, state, store).register_model(
        ANN, "flights", model, reference=reference, target="late", task=Task.BINARY, trusted=untrusted(model),
        terms=Terms(label_policy=LabelPolicy(horizon=timedelta(days=2)), gate_policy=GatePolicy(min_labelled=500)),
    )  # fmt: skip
    truth = world(ROWS, 3, shifted=stale)
    write_log(workspace, state, truth)
    return Place(workspace, state, store, truth)


def untrusted(model: Any) -> tuple[str, ...]:
    try:
        artifacts.dump(model)
    except UntrustedArtifact as error:
        return error.types
    return ()


def at(row: int) -> datetime:
    return END - timedelta(days=DAYS) + row * timedelta(days=DAYS) / ROWS


def write_log(workspace: Workspace, state: State, truth: pl.DataFrame) -> None:
    """Every row as a prediction of version 1; nine of ten get their label six hours later."""
    micros = [int(at(i).timestamp() * 1e6) for i in range(ROWS)]
    told = [i for i in range(ROWS) if i % 10]
    with Spool.open(workspace.spool, "test") as spool:
        predictions = PredictionEntry(
            version=1, ids=[f"f{i}" for i in range(ROWS)], at=micros, logged_at=micros[-1],
            rows=msgspec.Raw(msgspec.json.encode(truth.drop("late").to_dicts())),
            predictions=[0] * ROWS, scores=[0.5] * ROWS,
        )  # fmt: skip
        spool.append(predictions.entry("flights", caller_ids=True))
        labels = LabelEntry(
            ids=[f"f{i}" for i in told], labels=[float(truth["late"][i]) for i in told],
            observed_at=[micros[i] + 6 * 3_600_000_000 for i in told], recorded_at=micros[-1],
        )  # fmt: skip
        spool.append(labels.entry("flights"))
    with state.read() as conn:
        signatures = {m.name: m.signature for m in catalog.list_models(conn)}
    seal(workspace, signatures, Settings())


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = make_place(tmp_path_factory.mktemp("stale") / "w", stale=True)
    yield place
    place.state.close()


def run_inline(place: Place, arguments: dict[str, Any]) -> Run:
    """The steps one after the other in this process (their heavy parts in children), as any engine would call them."""
    run = retrain(place.state, ANN, "flights", arguments, utc_now)
    with place.state.write() as conn:
        runs.set_run(conn, run.id, state=RunState.RUNNING, worker="here")
    runner = StepRunner(
        workspace=place.workspace, state=place.state, store=place.store, children=Children(place.workspace.store),
        worker="here", clock=utc_now, stopping=threading.Event(),
    )  # fmt: skip
    outputs: dict[str, Any] = {}
    for name in STEPS:
        if (output := runner.call(run.id, name, outputs)) is None:
            break
        outputs[name] = output
    return place.run(run.id)


@contextmanager
def worker(place: Place, crash_at: str = "") -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PILOTHOUSE_CRASH_AT": crash_at, "PILOTHOUSE_SEAL_EVERY_S": "0.5"}
    command = [sys.executable, "-W", "error", "-m", "pilothouse.ops.worker", "--workspace", str(place.workspace.root)]
    # Its stderr is ours, so that a failing test shows it.
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(true: Callable[[], bool], seconds: float = HANGS_AFTER_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def wait_for_end(place: Place, run_id: str, seconds: float = HANGS_AFTER_S) -> None:
    """Until the run is over; a run that hangs tells how far it came."""
    deadline = time.monotonic() + seconds
    while place.run(run_id).active:
        assert time.monotonic() < deadline, f"{place.run(run_id)}\n{place.states(run_id)}\n{place.log(run_id)}"
        time.sleep(0.05)


def child_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [c for c in psutil.Process(process.pid).children() if "pilothouse.ops.pipeline.child" in c.cmdline()]


def test_a_stale_champion_is_beaten_and_the_scorecard_is_true(stale: Place) -> None:
    with worker(stale) as process:
        run = retrain(stale.state, ANN, "flights", {}, utc_now)
        wait_for_end(stale, run.id)
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 0
    run = stale.run(run.id)
    assert (run.state, run.verdict, run.error) == (RunState.SUCCEEDED, "promote", None), stale.log(run.id)
    card, version = run.outcome or {}, stale.versions()[0]
    assert stale.states(run.id) == [StepState.DONE] * len(STEPS)
    assert (version.version, version.run_id) == (run.version, run.id)
    assert version.note.startswith("recommended: On the same")
    judged = stale.truth.with_row_index("i").filter((pl.col("i") >= ROWS * 56 // 70) & (pl.col("i") % 10 != 0))
    expected = [roc_auc_score(judged["late"], scorer(stale, v).score(judged).score) for v in (1, version.version)]
    found = [card[side]["roc_auc"]["value"] for side in ("champion", "challenger")]
    assert found == pytest.approx(expected, abs=2e-3)
    assert card["rows"] == pytest.approx(judged.height, abs=2)
    assert card["gain"]["low"] > 0.1
    assert card["train"]["rows"] == pytest.approx(ROWS * 0.9 * 0.8, abs=2)
    assert card["challenger"]["version"] == version.version
    with stale.state.read() as conn:
        assert processes.live(conn, "worker", utc_now()) == []
        assert [row.act for row in audit.rows(conn, "flights", limit=2)] == ["register", "retrain"]


def scorer(place: Place, version: int) -> SklearnScorer:
    row = next(v for v in place.versions() if v.version == version)
    return SklearnScorer(
        artifacts.load(place.store.read(row.artifact_sha256), row.trusted_types), row.signature, row.threshold
    )


def test_any_two_versions_are_compared_on_any_window(stale: Place) -> None:
    challenger = run_inline(stale, {"judge_days": 7}).version
    assert challenger is not None
    window = Window(END - timedelta(days=7), END)
    with stale.state.read() as conn:
        model = catalog.get_model(conn, "flights")
    log = PredictionLog(stale.workspace, "flights", model.signature, model.label_policy)
    of = {v.version: v for v in stale.versions()}
    found = compare(log, stale.store, of[1], of[challenger], window)
    card = of[challenger].scorecard or {}
    assert card["challenger"]["version"] == challenger
    assert found.gain.value == pytest.approx(card["gain"]["value"], abs=2e-3)


def test_young_rows_are_left_out_although_they_have_labels(stale: Place) -> None:
    with stale.state.read() as conn:
        model = catalog.get_model(conn, "flights")
    log = PredictionLog(stale.workspace, "flights", model.signature, model.label_policy)
    horizon = timedelta(days=2)
    last = at(ROWS - 1)
    assert mature_end(log, utc_now(), horizon) == last + JUST_PAST
    assert mature_end(log, last, horizon) == max(t for t in map(at, range(ROWS)) if t < last - horizon) + JUST_PAST
    assert mature_end(log, at(0) + horizon, horizon) is None


def test_a_champion_that_still_fits_is_kept_and_the_evidence_too(tmp_path: Path) -> None:
    place = make_place(tmp_path / "w", stale=False)
    run = run_inline(place, {})
    assert (run.state, run.verdict) == (RunState.SUCCEEDED, "keep"), place.log(run.id)
    assert "the policy asks for a gain of 0.010" in (run.outcome or {})["decision"]["reason"]
    kept_back = place.versions()[0]
    assert (kept_back.version, kept_back.note.partition(":")[0]) == (2, "not recommended (keep)")
    place.state.close()


@pytest.mark.parametrize(
    ("arguments", "step", "says"),
    [
        (
            {"end": (END - timedelta(days=200)).isoformat()},
            "validate",
            "flights cannot be retrained: none of the 0 predictions from",
        ),
        (
            {"end": (END - timedelta(days=68, hours=22)).isoformat(), "judge_days": 1},
            "split",
            "each class needs 10 rows. Choose longer parts (train_days, judge_days)",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_said(stale: Place, arguments: dict[str, Any], step: str, says: str) -> None:
    run = run_inline(stale, arguments)
    assert run.state is RunState.FAILED
    assert says in (run.error or "")
    position = STEPS.index(step)
    assert stale.states(run.id)[position:] == [StepState.FAILED] + [StepState.SKIPPED] * (len(STEPS) - position - 1)


@pytest.mark.faults
@pytest.mark.parametrize("point", ["extract:middle", "train:middle", "register:middle"])
def test_a_killed_worker_is_followed_by_one_that_goes_on_and_registers_once(stale: Place, point: str) -> None:
    before, step = len(stale.versions()), point.partition(":")[0]
    with worker(stale, crash_at=point) as process:
        run = retrain(stale.state, ANN, "flights", {}, utc_now)
        assert process.wait(HANGS_AFTER_S) == 137
    assert stale.run(run.id).state is RunState.RUNNING
    with worker(stale):
        wait_for_end(stale, run.id)
    assert stale.run(run.id).state is RunState.SUCCEEDED, stale.log(run.id)
    assert len(stale.versions()) == before + 1
    assert f"goes on at {step}: its worker had stopped in the middle" in stale.log(run.id)


@pytest.mark.faults
def test_a_worker_that_never_comes_back_is_stood_in_for_by_another(stale: Place) -> None:
    before = len(stale.versions())
    with worker(stale, crash_at="train:middle") as process:
        run = retrain(stale.state, ANN, "flights", {}, utc_now)
        assert process.wait(HANGS_AFTER_S) == 137
    gone = Slot.take(stale.workspace.run, "worker")
    with worker(stale):
        wait_for_end(stale, run.id)
    gone.give_back()
    ended = stale.run(run.id)
    assert (gone.name, (ended.worker or "").partition("/")[2]) == ("worker-0", "worker-1")
    assert (ended.state, len(stale.versions())) == (RunState.SUCCEEDED, before + 1), stale.log(run.id)


@pytest.mark.faults
def test_a_kill_takes_the_training_with_it_and_calling_off_ends_it(tmp_path: Path) -> None:
    place = make_place(tmp_path / "w", stale=True, estimator=slow_to_refit)
    with worker(place) as process:
        run = retrain(place.state, ANN, "flights", {}, utc_now)
        wait_until(lambda: "fitting" in place.log(run.id))
        (training,) = child_of(process)
        process.kill()
        wait_until(lambda: not training.is_running() or training.status() == psutil.STATUS_ZOMBIE, 5)
    with worker(place) as process:
        wait_until(lambda: place.log(run.id).count("fitting") == 2)
        (training,) = child_of(process)
        assert retrain(place.state, ANN, "flights", {}, utc_now).id == run.id
        cancel(place.state, ANN, run.id, utc_now)
        wait_until(lambda: not place.run(run.id).active, 5)
        wait_until(lambda: not training.is_running(), 5)
        again = retrain(place.state, ANN, "flights", {}, utc_now)
        assert again.id != run.id
        wait_until(lambda: "fitting" in place.log(again.id))
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 0
        assert time.monotonic() - started < 5
    train = STEPS.index("train")
    assert place.run(run.id).state is RunState.CANCELLED
    assert place.states(run.id)[train:] == [StepState.CANCELLED] + [StepState.SKIPPED] * (len(STEPS) - train - 1)
    assert place.run(again.id).state is RunState.RUNNING
    assert len(place.versions()) == 1
    place.state.close()

"""Canary, shadow and switch with a real service of two workers: across workers, across restarts, and as the log tells it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import polars as pl
import pytest
from tests.support.processes import running_service, wait_until
from tests.support.small import MODEL, ROW, make_small, planted

from pilothouse.data.errors import NoTrial, UnknownSwitch, WorkersNotReady
from pilothouse.data.log.schema import Role
from pilothouse.data.state import processes
from pilothouse.ops import artifacts
from pilothouse.ops.house import House
from pilothouse.ops.releases.assignment import Assignment

WORKERS = 2


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose model has versions 1 (the champion) to 4, all alike but for 3, which was fitted on other rows."""
    made = make_small(tmp_path_factory.mktemp("live") / "workspace")
    version = made[MODEL].versions[0]
    model = artifacts.load(made.store.read(version.artifact), version.trusted_types)
    made.add_version(MODEL, model)
    other = planted(300, seed=9)
    from sklearn.base import clone

    refitted = clone(model).fit(
        other.drop("failed").to_pandas().astype({"purpose": object}), other["failed"].to_numpy()
    )
    made.add_version(MODEL, refitted)
    made.add_version(MODEL, model, note="another of the same")
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(house: House) -> Iterator[str]:
    with running_service(house) as url:
        wait_until(lambda: len(workers(house)) == WORKERS, 30)
        yield url


@pytest.fixture(autouse=True)
def first_version_answers(house: House) -> Iterator[None]:
    """Each test begins with version 1 as champion and nothing on trial."""
    yield
    model = house[MODEL]
    for trial in model.trials:
        if trial.kind == "canary":
            model.canary(end=True, reason="tidy up")
        else:
            model.shadow(trial.version, end=True, reason="tidy up")
    if model.champion is not None and model.champion.version != 1:
        model.promote(1, reason="tidy up")


def workers(house: House) -> tuple[processes.ProcessRow, ...]:
    return tuple(process for process in house.processes() if process.kind == "service")


def ask(service: str, **more: Any) -> dict[str, Any]:
    """An answer on a connection of its own, so that both workers get their share."""
    body = {"rows": [ROW], **more}
    answer = httpx.post(f"{service}/models/{MODEL}/predict", json=body, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


@contextmanager
def steady(service: str) -> Iterator[list[int]]:
    """Requests one after the other in two threads; the versions that answered."""
    stop, versions = threading.Event(), list[int]()

    def send() -> None:
        while not stop.is_set():
            versions.append(ask(service)["version"])

    sending = [threading.Thread(target=send, daemon=True) for _ in range(2)]
    for thread in sending:
        thread.start()
    try:
        yield versions
    finally:
        stop.set()
        for thread in sending:
            thread.join(20)


def spools(house: House, *roles: Role) -> pl.DataFrame:
    return house[MODEL].prediction_log.predictions(columns=("prediction_id", "version", "spool"), roles=roles)


def test_both_workers_decide_alike_and_log_what_shadows_say(house: House, service: str) -> None:
    model = house[MODEL]
    trial = model.canary(2, share="50%", reason="try it")
    model.shadow(3, reason="look at it")
    held = Assignment(salt=trial.salt, basis_points=5_000)
    for number in range(40):
        person = f"person {number}"
        expected = 2 if held.holds(person) else 1
        assert ask(service, entities=[person])["version"] == expected
    wait_until(lambda: spools(house, Role.SHADOW).height == 40, 20)
    assert set(spools(house, Role.SHADOW)["version"]) == {3}
    assert len(set(spools(house, Role.CHAMPION, Role.CANARY)["spool"])) == WORKERS


def test_a_switch_is_proved_from_the_log(house: House, service: str) -> None:
    model = house[MODEL]
    with steady(service) as answered:
        time.sleep(1)
        switch = model.promote(4, reason="better")
        time.sleep(1.5)
    assert set(answered) == {1, 4}
    proof = model.proof()
    assert proof == model.proof(switch.seq)
    assert len(proof.workers) == WORKERS
    assert all(w.answered_ms is not None and 0 <= w.answered_ms < 2_000 for w in proof.workers)
    phases = {phase.name: phase for phase in proof.phases}
    assert list(phases) == ["before", "preparing", "flip", "after"]
    assert sum(phase.failed for phase in proof.phases) == 0
    assert phases["before"].requests > 10 < phases["flip"].requests
    assert phases["before"].p50_ms is not None and phases["before"].p50_ms <= (phases["before"].p99_ms or 0)  # noqa: PT018
    assert all(second.second >= 0 for second in proof.seconds if second.version == 4)
    assert sum(second.requests for second in proof.seconds if second.version == 4) == answered.count(4)
    assert proof.last_before_ms is not None and proof.last_before_ms < 500  # noqa: PT018
    assert proof.prepared_ms >= 0
    with pytest.raises(UnknownSwitch, match=r"loans has no switch number 999\. Its newest: "):
        model.proof(999)


def test_a_roll_back_to_a_warm_version_loads_nothing(house: House, service: str) -> None:
    model = house[MODEL]
    model.promote(2, reason="better")
    model.rollback(reason="not better")
    with house.state.read() as conn:
        asked = processes.preparations(conn)[-1]
        answers = processes.acknowledgements(conn, asked.seq)
    assert (asked.version, len(answers)) == (1, WORKERS)
    assert all(a.ok and a.load_ms < 20 for a in answers)
    assert ask(service)["version"] == 1


def test_canary_and_shadow_are_compared_with_the_champion(house: House, service: str) -> None:
    model = house[MODEL]
    model.canary(2, share="50%", reason="try it")
    model.shadow(3, reason="look at it")
    rows = planted(60, seed=4)
    ids = [f"trial {number}" for number in range(rows.height)]
    bodies = rows.drop("failed").to_dicts()
    said = ask(service, rows=bodies, ids=ids)
    labels = [{"id": name, "label": label} for name, label in zip(ids, rows["failed"], strict=True)]
    httpx.post(f"{service}/models/{MODEL}/feedback", json={"labels": labels}, trust_env=False).raise_for_status()
    wait_until(lambda: set(ids) <= set(spools(house, Role.SHADOW)["prediction_id"]), 20)
    house.catch_up()
    tried = model.tried()
    assert tried is not None
    by_version = Counter(row["version"] for row in said["predictions"])
    assert (tried.champion.version, tried.canary.version) == (1, 2)
    assert (tried.champion.rows, tried.canary.rows) == (by_version[1], by_version[2])
    assert (tried.champion.errors, tried.canary.errors) == (0, 0)
    mine = [row for row in said["predictions"] if row["version"] == 2]
    assert tried.canary.mean == pytest.approx(sum(row["score"] for row in mine) / len(mine))
    assert tried.canary.positive == pytest.approx(sum(row["prediction"] for row in mine) / len(mine))
    assert tried.canary.p99_ms is not None
    assert tried.few.startswith(f"too few rows: {by_version[2]} answered, ")
    (shadow,) = model.shadowed()
    assert (shadow.rows, shadow.labelled) == (60, 60)
    assert shadow.agreement is not None and 0.5 < shadow.agreement < 1  # noqa: PT018
    assert shadow.distance is not None and 0 < abs(shadow.difference or 0) <= shadow.distance  # noqa: PT018
    assert shadow.answers["roc_auc"].value == pytest.approx(shadow.shadow["roc_auc"].value, abs=0.1)
    wait_until(lambda: model.shadowed()[0].queue.logged >= 60, 10)
    assert (shadow.queue.dropped, shadow.queue.failed) == (0, 0)
    # Figures of the model are of what was answered: one row a request, whatever its shadows said.
    performance = model.history.performance(tried.window)
    assert performance.rows == 60
    assert model.history.performance(tried.window, 2).rows == by_version[2]


def test_a_worker_that_cannot_load_a_version_stops_the_promotion_and_says_so(house: House, service: str) -> None:
    model = house[MODEL]
    model.promote(3, reason="so that all have it")
    model.promote(1, reason="back")
    file = house.store.path(model.version(3).artifact)
    content = file.read_bytes()
    trial = model.canary(2, share="50%", reason="try it")
    before = workers(house)
    try:
        file.write_bytes(b"broken" + content)
        os.kill(before[0].pid, signal.SIGKILL)
        wait_until(lambda: len([w for w in workers(house) if w.id != before[0].id]) == WORKERS, 30)
        wait_until(lambda: len(workers(house)) == WORKERS, 30)
        with pytest.raises(
            WorkersNotReady, match=r"[01] of 2 service workers have loaded loans version 3; nothing was"
        ):
            model.promote(3, reason="r")
        with pytest.raises(WorkersNotReady):
            model.shadow(3, reason="r")
        wait_until(lambda: bool(model.failed_loads), 10)
        (failed,) = model.failed_loads
        assert failed.version == 3
        assert failed.process not in {w.id for w in before}
        assert "the file's content has the SHA-256" in failed.fault
        held = Assignment(salt=trial.salt, basis_points=5_000)
        # What was on trial goes on, in the worker that came later too.
        assert {w.details["canaries"].get(MODEL) for w in workers(house)} == {2}
        for number in range(20):
            person = f"person {number}"
            assert ask(service, entities=[person])["version"] == (2 if held.holds(person) else 1)
        model.canary(end=True, reason="that will do")
        assert {ask(service)["version"] for _ in range(10)} == {1}
        with pytest.raises(NoTrial):
            model.canary(end=True, reason="there is none")
    finally:
        file.write_bytes(content)
    assert model.promote(3, reason="mended").version == 3
    wait_until(lambda: not model.failed_loads, 10)


def test_the_audit_trail_is_whole_after_all_this(house: House) -> None:
    assert house.verify_audit() is None

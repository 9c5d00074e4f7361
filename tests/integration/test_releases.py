"""Promote and roll back: who may, on what grounds, and what is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError
from tests.support.small import MODEL, make_small

from pilothouse.data.epoch import EpochView
from pilothouse.data.errors import (
    AlreadyChampion,
    NotAllowed,
    NothingToRollBack,
    StaleDecision,
    UnknownVersion,
    WorkersNotReady,
)
from pilothouse.data.state import deployments, processes, tables
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.windows import utc_now
from pilothouse.ops import artifacts
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.house import House
from pilothouse.ops.releases.switch import Releases


@pytest.fixture
def house(tmp_path: Path, kept_in: str) -> Iterator[House]:
    """A house whose model has versions 1 (the champion), 2 and 3."""
    made = make_small(tmp_path / "workspace", kept_in)
    version = made[MODEL].versions[0]
    model = artifacts.load(made.store.read(version.artifact_sha256), version.trusted_types)
    for _ in range(2):
        made.registry.register_version(made.actor, MODEL, model)
    yield made
    made.close()


def service_worker(house: House, name: str, details: dict[str, object] | None = None) -> ProcessRow:
    """A service worker that beats; who answers for it is up to the test."""
    now = utc_now()
    row = ProcessRow(
        id=name, kind="service", host="h", pid=1, url=None, started_at=now, beat_at=now, details=details or {}
    )
    with house.state.write() as conn:
        processes.beat(conn, row)
    return row


def acts(house: House) -> list[str]:
    return [row.act for row in house.audit(MODEL)]


def test_a_promotion_is_one_deployment_one_audit_row_and_one_bell(house: House) -> None:
    bell = EpochView(house.workspace.epoch_file)
    written = house[MODEL].promote(2, reason="better")
    assert (written.version, written.previous, written.act, written.reason) == (2, 1, "promote", "better")
    assert bell.epoch == written.seq == house[MODEL].epoch
    assert acts(house)[0] == "promote"
    assert house.audit(MODEL)[0].seq == written.audit_seq
    assert house.verify_audit() is None
    bell.close()


def test_what_changes_nothing_is_refused(house: House) -> None:
    handle = house[MODEL]
    with pytest.raises(AlreadyChampion, match="Version 1 is the champion of loans already"):
        handle.promote(1, reason="r")
    with pytest.raises(UnknownVersion, match=r"loans has no version 9\. It has: 1, 2, 3"):
        handle.promote(9, reason="r")
    with pytest.raises(NothingToRollBack):
        handle.rollback(reason="r")
    assert acts(house).count("promote") == 1


def test_a_decision_on_an_old_picture_is_refused_and_says_what_is_new(house: House) -> None:
    seen = house[MODEL].epoch
    house[MODEL].promote(2, reason="first")
    with pytest.raises(StaleDecision, match=r"with version 2 as champion\. Look again"):
        house[MODEL].promote(3, reason="second", expected_epoch=seen)
    assert house[MODEL].champion.version == 2  # type: ignore[union-attr]


def test_a_roll_back_skips_what_was_rolled_back_before(house: House) -> None:
    handle = house[MODEL]
    handle.promote(2, reason="r")
    handle.promote(3, reason="r")
    assert handle.rollback(reason="bad").version == 2
    assert handle.rollback(reason="bad too").version == 1
    assert handle.rollback_target() is None
    assert handle.promote(3, reason="mended").version == 3
    assert handle.rollback_target() == 1


def test_a_promotion_ends_the_canary_in_its_own_transaction_and_no_act_can_be_changed(house: House) -> None:
    handle = house[MODEL]
    handle.canary(2, share="1%", reason="try it")
    handle.shadow(3, reason="look at it")
    seen = handle.epoch
    written = handle.promote(3, reason="better", expected_epoch=seen)
    assert handle.trials == ()
    assert handle.epoch == written.seq == seen + 3
    assert [(str(t.kind), str(t.act), t.reason) for t in handle.trial_acts[:2]] == [
        ("shadow", "end", "version 3 was promoted"), ("canary", "end", "version 3 was promoted")
    ]  # fmt: skip
    assert acts(house)[:3] == ["promote", "shadow end", "canary end"]
    assert house.verify_audit() is None
    with pytest.raises(DatabaseError, match="trials is append-only"), house.state.write() as conn:
        conn.execute(tables.trials.update().values(reason="another"))


def test_a_viewer_is_refused_and_the_attempt_is_kept(house: House) -> None:
    viewer = Actor(name="vic", roles=frozenset({Right.VIEWER}))
    with pytest.raises(NotAllowed, match=r"vic may not promote loans: it needs the role operator"):
        house.releases.promote(viewer, MODEL, 2, reason="r")
    assert acts(house)[0] == "denied"
    assert house.audit(MODEL)[0].actor == "vic"


def test_nothing_flips_while_a_worker_cannot_load_the_version(house: House) -> None:
    service_worker(house, "s1")
    later = Later(house)
    releases = Releases(house.workspace, house.state, clock=later.now, sleep=later.sleep)
    with pytest.raises(
        WorkersNotReady, match="0 of 1 service workers have loaded loans version 2; nothing was switched"
    ):
        releases.promote(house.actor, MODEL, 2, reason="r")
    later.answer = (False, "out of memory")
    with pytest.raises(WorkersNotReady, match="Reported: out of memory"):
        releases.promote(house.actor, MODEL, 2, reason="r")
    assert house[MODEL].champion.version == 1  # type: ignore[union-attr]
    later.answer = (True, "")
    assert releases.promote(house.actor, MODEL, 2, reason="r").version == 2


class Later:
    """A clock that runs fast while somebody waits, and a worker that beats on and answers if it has something to say."""

    def __init__(self, house: House) -> None:
        self.house, self.time, self.answer = house, utc_now(), None  # type: tuple[House, datetime, tuple[bool, str] | None]

    def now(self) -> datetime:
        return self.time

    def sleep(self, _seconds: float) -> None:
        self.time += timedelta(seconds=1)
        with self.house.state.write() as conn:
            processes.beat(conn, ProcessRow(
                id="s1", kind="service", host="h", pid=1, url=None, started_at=self.time, beat_at=self.time, details={},
            ))  # fmt: skip
            asked = processes.preparations(conn)[-1]
            if self.answer:
                ok, detail = self.answer
                processes.acknowledge(conn, asked.seq, "s1", ok=ok, detail=detail, load_ms=1.0, at=self.time)


def test_of_many_at_once_one_wins_each_time(house: House) -> None:
    start, results = threading.Barrier(4), []
    epoch = house[MODEL].epoch

    def press(version: int) -> None:
        start.wait()
        try:
            results.append(house[MODEL].promote(version, reason="r", expected_epoch=epoch).version)
        except (StaleDecision, AlreadyChampion):
            # Late by a little she decides on an old picture; late by more she finds her wish fulfilled. Neither acts.
            results.append(0)

    threads = [threading.Thread(target=press, args=(2 + n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(version > 0 for version in results) == 1
    with house.state.read() as conn:
        assert len(deployments.history(conn, MODEL)) == 2

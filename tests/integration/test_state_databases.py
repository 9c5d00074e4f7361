"""What the two databases of the state must have in common although they do it differently: locks, messages, failures."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from tests.support.postgres import PASSWORD, Postgres
from tests.support.processes import wait_until

from pilothouse.data.errors import InvalidSetting, StaleDecision, StoreBusy, StoreDown, Unavailable
from pilothouse.data.settings import load_settings
from pilothouse.data.state import audit, deployments, epochs, leases, tables
from pilothouse.data.state.store import State
from pilothouse.data.state.watch import Watch

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def with_versions(url: str, versions: int = 3) -> State:
    """A store in which `churn` has as many versions; what stands in the other columns does not matter here."""
    state = State.open(url)
    filler = {"String": "x", "Text": "", "JSON": {}, "UtcTime": NOW, "Integer": 0, "Float": 0.5}
    with state.write() as conn:
        for table, keys in ((tables.models, [{"name": "churn"}]), (tables.versions, [
            {"model": "churn", "version": number} for number in range(1, versions + 1)
        ])):  # fmt: skip
            needed = {c.name: filler[type(c.type).__name__] for c in table.c if not c.nullable}
            conn.execute(insert(table), [needed | key for key in keys])
    return state


def promote(state: State, version: int, epoch: int) -> None:
    with state.write() as conn:
        deployments.append(
            conn, model="churn", version=version, expected_epoch=epoch, act="promote", actor="ann", reason="r",
            clicked_at=NOW, at=NOW,
        )  # fmt: skip


def in_threads(work: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def test_of_many_promotions_each_is_applied_or_refused_and_the_chain_is_whole(state_url: str) -> None:
    state, applied, refused = with_versions(state_url), [0] * 6, [0] * 6

    def operate(number: int) -> None:
        for turn in range(20):
            with state.read() as conn:
                epoch = epochs.epoch_of(conn, "churn")
            try:
                promote(state, 1 + (number + turn) % 3, epoch)
                applied[number] += 1
            except StaleDecision:
                refused[number] += 1

    in_threads(operate, 6)
    with state.read() as conn:
        history = deployments.history(conn, "churn")
        assert audit.verify(conn) is None
        assert len(audit.rows(conn, limit=1000)) == len(history)
    assert [row.seq for row in history] == list(range(len(history), 0, -1))
    assert all(row.previous == before.version for row, before in pairwise(history))
    assert (sum(applied), sum(applied) + sum(refused)) == (len(history), 120)
    state.close()


def test_a_lease_goes_to_one_of_many(state_url: str) -> None:
    state, winners = State.open(state_url), []

    def ask(number: int) -> None:
        with state.write() as conn:
            if leases.acquire(conn, "seal", f"w{number}", NOW, timedelta(seconds=9)):
                winners.append(number)

    in_threads(ask, 6)
    assert len(winners) == 1
    state.close()


def test_processes_that_start_together_migrate_once(state_url: str) -> None:
    code = "import sys; from pilothouse.data.state.store import State; State.open(sys.argv[1]).close()"
    started = [subprocess.Popen([sys.executable, "-c", code, state_url], stderr=subprocess.PIPE) for _ in range(4)]
    said = [process.communicate()[1].decode() for process in started]
    assert [(process.returncode, words) for process, words in zip(started, said, strict=True)] == [(0, "")] * 4
    state = State.open(state_url)
    with state.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
    state.close()


def test_a_watch_sees_the_commits_of_others_and_a_reader_keeps_its_picture(state_url: str) -> None:
    ours, theirs = with_versions(state_url), State.open(state_url)
    watch = Watch(ours)
    assert watch.changed()
    with ours.read() as conn:
        assert deployments.current(conn, "churn") is None
        promote(theirs, 1, 0)
        assert deployments.current(conn, "churn") is None
    wait_until(watch.changed, 0.5)
    with ours.read() as conn:
        assert deployments.in_force(conn, "churn").version == 1
    watch.close()
    for state in (ours, theirs):
        state.close()


def test_between_commits_a_watch_on_postgresql_asks_the_server_once_a_second(postgres: Postgres) -> None:
    state = State.open(postgres.new_database())
    watch = Watch(state)
    assert watch.changed()
    began = time.monotonic()
    said = [watch.changed() for _ in range(200) if not time.sleep(0.005)]
    assert sum(said) <= 1 + (time.monotonic() - began)
    watch.close()
    state.close()


def test_a_writer_that_waits_too_long_is_told_that_the_store_is_busy(
    state_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilothouse.data.state.engines.BUSY_TIMEOUT_MS", 300)
    monkeypatch.setattr("pilothouse.data.state.store._PATIENCE_S", 0.3)
    state = State.open(state_url)
    with state.write(), pytest.raises(StoreBusy, match="The state store is busy"), state.write():
        pass
    state.close()


def test_a_store_that_cannot_be_used_is_not_called_busy(tmp_path: Path) -> None:
    state = State.open(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.close()
    (tmp_path / "state.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreDown, match="file is not a database"), state.write():
        pass


def test_an_update_on_postgresql_does_not_get_past_the_triggers_either_way(postgres: Postgres) -> None:
    state = with_versions(postgres.new_database())
    promote(state, 1, 0)
    with pytest.raises(Exception, match="audit is append-only"), state.write() as conn:
        conn.execute(text("TRUNCATE audit CASCADE"))
    state.close()


def test_a_restart_under_load_is_waited_for_and_nothing_is_doubled(postgres: Postgres) -> None:
    state, stop, done, failed = with_versions(postgres.new_database()), threading.Event(), [], []

    def write(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            act = f"{number}-{count}"
            try:
                with state.write() as conn:
                    audit.append(conn, actor="ann", act=act, target="churn", details={}, at=NOW)
                done.append(act)
            except Unavailable as error:
                failed.append((act, error))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        postgres.stop()
        postgres.start()
        seen = len(done)
        wait_until(partial(lambda before: len(done) > before + 5, seen), 10)
    stop.set()
    for thread in threads:
        thread.join()
    with state.read() as conn:
        kept = [row.act for row in audit.rows(conn, limit=100_000)]
        assert audit.verify(conn) is None
    assert len(kept) == len(set(kept))
    assert set(done) <= set(kept)
    in_doubt = {act for act, error in failed if isinstance(error, StoreDown) and error.in_doubt}
    assert set(kept) - set(done) <= in_doubt
    # Only what a restart found in its middle is told; whoever had not begun yet waited.
    assert len(failed) <= 3 * 3
    state.close()


def test_after_five_seconds_without_a_server_its_absence_is_told_without_the_password(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilothouse.data.state.store._PATIENCE_S", 0.5)
    state = State.open(postgres.new_database())
    watch = Watch(state)
    watch.changed()
    postgres.stop()
    try:
        with pytest.raises(StoreDown, match="The state store cannot be used: ") as told, state.read():
            pass
        wait_until(watch.changed, 0.9)
    finally:
        postgres.start()
    assert PASSWORD not in str(told.value) + repr(state)
    wait_until(lambda: not watch.changed(), 5)
    watch.close()
    state.close()


def test_a_password_is_in_no_setting_that_is_shown(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "none", environ={"PILOTHOUSE_STATE_URL": f"postgresql://u:{PASSWORD}@h/d"})
    assert settings.state_url.endswith("@h/d")
    assert PASSWORD not in repr(settings)
    with pytest.raises(InvalidSetting, match=r"sqlite \(a file in the workspace\), or postgresql://") as refused:
        load_settings(tmp_path / "none", environ={"PILOTHOUSE_STATE_URL": f"mysql://u:{PASSWORD}@h/d"})
    assert PASSWORD not in str(refused.value)

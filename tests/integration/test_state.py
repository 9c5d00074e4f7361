"""The state store: concurrent writers, append-only tables, the chained audit trail, leases, runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pilothouse.data.errors import AlreadyExists, LeaseLost, NaiveTime, StaleDecision, UnknownModel, UnknownVersion
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.signature import Task, infer_signature
from pilothouse.data.state import audit, catalog, deployments, leases, processes, runs, tables
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Window

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SIGNATURE = infer_signature(pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "t": [0, 1]}), "t", Task.BINARY)


def model(name: str = "churn") -> ModelRow:
    return ModelRow(
        name=name, task=Task.BINARY, signature=SIGNATURE, profile_id="p1", label_policy=LabelPolicy(),
        gate_policy=GatePolicy(), created_at=NOW, created_by="ann",
    )  # fmt: skip


def version(number: int, run_id: str | None = None) -> VersionRow:
    return VersionRow(
        model="churn", version=number, artifact_sha256="0" * 64, runtime="sklearn", signature=SIGNATURE,
        trusted_types=("a.B",), libraries={"numpy": "2"}, threshold=0.5, run_id=run_id, snapshot_sha256=None,
        trained=Window(NOW - timedelta(days=1), NOW), scorecard={"rows": 3}, note="", created_at=NOW, created_by="ann",
    )  # fmt: skip


@pytest.fixture
def state(state_url: str) -> Iterator[State]:
    store = State.open(state_url)
    with store.write() as conn:
        catalog.add_model(conn, model())
        catalog.add_version(conn, version(1))
        catalog.add_version(conn, version(2, run_id="run-1"))
    yield store
    store.close()


def promote(state: State, number: int, epoch: int) -> deployments.Deployment:
    with state.write() as conn:
        return deployments.append(
            conn, model="churn", version=number, expected_epoch=epoch, act="promote", actor="ann", reason="r",
            clicked_at=NOW, at=NOW,
        )  # fmt: skip


def test_what_goes_in_comes_out(state: State) -> None:
    with state.read() as conn:
        assert catalog.get_model(conn, "churn") == model()
        assert catalog.get_version(conn, "churn", 2) == version(2, run_id="run-1")
        assert catalog.version_of_run(conn, "run-1") == version(2, run_id="run-1")
        assert [v.version for v in catalog.list_versions(conn, "churn")] == [2, 1]


def test_unknown_and_taken_names_say_what_there_is(state: State) -> None:
    with state.write() as conn:
        with pytest.raises(UnknownModel, match=r"Registered: churn. Did you mean 'churn'\?"):
            catalog.get_model(conn, "chrun")
        with pytest.raises(UnknownVersion, match=r"churn has no version 9. It has: 1, 2"):
            catalog.get_version(conn, "churn", 9)
        with pytest.raises(AlreadyExists, match="The model churn exists already"):
            catalog.add_model(conn, model())


def test_concurrent_writers_lose_nothing(state: State) -> None:
    with state.write() as conn:
        conn.execute(text("CREATE TABLE counter (n INTEGER)"))
        conn.execute(text("INSERT INTO counter VALUES (0)"))

    def count(times: int) -> None:
        for _ in range(times):
            with state.write() as conn:
                seen = conn.execute(text("SELECT n FROM counter")).scalar_one()
                conn.execute(text("UPDATE counter SET n = :n"), {"n": seen + 1})

    threads = [threading.Thread(target=count, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with state.read() as conn:
        assert conn.execute(text("SELECT n FROM counter")).scalar_one() == 200


def test_of_two_decisions_on_one_epoch_one_wins(state: State) -> None:
    first = promote(state, 1, epoch=0)
    with pytest.raises(StaleDecision, match=r"decided at epoch 0, it stands at epoch 1 with version 1"):
        promote(state, 2, epoch=0)
    with state.read() as conn:
        assert deployments.current(conn, "churn") == first
        assert len(audit.rows(conn)) == 1


def test_the_past_can_be_asked_and_not_changed(state: State) -> None:
    promote(state, 1, epoch=0)
    with state.read() as conn:
        live = deployments.live_at(conn, "churn", NOW + timedelta(days=1))
        assert live is not None
        assert live.version == 1
        assert deployments.live_at(conn, "churn", NOW - timedelta(seconds=1)) is None
    for table in ("audit", "deployments"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET actor = 'eve'"):
            with pytest.raises(IntegrityError, match=f"{table} is append-only"), state.write() as conn:
                conn.execute(text(statement))


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("UPDATE audit SET details = '{}' WHERE seq = 3", 3),
        ("UPDATE audit SET seq = 9 WHERE seq = 3", 3),
    ],
)
def test_a_changed_audit_row_is_found_at_its_place(state: State, tamper: str, found: int) -> None:
    with state.write() as conn:
        for act in ("one", "two", "three"):
            audit.append(conn, actor="ann", act=act, target="churn", details={"n": 1}, at=NOW)
        assert audit.verify(conn) is None
        for event in ("update", "delete"):
            of_table = "" if conn.dialect.name == "sqlite" else " ON audit"
            conn.execute(text(f"DROP TRIGGER audit_no_{event}{of_table}"))
        conn.execute(text(tamper))
        assert audit.verify(conn) == found


def test_a_lease_has_one_holder_until_it_runs_out(state: State) -> None:
    ttl = timedelta(seconds=10)
    with state.write() as conn:
        ours = leases.acquire(conn, "seal", "a", NOW, ttl)
        assert ours is not None
        assert leases.acquire(conn, "seal", "b", NOW, ttl) is None
        leases.renew(conn, ours, NOW + timedelta(seconds=5), ttl)
        theirs = leases.acquire(conn, "seal", "b", NOW + timedelta(seconds=16), ttl)
        assert theirs is not None
        assert theirs.fencing == ours.fencing + 1
        with pytest.raises(LeaseLost, match="seal is held by b"):
            leases.held(conn, ours, NOW + timedelta(seconds=16))
        leases.release(conn, theirs)
        assert leases.acquire(conn, "seal", "a", NOW + timedelta(seconds=17), ttl) is not None


def test_a_model_has_one_active_run(state: State) -> None:
    asked = {
        "model": "churn",
        "kind": "retrain",
        "arguments": {},
        "steps": ["extract", "gate"],
        "actor": "ann",
        "at": NOW,
    }
    with state.write() as conn:
        first, created = runs.request(conn, run_id="r1", **asked)  # type: ignore[arg-type]
        again, created_again = runs.request(conn, run_id="r2", **asked)  # type: ignore[arg-type]
        assert (created, created_again, again) == (True, False, first)
        runs.set_run(conn, "r1", state=runs.RunState.SUCCEEDED)
        assert runs.request(conn, run_id="r3", **asked)[1]  # type: ignore[arg-type]
        assert [s.name for s in runs.steps(conn, "r3")] == ["extract", "gate"]


def test_the_newest_preparation_of_a_version_counts(state: State) -> None:
    with state.write() as conn:
        processes.request_preparation(conn, "churn", 1, NOW)
        newest = processes.request_preparation(conn, "churn", 1, NOW)
        assert processes.preparations(conn) == [newest]
        processes.acknowledge(conn, newest.seq, "s/1", ok=False, detail="no", load_ms=1.0, at=NOW)
        processes.acknowledge(conn, newest.seq, "s/1", ok=True, detail="", load_ms=2.0, at=NOW)
        assert [a.ok for a in processes.acknowledgements(conn, newest.seq)] == [True]


def test_the_migrations_make_the_tables_that_the_code_speaks_of(state: State) -> None:
    with state.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_a_naive_time_does_not_get_in(state: State) -> None:
    with state.write() as conn, pytest.raises(Exception, match="no time zone") as caught:
        audit.append(conn, actor="a", act="b", target="c", details={}, at=datetime(2026, 1, 1))  # noqa: DTZ001
    assert isinstance(caught.value.__cause__ or caught.value, NaiveTime)


def test_an_act_told_in_another_zone_fits_the_chain(state: State) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=2)))
    with state.write() as conn:
        audit.append(conn, actor="ann", act="promote", target="churn", details={}, at=there)
    with state.read() as conn:
        assert audit.verify(conn) is None

"""A store made by the first release is brought up to date with everything in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import DatabaseError

from pilothouse.data.policies import LogPolicy
from pilothouse.data.state import catalog, deployments, migrate, tables
from pilothouse.data.state.store import State

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SIGNATURE = '{"features": [], "target": {"name": "late", "kind": "integer", "classes": [0, 1]}, "task": "binary"}'
_FIRST = {
    "models": {
        "name": "flights", "task": "binary", "signature": SIGNATURE, "profile_id": "r1", "label_policy": "{}",
        "gate_policy": "{}", "created_at": "2026-03-03 12:00:00.000000", "created_by": "ann",
    },
    "versions": {
        "model": "flights", "version": 1, "artifact_sha256": "ab" * 32, "runtime": "sklearn", "signature": SIGNATURE,
        "trusted_types": "[]", "libraries": "{}", "threshold": 0.5, "scorecard": "null", "note": "",
        "created_at": "2026-03-03 12:00:00.000000", "created_by": "ann",
    },
    "audit": {
        "seq": 1, "at": "2026-03-03 12:00:00.000000", "actor": "ann", "act": "promote", "target": "flights",
        "details": "{}", "previous": "", "hash": "",
    },
    "deployments": {
        "seq": 1, "model": "flights", "version": 1, "act": "promote", "actor": "ann", "reason": "first",
        "clicked_at": "2026-03-03 12:00:00.000000", "at": "2026-03-03 12:00:00.000000", "audit_seq": 1,
    },
}  # fmt: skip


def make_first_release(file: Path) -> None:
    """A store as revision 0001 left it, with a model that has been promoted."""
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        context._ensure_version_table()
        with Operations.context(context):
            scripts.get_revision("0001").module.upgrade()
        context.stamp(scripts, "0001")
        for table, row in _FIRST.items():
            names = ", ".join(row)
            places = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)
    engine.dispose()


def test_a_store_of_the_first_release_keeps_its_models_and_gains_the_new_columns(tmp_path: Path) -> None:
    make_first_release(tmp_path / "state.sqlite")
    state = State.open(f"sqlite:///{tmp_path / 'state.sqlite'}")
    with state.read() as conn:
        model, version = catalog.get_model(conn, "flights"), catalog.get_version(conn, "flights", 1)
        assert (model.log_policy, model.classes, model.segments, model.objective) == (LogPolicy(), {}, (), None)
        assert (model.costs, model.own_metrics) == (None, ())
        assert version.artifact_sha256 == "ab" * 32
        assert deployments.in_force(conn, "flights").version == 1
        assert conn.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    state.close()


def test_the_audit_trail_is_still_append_only_afterwards(tmp_path: Path) -> None:
    make_first_release(tmp_path / "state.sqlite")
    state = State.open(f"sqlite:///{tmp_path / 'state.sqlite'}")
    with pytest.raises(DatabaseError, match="audit is append-only"), state.write() as conn:
        conn.execute(tables.audit.delete())
    unknown = _FIRST["deployments"] | {"seq": 2, "version": 9, "clicked_at": NOW, "at": NOW}
    with pytest.raises(DatabaseError, match="FOREIGN KEY"), state.write() as conn:
        conn.execute(insert(tables.deployments).values(**unknown))
    state.close()

"""The tables of the state store. Times are aware UTC; SQLite keeps them without a zone, `UtcTime` puts it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from pilothouse.data.windows import as_utc

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time in a column that may not keep zones. A naive time is refused on the way in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = as_utc(value)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


models = Table(
    "models",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("task", String(16), nullable=False),
    Column("signature", JSON, nullable=False),
    Column("profile_id", String(63), nullable=False),
    Column("label_policy", JSON, nullable=False),
    Column("gate_policy", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("log_policy", JSON, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("segments", JSON, nullable=False),
    Column("objective", JSON),
    Column("costs", JSON),
    Column("own_metrics", JSON, nullable=False),
    Column("watch", JSON),
    Column("drift_thresholds", JSON),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String(63), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("artifact_sha256", String(64)),
    Column("runtime", String(16), nullable=False),
    Column("signature", JSON, nullable=False),
    Column("trusted_types", JSON, nullable=False),
    Column("libraries", JSON, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("run_id", String(36), unique=True),
    Column("snapshot_sha256", String(64)),
    Column("trained_start", UtcTime),
    Column("trained_end", UtcTime),
    Column("scorecard", JSON),
    Column("note", Text, nullable=False, default=""),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("conversion", JSON),
    Column("code", JSON),
    Column("recorded", JSON),
)

live_checks = Table(
    "live_checks",
    metadata,
    Column("model", String(63), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("beyond", Integer, nullable=False),
    Column("largest", Float, nullable=False),
    Column("checked_to", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("act", String(63), nullable=False),
    Column("target", String(200), nullable=False, index=True),
    Column("details", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("model", String(63), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("previous", Integer),
    Column("act", String(16), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("clicked_at", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("audit_seq", Integer, ForeignKey("audit.seq"), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

trials = Table(
    "trials",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("model", String(63), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("act", String(16), nullable=False),
    Column("basis_points", Integer, nullable=False),
    Column("salt", String(32), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("clicked_at", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("audit_seq", Integer, ForeignKey("audit.seq"), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("model", String(63), ForeignKey("models.name"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("verdict", String(16)),
    Column("outcome", JSON),
    Column("error", Text),
    Column("version", Integer),
    Column("worker", String(100)),
)
# At most one active retraining a model, whoever asks and however often: the index says it, not a check beforehand.
ACTIVE_RUN = Index(
    "uq_runs_active",
    runs.c.model,
    unique=True,
    sqlite_where=text("kind = 'retrain' AND state IN ('queued', 'running', 'cancelling')"),
    postgresql_where=text("kind = 'retrain' AND state IN ('queued', 'running', 'cancelling')"),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("progress", Float),
    Column("message", Text, nullable=False, default=""),
    Column("output", JSON),
)

run_log = Table(
    "run_log",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("text", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("holder", String(100), nullable=False),
    Column("fencing", Integer, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("url", String(200)),
    Column("started_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False),
    Column("details", JSON, nullable=False),
)

preparations = Table(
    "preparations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("model", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("seq", Integer, ForeignKey("preparations.seq"), primary_key=True),
    Column("process_id", String(100), primary_key=True),
    Column("ok", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("load_ms", Float, nullable=False),
    Column("at", UtcTime, nullable=False),
)

switches = Table(
    "switches",
    metadata,
    Column("deployment_seq", Integer, ForeignKey("deployments.seq"), primary_key=True),
    Column("process_id", String(100), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("spool", String(36)),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("caller", String(63), nullable=False, index=True),
    Column("sha256", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
)

forwarded = Table(
    "forwarded",
    metadata,
    Column("spool", String(36), primary_key=True),
    Column("model", String(63), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("model", String(63), ForeignKey("models.name"), nullable=False, index=True),
    Column("arguments", JSON, nullable=False),
    Column("every_s", Integer, nullable=False),
    Column("next_at", UtcTime, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("last_run_id", String(36)),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
)

data_schemas = Table(
    "data_schemas",
    metadata,
    Column("model", String(63), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("tolerated", Float, nullable=False),
    Column("stops_above", Float, nullable=False),
    Column("tests_stop", Boolean, nullable=False),
    Column("edits", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
)

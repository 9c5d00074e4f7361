"""Canaries and shadows, append-only as deployments are; and where a worker that followed a switch logs its answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("audit_seq", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["audit_seq"], ["audit.seq"], name=op.f("fk_trials_audit_seq")),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.version"], name=op.f("fk_trials_model")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trials")),
    )
    op.create_index(op.f("ix_trials_model"), "trials", ["model"], unique=False)
    op.add_column("switches", sa.Column("spool", sa.String(length=36), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes("FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()", "UPDATE", "DELETE", "TRUNCATE")
    else:
        _refuse_changes("BEGIN SELECT RAISE(ABORT, 'trials is append-only'); END", "UPDATE", "DELETE")


def _refuse_changes(how: str, *events: str) -> None:
    for event in events:
        op.execute(f"CREATE TRIGGER trials_no_{event.lower()} BEFORE {event} ON trials {how}")

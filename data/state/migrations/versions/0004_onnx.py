"""ONNX forms of versions, and what checks of live rows against the originals have found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("versions", sa.Column("conversion", sa.JSON(), nullable=True))
    op.create_table(
        "live_checks",
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("beyond", sa.Integer(), nullable=False),
        sa.Column("largest", sa.Float(), nullable=False),
        sa.Column("checked_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.version"], name=op.f("fk_live_checks_model")
        ),
        sa.PrimaryKeyConstraint("model", "version", name=op.f("pk_live_checks")),
    )

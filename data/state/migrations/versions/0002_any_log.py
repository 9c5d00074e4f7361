"""Logs of models served elsewhere: versions without an artifact, column classes, segments, how long rows are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column, default in (("log_policy", "{}"), ("classes", "{}"), ("segments", "[]")):
        op.add_column("models", sa.Column(column, sa.JSON(), nullable=False, server_default=default))
    _allow_no_artifact()


def _allow_no_artifact() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("versions", "artifact_sha256", existing_type=sa.String(length=64), nullable=True)
        return
    # SQLite cannot lift NOT NULL, and a table that others refer to cannot be made anew: a second column takes over.
    op.add_column("versions", sa.Column("artifact", sa.String(length=64), nullable=True))
    op.execute("UPDATE versions SET artifact = artifact_sha256")
    op.drop_column("versions", "artifact_sha256")
    op.execute("ALTER TABLE versions RENAME COLUMN artifact TO artifact_sha256")

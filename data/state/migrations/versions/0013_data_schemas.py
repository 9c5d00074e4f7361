"""What the values of each model's columns are to keep to, by version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "data_schemas",
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("tolerated", sa.Float(), nullable=False),
        sa.Column("stops_above", sa.Float(), nullable=False),
        sa.Column("tests_stop", sa.Boolean(), nullable=False),
        sa.Column("edits", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_data_schemas_model")),
        sa.PrimaryKeyConstraint("model", "version", name=op.f("pk_data_schemas")),
    )

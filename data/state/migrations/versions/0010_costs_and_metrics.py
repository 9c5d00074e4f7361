"""What each kind of answer costs, and metrics of a team's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("models", sa.Column("costs", sa.JSON(), nullable=True))
    op.add_column("models", sa.Column("own_metrics", sa.JSON(), nullable=False, server_default="[]"))

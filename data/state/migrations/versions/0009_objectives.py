"""How fast each model is to answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("models", sa.Column("objective", sa.JSON(), nullable=True))

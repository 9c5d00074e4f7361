"""Thresholds of drift that were calibrated to a budget of false alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("models", sa.Column("drift_thresholds", sa.JSON(), nullable=True))

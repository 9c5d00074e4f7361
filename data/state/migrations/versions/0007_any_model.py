"""Own code that versions need, and what their originals said to reference rows when they were registered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("versions", sa.Column("code", sa.JSON(), nullable=True))
    op.add_column("versions", sa.Column("recorded", sa.JSON(), nullable=True))

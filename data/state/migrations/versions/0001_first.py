"""The first tables. `audit` and `deployments` are append-only: triggers refuse every change and deletion."""

from __future__ import annotations

from alembic import op

from pilothouse.data.state import tables

revision = "0001"
down_revision = None

_FROZEN = ("audit", "deployments")


def upgrade() -> None:
    connection = op.get_bind()
    tables.metadata.create_all(connection, checkfirst=False)
    for table in _FROZEN:
        for event in ("UPDATE", "DELETE"):
            if connection.dialect.name == "sqlite":
                op.execute(
                    f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )

"""Bringing the tables up to date: an append-only list of Alembic revisions, each in a transaction of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilothouse.data.state.store import State


def upgrade(state: State) -> None:
    """Run every migration that the store has not seen. Safe when several processes start at once."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    head = scripts.get_current_head()
    with state.read() as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
    for revision in reversed(list(scripts.walk_revisions())):
        with state.write() as connection:
            context = MigrationContext.configure(connection)
            # Asked again under the write lock: another process may have migrated meanwhile.
            seen = {
                step.revision for step in scripts.iterate_revisions(context.get_current_revision() or "base", "base")
            }
            if revision.revision in seen:
                continue
            context._ensure_version_table()
            with Operations.context(context):
                revision.module.upgrade()
            context.stamp(scripts, revision.revision)

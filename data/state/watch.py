"""Whether anybody has written to the state store since the last look: cheap enough to ask ten times a second."""

from __future__ import annotations

from pilothouse.data.state.store import State


class Watch:
    """Follows the commits of all other connections, of this process and of every other.

    SQLite counts them itself. A store that does not is said to have changed at every look.
    """

    def __init__(self, state: State) -> None:
        self._connection = state.engine.raw_connection()
        self._counts = state.engine.dialect.name == "sqlite"
        self._seen: object = None

    def changed(self) -> bool:
        """Whether a commit has come since the last call; True at the first one."""
        if not self._counts:
            return True
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        before, self._seen = self._seen, cursor.fetchone()
        cursor.close()
        return before != self._seen

    def close(self) -> None:
        self._connection.close()

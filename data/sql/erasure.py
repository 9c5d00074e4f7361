"""Statements by which a spool file (SQLite) forgets for good: what is deleted must not stay in its free pages.

A JSON body holds a text in quotes; in an Arrow body texts stand side by side, so there a longer one is found as well.
"""

_HOLDS = "model = ? AND instr(body, CASE format WHEN 'json' THEN ? ELSE ? END) > 0"

DELETE_SET_ASIDE = f"DELETE FROM set_aside WHERE {_HOLDS} RETURNING rows"
WAITING = f"SELECT coalesce(sum(rows), 0) FROM entries WHERE {_HOLDS}"
OVERWRITE = "PRAGMA secure_delete = ON"

"""Statements by which a spool file (SQLite) forgets for good: what is deleted must not stay in its free pages."""

DELETE_SET_ASIDE = "DELETE FROM set_aside WHERE model = ? AND instr(body, ?) > 0 RETURNING rows"
WAITING = "SELECT coalesce(sum(rows), 0) FROM entries WHERE model = ? AND instr(body, ?) > 0"
OVERWRITE = "PRAGMA secure_delete = ON"

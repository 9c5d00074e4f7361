"""Statements on the copies of spool files (SQLite)."""

SPOOL_ID = "SELECT id FROM spool"
RAISE_SEQUENCE = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'entries'"
SET_SEQUENCE = "INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', ?)"

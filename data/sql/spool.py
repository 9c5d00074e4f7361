"""Statements of a spool file (SQLite). `body` stands behind what is counted, so that counting rows does not read it.

`crc` covers all fields of an entry; it is null in entries of before it was there. `forgotten` counts what was deleted on
purpose, whoever deletes: an entry that neither stands here nor is counted there was lost.
"""

COUNT_FORGOTTEN = """
CREATE TABLE IF NOT EXISTS forgotten (
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    entries INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (model, kind)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS count_forgotten AFTER DELETE ON entries BEGIN
    INSERT INTO forgotten (model, kind, entries, rows)
    VALUES (old.model, old.kind, 1, CASE typeof(old.rows) WHEN 'integer' THEN old.rows ELSE 1 END)
    ON CONFLICT (model, kind) DO UPDATE SET entries = entries + 1, rows = rows + excluded.rows;
END;
"""
CREATE = f"""
CREATE TABLE spool (id TEXT NOT NULL);
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    caller_ids INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER
);
CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    caller_ids INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL
);
{COUNT_FORGOTTEN}
"""
NAME = "INSERT INTO spool (id) VALUES (?)"
ID = "SELECT id FROM spool"
BEGIN = "BEGIN IMMEDIATE"
LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entries'"
INSERT = "INSERT INTO entries (seq, model, kind, format, caller_ids, rows, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
HAS_CRC = "SELECT count(*) FROM pragma_table_info('entries') WHERE name = 'crc'"
ADD_CRC = "ALTER TABLE entries ADD COLUMN crc INTEGER"
HAS_FORGOTTEN = "SELECT count(*) FROM sqlite_master WHERE name = 'count_forgotten'"
ADD_FORGOTTEN = f"BEGIN IMMEDIATE; {COUNT_FORGOTTEN} COMMIT;"
COUNTS = """
SELECT model, kind, sum(entries), sum(rows) FROM (
    SELECT model, kind, count(*) AS entries, sum(CASE typeof(rows) WHEN 'integer' THEN rows ELSE 1 END) AS rows
    FROM entries GROUP BY model, kind
    UNION ALL
    SELECT model, kind, entries, rows FROM forgotten
) GROUP BY model, kind
"""
GIVE_UP = """
INSERT INTO forgotten (model, kind, entries, rows) VALUES (:model, :kind, :entries, :rows)
ON CONFLICT (model, kind) DO UPDATE SET entries = entries + excluded.entries, rows = rows + excluded.rows
"""
TELL_GIVEN_UP = """
INSERT INTO set_aside (seq, model, kind, format, caller_ids, rows, body, reason, at)
SELECT min(0, coalesce(min(seq), 0)) - 1, :model, :kind, 'json', 0, :rows, x'', :reason, :at FROM set_aside
"""
CHECK = "PRAGMA quick_check(1)"
LEAVE_FREE_PAGES = "PRAGMA secure_delete = FAST"
WAITING = "SELECT DISTINCT model, kind FROM entries"
READ = """
SELECT seq, format, caller_ids, rows, body, crc FROM entries
WHERE model = ? AND kind = ? AND seq > ? ORDER BY seq
"""
COUNT = "SELECT coalesce(sum(rows), 0) FROM entries WHERE model = ? AND kind = ? AND seq > ?"
OLDEST = "SELECT min(seq) FROM entries WHERE model = ? AND kind = ?"
FORGET = "DELETE FROM entries WHERE model = ? AND kind = ? AND seq <= ?"
SET_ASIDE = """
INSERT OR IGNORE INTO set_aside
SELECT seq, model, kind, format, caller_ids, CASE typeof(rows) WHEN 'integer' THEN rows ELSE 1 END, body,
    ? AS reason, ? AS at
FROM entries WHERE seq = ?
"""
DROP = "DELETE FROM entries WHERE seq = ?"
SPACE = """
SELECT (SELECT freelist_count FROM pragma_freelist_count) * page_size,
    ((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)) * page_size
FROM pragma_page_size
"""
WAIT = "PRAGMA busy_timeout = {milliseconds:d}"
SHRINK = "VACUUM"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
LIST_SET_ASIDE = "SELECT kind, rows, reason, at FROM set_aside WHERE model = ? ORDER BY at DESC, seq DESC LIMIT ?"
COUNT_SET_ASIDE = "SELECT coalesce(sum(rows), 0) FROM set_aside WHERE model = ?"

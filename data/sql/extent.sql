-- How many rows the log holds, and the first and the last event time.
SELECT count(*) AS rows, min("at") AS first, max("at") AS last
FROM {log}

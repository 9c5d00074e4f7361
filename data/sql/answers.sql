-- What each version said in each part, of the rows logged in a span.
--   log, level, positive  the sealed and unsealed rows; what is averaged; the share that is (SQL, or NULL)
--   $start, $end          when they were logged, half-open
--   $roles                which of them
SELECT
    version, role,
    count(*) AS rows,
    count(*) FILTER (status <> 'ok') AS errors,
    avg({level}) AS mean,
    avg({positive}) AS positive,
    quantile_cont(latency_us, 0.5) / 1000 AS p50_ms,
    quantile_cont(latency_us, 0.99) / 1000 AS p99_ms
FROM {log} AS log
WHERE logged_at >= $start::TIMESTAMPTZ
  AND logged_at < $end::TIMESTAMPTZ
  AND list_contains($roles::VARCHAR[], role)
GROUP BY version, role
ORDER BY version, role

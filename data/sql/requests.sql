-- The requests answered in a span. Rows of one request share the place, the moment and the latency.
--   log           the sealed and unsealed rows
--   $start, $end  when they were logged, half-open
--   $roles        which of them
SELECT
    spool, version, logged_at, latency_us,
    count(*) AS rows,
    bool_or(status <> 'ok') AS failed
FROM {log} AS log
WHERE logged_at >= $start::TIMESTAMPTZ
  AND logged_at < $end::TIMESTAMPTZ
  AND list_contains($roles::VARCHAR[], role)
GROUP BY spool, version, logged_at, latency_us
ORDER BY logged_at

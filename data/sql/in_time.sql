-- How many requests a span holds, and how many of them were answered in time. Rows of one request share the place, the
-- moment and the latency; rows without a latency did not come as a request.
--   log, time     the sealed and unsealed rows; the column that the span is of
--   $start, $end  the span, half-open
--   $roles        which rows
--   $within_us    how long an answer may take
SELECT
    count(*) AS requests,
    count(*) FILTER (latency_us <= $within_us AND NOT failed) AS in_time
FROM (
    SELECT latency_us, bool_or(status <> 'ok') AS failed
    FROM {log} AS log
    WHERE {time} >= $start::TIMESTAMPTZ
      AND {time} < $end::TIMESTAMPTZ
      AND list_contains($roles::VARCHAR[], role)
      AND latency_us IS NOT NULL
    GROUP BY spool, version, logged_at, latency_us
) AS request

-- A share of the rows that one version has answered as live traffic, chosen by their ids.
--   columns, log      what to give, and the sealed and unsealed rows
--   $start, $end      when they were logged, half-open
--   $version, $roles  which of them
--   $millionths       the share
SELECT {columns}
FROM {log} AS log
WHERE logged_at >= $start::TIMESTAMPTZ
  AND logged_at < $end::TIMESTAMPTZ
  AND version = $version
  AND list_contains($roles::VARCHAR[], role)
  AND status = 'ok'
  AND hash(prediction_id) % 1000000 < $millionths
ORDER BY logged_at, prediction_id
LIMIT $limit

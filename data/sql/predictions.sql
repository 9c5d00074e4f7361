-- Rows of the log, oldest first.
--   columns, log      what to give, and the sealed and unsealed rows
--   $start, $end      event time, half-open; null for no bound
--   $versions, $roles which of them; null for all versions
SELECT {columns}
FROM {log} AS log
WHERE ($start::TIMESTAMPTZ IS NULL OR "at" >= $start::TIMESTAMPTZ)
  AND ($end::TIMESTAMPTZ IS NULL OR "at" < $end::TIMESTAMPTZ)
  AND ($versions::BIGINT[] IS NULL OR list_contains($versions::BIGINT[], version))
  AND list_contains($roles::VARCHAR[], role)
ORDER BY "at", prediction_id, version, role

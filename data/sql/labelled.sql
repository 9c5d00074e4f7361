-- Rows of the log with the label that holds, null where there is none; oldest first.
--   columns, log, labels             what to give, the sealed and unsealed predictions, and the labels
--   winning                          winning_labels.sql over the relations scope and told
--   $start, $end, $versions, $roles  as in predictions.sql
--   $as_known                        only what had been logged and told before; null for all
--   $horizon                         as in label_matches.sql
WITH scope AS (
    SELECT prediction_id, version, role, "at", keys
    FROM {log} AS log
    WHERE ($start::TIMESTAMPTZ IS NULL OR "at" >= $start::TIMESTAMPTZ)
      AND ($end::TIMESTAMPTZ IS NULL OR "at" < $end::TIMESTAMPTZ)
      AND ($versions::BIGINT[] IS NULL OR list_contains($versions::BIGINT[], version))
      AND list_contains($roles::VARCHAR[], role)
      AND ($as_known::TIMESTAMPTZ IS NULL OR logged_at < $as_known::TIMESTAMPTZ)
),
told AS (
    SELECT prediction_id, key, label, observed_at, recorded_at
    FROM {labels} AS labels
    WHERE $as_known::TIMESTAMPTZ IS NULL OR recorded_at < $as_known::TIMESTAMPTZ
),
winning AS (
    {winning}
)
SELECT {columns}, winning.label, winning.observed_at, winning.recorded_at, log."at" + $horizon AS horizon_end
FROM {log} AS log
JOIN scope USING (prediction_id, version, role)
LEFT JOIN winning USING (prediction_id, version, role)
ORDER BY log."at", log.prediction_id, log.version, log.role

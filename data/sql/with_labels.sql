-- Rows of the log that meet a condition, each with the label that holds or null; a relation to choose from.
--   log, scope, labels   sealed and unsealed predictions, the condition on them, and the labels
--   about                which labels by id may matter; those by key all do
--   winning              winning_labels.sql over the relations scope and told
(
    WITH scope AS (
        SELECT * FROM {log} AS log WHERE {scope}
    ),
    told AS MATERIALIZED (
        SELECT prediction_id, key, label, observed_at, recorded_at FROM {labels} AS labels WHERE {about}
        UNION ALL
        SELECT prediction_id, key, label, observed_at, recorded_at FROM {labels} AS labels WHERE prediction_id IS NULL
    ),
    winning AS (
        {winning}
    )
    SELECT scope.*, winning.label, winning.observed_at, winning.recorded_at, scope."at" + $horizon AS horizon_end
    FROM scope
    LEFT JOIN winning USING (prediction_id, version, role)
)

-- Which of the labels asked about repeat what the table said of the same prediction and moment just before.
--   asked   row_number, prediction_id, key, observed_at, recorded_at, label, source
--   $files  the table's files that may hold them
SELECT row_number
FROM (
    SELECT
        asked.row_number, asked.label, asked.source,
        arg_max(
            struct_pack(label := told.label, source := told.source), row(told.recorded_at, told.label::VARCHAR)
        ) AS last
    FROM asked
    JOIN read_parquet($files, union_by_name = true, hive_partitioning = true) AS told
        ON asked.prediction_id IS NOT DISTINCT FROM told.prediction_id
        AND asked.key IS NOT DISTINCT FROM told.key
        AND asked.observed_at = told.observed_at
        AND told.recorded_at <= asked.recorded_at
    GROUP BY asked.row_number, asked.label, asked.source
)
WHERE last.label IS NOT DISTINCT FROM label AND last.source IS NOT DISTINCT FROM source

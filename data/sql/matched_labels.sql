-- How many of the labels from one source belong to a prediction: one row, one number.
--   $predictions, $labels  files of the two tables
--   $source                what the labels name as their source
--   matches                label_matches.sql over the relations log and told; binds $horizon
WITH log AS (
    SELECT prediction_id, "at", keys
    FROM read_parquet($predictions, union_by_name = true, hive_partitioning = true)
),
told AS (
    SELECT prediction_id, key, row_number() OVER () AS label, observed_at, recorded_at
    FROM read_parquet($labels, union_by_name = true, hive_partitioning = true)
    WHERE source = $source
)
SELECT count(DISTINCT label)
FROM ({matches})

-- Which of the rows asked about stand in the table already: as the same answer, see repeats.identities.
--   asked       row_number, prediction_id, version, role
--   $files      the table's files that may hold them
--   $answering  roles that answer: among their rows an id is enough
SELECT row_number
FROM (
    SELECT
        row_number, prediction_id,
        CASE WHEN list_contains($answering, role) THEN 0 ELSE version END AS version,
        CASE WHEN list_contains($answering, role) THEN 'answer' ELSE role END AS role
    FROM asked
)
SEMI JOIN (
    SELECT
        prediction_id,
        CASE WHEN list_contains($answering, role) THEN 0 ELSE version END AS version,
        CASE WHEN list_contains($answering, role) THEN 'answer' ELSE role END AS role
    FROM read_parquet($files, union_by_name = true, hive_partitioning = true)
) AS sealed
USING (prediction_id, version, role)

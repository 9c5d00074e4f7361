-- Which of the rows asked about stand in the table already.
--   asked   row_number, prediction_id, version, role
--   $files  the table's files that may hold them
SELECT row_number
FROM asked
SEMI JOIN read_parquet($files, union_by_name = true, hive_partitioning = true) AS sealed
USING (prediction_id, version, role)

-- The newest rows of the log that meet a condition, newest first.
--   columns, log, where   what to give, sealed and unsealed predictions, and the condition (its values are bound)
--   $rows                 how many at most
SELECT {columns}
FROM {log} AS log
WHERE {where}
ORDER BY "at" DESC, prediction_id DESC, version DESC, role DESC
LIMIT $rows

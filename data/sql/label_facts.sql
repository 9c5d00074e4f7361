-- What the labels recorded in a window are worth: how many were told, are of an unknown prediction, came late, contradict
-- each other, or were corrected.
--   labels        prediction_id, key, label, observed_at, recorded_at
--   matches       label_matches.sql over the log and the relation numbered
--   $start, $end  of recorded_at, half-open;  $horizon as in label_matches.sql
WITH told AS MATERIALIZED (
    SELECT *, row_number() OVER () AS number, coalesce(prediction_id, key) AS speaks_of
    FROM {labels} AS labels
    WHERE recorded_at >= $start AND recorded_at < $end
),
numbered AS (
    SELECT prediction_id, key, number AS label, observed_at, recorded_at FROM told
),
matched AS MATERIALIZED (
    SELECT label AS number, bool_or(observed_at > "at" + $horizon) AS late FROM {matches} GROUP BY ALL
),
-- A correction may speak of a label that was told long before the window.
each_time AS (
    SELECT coalesce(prediction_id, key) AS speaks_of, observed_at, count(DISTINCT label) AS said, min(label) AS label
    FROM {labels} AS labels
    WHERE coalesce(prediction_id, key) IN (SELECT speaks_of FROM told)
    GROUP BY ALL
),
spoken AS (
    SELECT max(said) > 1 AS conflicting, count(DISTINCT label) > 1 AS corrected FROM each_time GROUP BY speaks_of
)
SELECT
    (SELECT count(*) FROM told) AS told,
    (SELECT count(*) FROM told) - (SELECT count(*) FROM matched) AS unknown,
    (SELECT count(*) FROM matched WHERE late) AS late,
    (SELECT count(*) FROM spoken WHERE conflicting) AS conflicting,
    (SELECT count(*) FROM spoken WHERE corrected AND NOT conflicting) AS corrected

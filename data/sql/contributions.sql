-- What each label changed, on the day of the business zone when it became known: 1 for the label that holds from that day
-- on, -1 for the one whose place it took. All rows added up give what is known now; those recorded up to some day, what
-- was known at its end. Which label holds is the rule of winning_labels.sql, asked once a day.
--   matches  pairs of a prediction and a label (label_matches.sql)
--   asked    prediction_id, version, role, "at", logged_at, prediction, score
--   of_asked, more  further columns of asked to see again, each after a comma, with and without the name asked
--   $zone    name of the business zone
WITH events AS (
    SELECT
        asked.prediction_id, asked.version, asked.role, asked."at", asked.prediction, asked.score{of_asked},
        m.label, m.observed_at, m.recorded_at,
        greatest(timezone($zone, m.recorded_at)::DATE, timezone($zone, asked.logged_at)::DATE) AS recorded
    FROM {matches} AS m
    JOIN asked USING (prediction_id, version, role)
),
-- The default frame of an ordered window ends after the last row of the same day.
holding AS (
    SELECT DISTINCT
        prediction_id, version, role, "at", prediction, score, recorded{more},
        arg_max(struct_pack(label := label), row(observed_at, recorded_at, label::VARCHAR)) OVER (
            PARTITION BY prediction_id, version, role ORDER BY recorded
        ) AS held
    FROM events
),
spans AS (
    SELECT *, lead(recorded) OVER (PARTITION BY prediction_id, version, role ORDER BY recorded) AS ended
    FROM holding
    WHERE held IS NOT NULL
)
SELECT "at", version, role, prediction, score, held.label AS label, recorded, 1::TINYINT AS sign{more}
FROM spans
WHERE held.label IS NOT NULL
UNION ALL
SELECT "at", version, role, prediction, score, held.label AS label, ended AS recorded, -1::TINYINT AS sign{more}
FROM spans
WHERE held.label IS NOT NULL AND ended IS NOT NULL

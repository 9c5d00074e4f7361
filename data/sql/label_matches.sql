-- Every label that speaks of a prediction, one row for each pair: the prediction's columns, then the label's.
--   predictions  prediction_id, "at", keys, and whatever else the caller wants to see again
--   labels       prediction_id, key, label, observed_at, recorded_at
--   $horizon     how long after the event a label found by its key still belongs to it
-- A key matches when the prediction's keys hold every pair of it. So the predictions' keys are cut down to the names
-- that labels use (few distinct sets of them), and the join stays one of equal values.
WITH keyed_labels AS (
    SELECT
        json_keys(key) AS names,
        list_transform(
            json_keys(key),
            lambda name: json_extract(key, '/' || replace(replace(name, '~', '~0'), '/', '~1'))::VARCHAR
        ) AS parts,
        label, observed_at, recorded_at
    FROM {labels}
    WHERE key IS NOT NULL AND prediction_id IS NULL
),
name_sets AS (
    SELECT DISTINCT names FROM keyed_labels
),
keyed_predictions AS (
    SELECT
        predictions.*, names,
        list_transform(
            names,
            lambda name: json_extract(keys, '/' || replace(replace(name, '~', '~0'), '/', '~1'))::VARCHAR
        ) AS parts
    FROM {predictions} AS predictions
    CROSS JOIN name_sets
    WHERE keys IS NOT NULL
)
SELECT p.*, l.label, l.observed_at, l.recorded_at
FROM {predictions} AS p
JOIN {labels} AS l ON l.prediction_id = p.prediction_id
UNION ALL
SELECT p.* EXCLUDE (names, parts), l.label, l.observed_at, l.recorded_at
FROM keyed_predictions AS p
JOIN keyed_labels AS l ON l.names = p.names AND l.parts = p.parts
WHERE l.observed_at BETWEEN p."at" AND p."at" + $horizon

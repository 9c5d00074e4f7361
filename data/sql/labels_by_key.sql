-- Labels that found these predictions by a business key, said anew by the prediction's id: what stays of the label once
-- the key is gone.
--   matches  pairs of a prediction and a keyed label (label_matches.sql)
SELECT DISTINCT prediction_id, label, observed_at, recorded_at
FROM {matches}

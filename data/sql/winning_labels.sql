-- Of all labels of a prediction the one that holds: observed last, then recorded last, then the greater text.
--   matches  what label_matches.sql gives
SELECT
    prediction_id, version, role,
    unnest(
        arg_max(
            struct_pack(label := label, observed_at := observed_at, recorded_at := recorded_at),
            row(observed_at, recorded_at, label::VARCHAR)
        )
    )
FROM {matches}
GROUP BY prediction_id, version, role

-- What a shadow said against the answers to the same rows, of those that the shadow was asked about in a span.
--   said, given   the sealed and unsealed rows, once for the shadow and once for the answers
--   difference    of what they said, or NULL
--   $start, $end  when the shadow's were logged, half-open
--   $version      the shadow; $shadow and $answering are the roles
SELECT
    count(*) AS rows,
    avg((said.prediction = given.prediction)::INTEGER) AS agreement,
    avg({difference}) AS difference,
    avg(abs({difference})) AS distance
FROM {said} AS said
JOIN {given} AS given USING (prediction_id)
WHERE said.role = $shadow
  AND said.version = $version
  AND said.logged_at >= $start::TIMESTAMPTZ
  AND said.logged_at < $end::TIMESTAMPTZ
  AND list_contains($answering::VARCHAR[], given.role)
  AND said.status = 'ok'
  AND given.status = 'ok'

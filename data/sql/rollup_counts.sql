-- Roll-up rows of chosen buckets, added up by point.
--   points        tier, bucket, point: which buckets, and for which of the windows asked about
--   $files        files that may hold them
--   $parts, $roles, $version, $known_until   which rows; null for all versions, or for all that is known now
SELECT
    points.point, rollups.version, rollups.part, rollups.feature, rollups.bin, rollups.label,
    sum(rollups.n)::BIGINT AS n, sum(rollups.s) AS s, sum(rollups.s2) AS s2
FROM read_parquet($files, hive_partitioning = false) AS rollups
JOIN points USING (tier, bucket)
WHERE list_contains($parts, rollups.part)
  AND list_contains($roles, rollups.role)
  AND ($version IS NULL OR rollups.version = $version)
  AND ($known_until IS NULL OR rollups.recorded <= $known_until)
GROUP BY ALL

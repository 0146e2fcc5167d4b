-- Quota and the shared state of providers.

-- Today's row, made before the first reservation of the day; a statement of its own, so that
-- reserve sees it whoever made it.
-- name: quota_row
INSERT INTO api_quota (provider, day, daily_limit, reserve)
SELECT $1::text, backfill_provider_day($1::text, now()), $2::int, $3::int
WHERE NOT EXISTS (
	SELECT FROM api_quota WHERE provider = $1::text
		AND day = backfill_provider_day($1::text, now()))
ON CONFLICT (provider, day) DO NOTHING

-- Each of the wanted is granted whole or not at all, in order, while the room lasts. The months are
-- locked first, as in flush; one that somebody else has locked is busy and gets nothing yet. used is
-- NULL when today has no row yet: then nothing has happened.
-- name: reserve
WITH RECURSIVE given AS MATERIALIZED (
	SELECT t.year, t.month, t.fence, t.units::bigint AS units, t.ord
	FROM unnest($4::int[], $5::int[], $6::bigint[], $7::int[])
		WITH ORDINALITY AS t (year, month, fence, units, ord)
), months AS MATERIALIZED (
	SELECT b.id, b.year, b.month, b.fence FROM backfill_log b
	WHERE b.status = 'processing'
		AND (b.year, b.month, b.fence) IN (SELECT g.year, g.month, g.fence FROM given g
			WHERE g.fence > 0)
	ORDER BY b.year, b.month
	FOR UPDATE OF b SKIP LOCKED
), current AS MATERIALIZED (
	SELECT q.used FROM api_quota q, (SELECT count(*) FROM months) AS first
	WHERE q.provider = $1::text AND q.day = backfill_provider_day($1::text, now())
	FOR UPDATE OF q
), wanted AS MATERIALIZED (
	SELECT g.ord, g.units, m.id, g.year > 0 AND g.fence > 0 AND b.id IS NULL AS lost,
		b.id IS NOT NULL AND m.id IS NULL AS busy
	FROM given g LEFT JOIN months m ON m.year = g.year AND m.month = g.month
		AND m.fence = g.fence
	LEFT JOIN backfill_log b ON b.year = g.year AND b.month = g.month AND b.fence = g.fence
		AND b.status = 'processing' AND g.fence > 0
), granted AS (
	SELECT 0::bigint AS ord, 0::bigint AS units, (SELECT used FROM current) AS used
	UNION ALL
	SELECT w.ord, n.units, g.used + n.units
	FROM granted g JOIN wanted w ON w.ord = g.ord + 1, LATERAL (
		SELECT CASE WHEN w.lost OR w.busy OR ($2::int > 0 AND g.used + w.units > $2::int - $3::int)
			THEN 0::bigint
			ELSE w.units END AS units) AS n
), raised AS (
	UPDATE api_quota q
	SET used = q.used + t.n, leased = q.leased + t.n, daily_limit = $2::int, reserve = $3::int
	FROM (SELECT sum(units)::bigint AS n FROM granted) AS t, current
	WHERE q.provider = $1::text AND q.day = backfill_provider_day($1::text, now())
	RETURNING q.used
), counted AS (
	UPDATE backfill_log b
	SET gemini_calls = coalesce(b.gemini_calls, 0) + CASE $1::text WHEN 'gemini' THEN s.n ELSE 0
			END,
		xai_calls = coalesce(b.xai_calls, 0) + CASE $1::text WHEN 'xai' THEN s.n ELSE 0 END,
		isbndb_calls = coalesce(b.isbndb_calls, 0) + CASE $1::text WHEN 'isbndb' THEN s.n
			ELSE 0 END
	FROM (
		SELECT w.id, sum(g.units)::bigint AS n FROM granted g JOIN wanted w ON w.ord = g.ord
		WHERE w.id IS NOT NULL GROUP BY w.id
	) AS s, current
	WHERE b.id = s.id AND s.n > 0 AND $1::text IN ('gemini', 'xai', 'isbndb')
	RETURNING 1
)
SELECT w.ord - 1 AS index, g.units AS granted, w.lost, w.busy, (SELECT used FROM raised) AS used,
	backfill_time(backfill_provider_reset($1::text, now())) AS reset_at,
	ceil(extract(epoch FROM backfill_provider_reset($1::text, now())
		- now()) * 1000)::bigint AS reset_in_ms
FROM granted g JOIN wanted w ON w.ord = g.ord
ORDER BY w.ord

-- name: quota_used
SELECT coalesce((SELECT used FROM api_quota
	WHERE provider = $1::text AND day = backfill_provider_day($1::text, now())), 0) AS count

-- Another instance's longer closure stays as it is; a quota's lasts until the provider's midnight. A
-- circuit that fails its probe has been open since it first opened.
-- name: close_provider
INSERT INTO provider_state AS p (provider, kind, closed_until, reason, failures, updated_by,
	circuit_since)
SELECT $1::text, $2::text, CASE WHEN $2::text = 'quota' AND $3::bigint = 0
		THEN backfill_provider_reset($1::text, now()) ELSE now()
			+ $3::bigint * interval '1 ms' END,
	$5::text, $4::int, $6::text, CASE WHEN $2::text = 'circuit' THEN now() END
ON CONFLICT (provider) DO UPDATE
SET kind = CASE WHEN p.closed_until > excluded.closed_until THEN p.kind ELSE excluded.kind END,
	reason = CASE WHEN p.closed_until > excluded.closed_until THEN p.reason ELSE excluded.reason
		END,
	failures = CASE WHEN p.closed_until > now() THEN greatest(p.failures, excluded.failures)
		ELSE excluded.failures END,
	closed_until = greatest(p.closed_until, excluded.closed_until),
	circuit_since = CASE WHEN excluded.kind <> 'circuit' AND p.closed_until > excluded.closed_until
			THEN p.circuit_since
		WHEN p.kind = 'circuit' AND p.closed_until > now() - interval '15 minutes'
			AND excluded.kind = 'circuit'
			THEN coalesce(p.circuit_since, now())
		ELSE excluded.circuit_since END,
	probe_until = NULL, updated_at = now(), updated_by = excluded.updated_by
RETURNING 'done' AS outcome

-- name: open_provider
INSERT INTO provider_state (provider, updated_by) VALUES ($1::text, $2::text)
ON CONFLICT (provider) DO UPDATE
SET kind = 'none', closed_until = NULL, reason = NULL, failures = 0, probe_until = NULL,
	circuit_since = NULL, updated_at = now(), updated_by = excluded.updated_by
RETURNING 'done' AS outcome

-- One instance at a time may ask a provider that was closed. A second of grace: closures were
-- counted down by the instances' own clocks.
-- name: probe_provider
WITH taken AS (
	INSERT INTO provider_state AS p (provider, probe_until, updated_by)
	VALUES ($1::text, now() + $2::bigint * interval '1 ms', $3::text)
	ON CONFLICT (provider) DO UPDATE
	SET probe_until = excluded.probe_until, updated_at = now(), updated_by = excluded.updated_by
	WHERE (p.probe_until IS NULL OR p.probe_until <= now())
		AND (p.closed_until IS NULL OR p.closed_until <= now() + interval '1 s')
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 'done' ELSE 'refused' END AS outcome

-- Why a month is where it is, and what months have cost of late.

-- One row, whether the month is seeded or not. ahead: months that the timer picks before this one.
-- name: why
WITH held AS MATERIALIZED (
	SELECT classid::bigint AS class, objid::bigint AS key FROM pg_locks
	WHERE locktype = 'advisory' AND classid IN (1112949069, 1112949070) AND objsubid = 2
		AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT b.id IS NOT NULL AS seeded, coalesce(b.status, 'pending') AS status,
	CASE b.status WHEN 'processing' THEN coalesce(b.stage, 'claimed') ELSE b.stage END AS stage,
	b.owner, b.job_id IS NULL AS older, coalesce(b.retry_count, 0) AS retry_count,
	b.error_message, backfill_time(b.started_at) AS started_at,
	backfill_time(b.progressed_at) AS progressed_at,
	(extract(epoch FROM now() - coalesce(b.progressed_at, b.started_at,
		b.created_at)) * 1000)::bigint AS idle_ms,
	backfill_time(b.completed_at) AS completed_at,
	CASE WHEN b.next_attempt_at > now() THEN backfill_time(b.next_attempt_at
		+ interval '999 ms') END AS next_attempt_at,
	greatest(0, ceil(extract(epoch FROM b.next_attempt_at - now()) * 1000))::bigint AS wait_ms,
	EXISTS (SELECT FROM held WHERE class = 1112949069
		AND key = $1::int * 12 + $2::int - 1) AS held,
	EXISTS (SELECT FROM held WHERE class = 1112949070 AND key = b.owner_id) AS owner_lives,
	p.one IS NOT NULL AS paused, p.note, backfill_time(p.until) AS paused_until,
	ceil(extract(epoch FROM p.until - now()) * 1000)::bigint AS paused_ms,
	(SELECT count(*) FROM backfill_log o
		WHERE o.year BETWEEN $3::int AND $4::int AND (o.year, o.month) > ($1::int, $2::int)
			AND o.status = 'pending') AS ahead,
	(SELECT count(*) FROM backfill_log o WHERE o.status = 'processing') AS in_flight,
	(extract(epoch FROM now()) * 1000000)::bigint AS db_wall_us
FROM (VALUES (1)) AS one (x)
LEFT JOIN backfill_log b ON b.year = $1::int AND b.month = $2::int
LEFT JOIN backfill_control p ON p.paused AND (p.until IS NULL OR p.until > now())

-- What the last 30 days' completed months have cost, the enrichment of their books with them: all that
-- was spent, over the months that completed. The time is a month's own, from its last claim to its end.
-- name: plan_figures
WITH
-- use: plan_months
SELECT
-- use: plan_columns
FROM spent m
-- use: plan_rows
ORDER BY p.ord

-- part: plan_months
spent AS MATERIALIZED (
	SELECT count(*) AS n, min(completed_at) AS since, avg(batch_size) AS batch_size,
		avg(extract(epoch FROM completed_at - started_at)) AS seconds
	FROM backfill_log
	WHERE status = 'completed' AND completed_at > now() - interval '30 days' AND fence > 0
)

-- part: plan_columns
m.n AS months, backfill_time(m.since) AS since, m.seconds, m.batch_size, p.provider,
coalesce(u.calls, 0) AS calls, coalesce(u.units, 0) AS units, coalesce(u.cost, 0) AS cost,
coalesce(q.used, 0) AS used,
extract(epoch FROM backfill_provider_reset(p.provider, now()) - now())::bigint AS reset_in_s

-- $1: the providers, in order.
-- part: plan_rows
CROSS JOIN unnest($1::text[]) WITH ORDINALITY AS p (provider, ord)
LEFT JOIN LATERAL (
	SELECT sum(calls) AS calls, sum(units) AS units, sum(cost_usd) AS cost FROM api_usage
	WHERE provider = p.provider AND day >= (now() - interval '30 days')::date) AS u ON true
LEFT JOIN api_quota q ON q.provider = p.provider AND q.day = backfill_provider_day(p.provider, now())

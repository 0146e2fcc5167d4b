-- Everything a page needs, of one moment.

-- One row per provider ($1 their names, $2 and $3 what they may use in a day and the reserve of it); what
-- there is once stands in the first row. $4 is the asking instance, $5 and $6 are the timer's years. A month
-- is in flight when its lock is held by the session that holds a living instance's lock. Of instances that
-- are gone only those show that left a month behind, and the last few of a day.
-- name: overview
WITH held AS MATERIALIZED (
	SELECT classid::bigint AS class, objid::bigint AS key, pid FROM pg_locks
	WHERE locktype = 'advisory' AND classid IN (1112949069, 1112949070) AND objsubid = 2
		AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), busy AS MATERIALIZED (
	SELECT b.year, b.month, coalesce(b.stage, 'claimed') AS stage, b.job_id IS NULL AS older,
		b.owner_id, i.key AS holder
	FROM backfill_log b
	LEFT JOIN held m ON m.class = 1112949069 AND m.key = b.year * 12 + b.month - 1
	LEFT JOIN held i ON i.class = 1112949070 AND i.pid = m.pid
	WHERE b.status = 'processing'
),
-- use: plan_months
,
-- use: quota_lines
, queue AS MATERIALIZED (
	-- use: queue_figures
), whole AS MATERIALIZED (
	SELECT json_build_object(
			-- use: stats_fields
			'enrichment', (SELECT line FROM queue)) AS stats,
		count(*) AS total, count(*) FILTER (WHERE status = 'pending') AS pending,
		count(*) FILTER (WHERE status = 'pending'
			AND year BETWEEN $5::int AND $6::int) AS pending_within,
		count(*) FILTER (WHERE status = 'processing') AS processing,
		count(*) FILTER (WHERE status = 'completed') AS completed,
		count(*) FILTER (WHERE status = 'failed') AS failed,
		count(*) FILTER (WHERE status = 'retry') AS retry,
		count(*) FILTER (WHERE status = 'retry'
			AND coalesce(next_attempt_at, now()) <= now()) AS retries_due,
		extract(epoch FROM min(next_attempt_at) FILTER (WHERE status = 'retry'
			AND next_attempt_at > now())) * 1000000 AS retry_first_us,
		extract(epoch FROM max(next_attempt_at) FILTER (WHERE status = 'retry'
			AND next_attempt_at > now())) * 1000000 AS retry_last_us,
		sum(cost_usd) AS cost_usd,
		avg(batch_size) FILTER (WHERE status IN ('pending', 'retry', 'processing'))
			AS left_batch_size,
		json_agg(json_build_array(year, month, status, CASE status WHEN 'processing'
				THEN coalesce(stage, 'claimed') ELSE stage END,
			coalesce(books_generated, 0), coalesce(isbns_resolved, 0), resolution_rate,
			trim_scale(cost_usd), retry_count,
			round(100.0 * books_agreed / nullif(books_generated, 0), 1),
			floor(extract(epoch FROM greatest(completed_at, progressed_at, last_retry_at,
				started_at))), prompt_variant)
			ORDER BY year DESC, month DESC) AS rows
	FROM backfill_log
), instances AS MATERIALIZED (
	SELECT json_agg(json_build_object('id', i.id, 'instance', i.instance, 'host', i.host,
		'pid', i.pid, 'version', i.version, 'since', backfill_time(i.started_at), 'alive',
		i.alive, 'self', i.id = $4::int, 'months', (
			SELECT coalesce(json_agg(json_build_object('year', b.year, 'month', b.month,
				'stage', b.stage) ORDER BY b.year DESC, b.month DESC), '[]')
			FROM busy b WHERE coalesce(b.holder, b.owner_id) = i.id), 'items', (
			SELECT count(*) FROM enrichment_queue q
			WHERE q.queued_by = 'backfilld' AND q.status = 'processing'
				AND q.entity_type IN ('edition', 'work') AND q.owner_id = i.id))
		ORDER BY i.alive DESC, i.id DESC) AS list
	FROM (
		SELECT x.*, x.id IN (SELECT key FROM held WHERE class = 1112949070) AS alive
		FROM backfill_instances x
		WHERE x.id IN (SELECT key FROM held WHERE class = 1112949070
			UNION SELECT owner_id FROM busy
			UNION (SELECT id FROM backfill_instances
				WHERE started_at > now() - interval '1 day'
				ORDER BY id DESC LIMIT 8))
		LIMIT 100) AS i
), alerts AS MATERIALIZED (
	SELECT json_agg(json_build_object(
		-- use: alert_fields
		) ORDER BY a.id DESC) AS list
	FROM (
		SELECT * FROM backfill_alerts WHERE cleared_at IS NULL ORDER BY id DESC
		LIMIT 100) AS a
), pause AS MATERIALIZED (
	SELECT json_build_object('note', coalesce(note, ''), 'since', backfill_time(updated_at),
			'until', backfill_time(until)) AS line, coalesce(note, '') AS note,
		(extract(epoch FROM until) * 1000000)::bigint AS until_us
	FROM backfill_control WHERE paused AND (until IS NULL OR until > now())
), once AS MATERIALIZED (
	SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now,
		(extract(epoch FROM now()) * 1000000)::bigint AS db_wall_us,
		greatest((SELECT events_pruned FROM backfill_control),
			(SELECT max(id) FROM backfill_events), 0) AS last_event,
		f.*, f.retry_first_us::bigint AS first_retry_us, f.retry_last_us::bigint AS last_retry_us,
		(SELECT line FROM queue) AS queue, (SELECT list FROM instances) AS instances,
		(SELECT list FROM alerts) AS alerts, p.line AS paused, p.note AS pause_note,
		p.until_us AS pause_until_us,
		(SELECT count(*) FROM held WHERE class = 1112949070) AS live,
		(SELECT count(holder) FROM busy) AS in_flight,
		(SELECT count(DISTINCT holder) FROM busy) AS holders,
		(SELECT count(*) FROM busy WHERE holder IS NULL AND NOT older) AS left_behind,
		(SELECT count(*) FROM busy WHERE holder IS NULL AND older) AS older,
		(SELECT left(error_message, 200) FROM backfill_log
			WHERE status = 'retry' AND next_attempt_at > now()
			ORDER BY next_attempt_at LIMIT 1) AS retry_reason
	FROM whole f LEFT JOIN pause p ON true
)
SELECT
-- use: plan_columns
	, json_build_object(
		-- use: quota_fields
	) AS quota,
	json_build_object('requests', coalesce(d.calls, 0), 'errors', coalesce(d.errors, 0), 'units',
		coalesce(d.units, 0), 'tokens_in', coalesce(d.tokens_in, 0), 'tokens_out',
		coalesce(d.tokens_out, 0), 'cost_usd', trim_scale(coalesce(d.cost, 0))) AS today,
	once.*
FROM spent m
-- use: plan_rows
JOIN lines o ON o.provider = p.provider
LEFT JOIN LATERAL (
	SELECT sum(calls) AS calls, sum(errors) AS errors, sum(units) AS units,
		sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost
	FROM api_usage
	WHERE provider = p.provider AND day = backfill_provider_day(p.provider, now())) AS d ON true
LEFT JOIN once ON p.ord = 1
ORDER BY p.ord

-- Alerts: the facts they are made of, who raised and cleared them, and what the webhook is told.

-- What only this instance knows is written into its row, and read of all that live. Months of the
-- pool are those completed last; lists are short, for they end in a sentence, and counting stops where
-- it decides nothing more.
-- name: alert_facts
WITH live AS MATERIALIZED (
	SELECT objid::bigint AS id FROM pg_locks
	WHERE locktype = 'advisory' AND classid = 1112949070 AND objsubid = 2 AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), told AS (
	UPDATE backfill_instances SET facts = $2::jsonb, facts_at = now()
	WHERE id = $1::int AND facts IS DISTINCT FROM $2::jsonb
	RETURNING 1
), known AS MATERIALIZED (
	SELECT i.instance, CASE i.id WHEN $1::int THEN $2::jsonb ELSE i.facts END AS facts
	FROM backfill_instances i WHERE i.id IN (SELECT id FROM live)
), pool AS MATERIALIZED (
	SELECT year, month, coalesce(isbns_resolved, 0) AS found, books_generated AS books
	FROM backfill_log
	WHERE status = 'completed' AND completed_at IS NOT NULL AND books_generated > 0
	ORDER BY completed_at DESC, year DESC, month DESC
	LIMIT $3::int
), tried AS MATERIALIZED (
	SELECT year, month, retry_count, status, error_message FROM backfill_log
	WHERE status <> 'completed' AND retry_count >= $5::int
		AND error_message IS DISTINCT FROM 'cancelled'
), failed AS MATERIALIZED (
	SELECT year, month, coalesce(retry_count, 0) AS retry_count,
		coalesce(nullif(error_message, ''), 'no reason kept') AS reason
	FROM backfill_log WHERE status = 'failed'
), bad AS MATERIALIZED (
	SELECT coalesce(nullif(q.error_message, ''), 'no reason kept') AS reason FROM (
		SELECT error_message, completed_at FROM enrichment_queue
		WHERE queued_by = 'backfilld' AND status = 'failed'
		ORDER BY created_at DESC, id DESC
		LIMIT 5000) AS q
	WHERE q.completed_at > now() - interval '1 day'
)
SELECT 'pool' AS kind, sum(found)::bigint AS a, sum(books)::bigint AS b, count(*) AS c,
	(SELECT count(*) FROM told) AS d, NULL::text AS s, NULL::text AS t
FROM pool
UNION ALL
SELECT 'low', * FROM (SELECT year, month, found, books, NULL, NULL FROM pool
	ORDER BY found::float8 / books, year DESC, month DESC LIMIT 5) AS x
UNION ALL
SELECT 'failed', count(*), count(*) FILTER (WHERE retry_count < 5), NULL, NULL, NULL, NULL FROM failed
UNION ALL
SELECT 'failed_reason', * FROM (SELECT count(*), NULL::bigint, NULL::bigint, NULL::bigint, reason, NULL
	FROM failed GROUP BY reason ORDER BY 1 DESC, reason LIMIT 1) AS x
UNION ALL
SELECT 'spent', * FROM (SELECT year, month, NULL::bigint, NULL::bigint, NULL, NULL FROM failed
	WHERE retry_count >= 5 ORDER BY year DESC, month DESC LIMIT 1) AS x
UNION ALL
SELECT 'tried', count(*), count(*) FILTER (WHERE status = 'failed'), NULL, NULL, NULL, NULL FROM tried
UNION ALL
SELECT 'tried_month', * FROM (SELECT year, month, retry_count, (status = 'failed')::int,
		coalesce(nullif(error_message, ''), 'no reason kept'), NULL
	FROM tried ORDER BY retry_count DESC, year DESC, month DESC LIMIT 5) AS x
UNION ALL
SELECT 'stuck', b.year, b.month, b.fence, extract(epoch FROM now() - b.moved)::bigint,
	coalesce(b.owner, 'nobody'), CASE WHEN b.stuck THEN 'stuck' END
FROM (
	SELECT year, month, fence, owner, job_id, m AS moved,
		m <= now() - $4::bigint * interval '1 ms' AS stuck
	FROM backfill_log, LATERAL (
		SELECT coalesce(progressed_at, started_at, created_at) AS m) AS at
	WHERE status = 'processing') AS b
WHERE b.stuck OR (b.job_id IS NOT NULL AND NOT EXISTS (
	SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1112949069 AND objsubid = 2
		AND granted AND objid::bigint = b.year * 12 + b.month - 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
UNION ALL
SELECT 'items', (SELECT count(*) FROM bad), (SELECT count(*) FROM (
		SELECT FROM enrichment_queue
		WHERE queued_by = 'backfilld' AND status = 'completed'
			AND completed_at > now() - interval '1 day'
		LIMIT 10001) AS q), NULL, NULL, NULL, NULL
UNION ALL
SELECT 'items_reason', * FROM (SELECT count(*), NULL::bigint, NULL::bigint, NULL::bigint, reason, NULL
	FROM bad GROUP BY reason ORDER BY 1 DESC, reason LIMIT 1) AS x
UNION ALL
SELECT 'quota', used, NULL, NULL, NULL, provider,
	backfill_time(backfill_provider_reset(provider, now()))
FROM api_quota
WHERE day >= (now() - interval '1 day')::date AND day = backfill_provider_day(provider, now())
UNION ALL
-- One that nobody has asked for a quarter of an hour after its time was over counts as mended.
SELECT 'circuit', greatest(0, extract(epoch FROM now() - coalesce(circuit_since, updated_at)))::bigint,
	NULL, NULL, NULL, provider, coalesce(reason, 'no reason kept')
FROM provider_state
WHERE kind = 'circuit' AND closed_until > now() - interval '15 minutes'
UNION ALL
SELECT 'live', count(*), count(*) FILTER (WHERE facts ->> 'ai' = 'false'), NULL, NULL, NULL, NULL
FROM known WHERE facts IS NOT NULL
UNION ALL
SELECT 'no_ai', * FROM (SELECT NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
		facts ->> 'why', NULL
	FROM known WHERE facts ->> 'ai' = 'false' ORDER BY instance LIMIT 1) AS x
UNION ALL
SELECT 'off', count(*), NULL, NULL, NULL, o.key,
	format('%s: %s', string_agg(k.instance, ', ' ORDER BY k.instance), min(o.value))
FROM known k, jsonb_each_text(k.facts -> 'off') AS o
GROUP BY o.key

-- What an instance knows, by those that do not evaluate.
-- name: alert_tell
UPDATE backfill_instances SET facts = $2::jsonb, facts_at = now()
WHERE id = $1::int AND facts IS DISTINCT FROM $2::jsonb
RETURNING 1

-- What is true now, against what is open. Who raises is decided by the unique index; who clears, by
-- the row's lock: the second one finds it cleared. Two evaluations that meet count one miss.
-- name: alert_merge
WITH given AS MATERIALIZED (
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
		AS t (key, subject, severity, summary, action)
), kept AS (
	UPDATE backfill_alerts a
	SET severity = g.severity, summary = g.summary, action = g.action, misses = 0,
		missed_at = NULL, updated_at = now(),
		escalated = a.escalated OR (a.severity = 'warning' AND g.severity = 'critical')
	FROM given g
	WHERE a.key = g.key AND a.subject = g.subject AND a.cleared_at IS NULL
	RETURNING a.*
), raised AS (
	INSERT INTO backfill_alerts (key, subject, severity, summary, action, instance, escalated)
	SELECT g.key, g.subject, g.severity, g.summary, g.action, $6::text, g.severity = 'critical'
	FROM given g
	WHERE NOT EXISTS (SELECT FROM backfill_alerts a WHERE a.key = g.key
		AND a.subject = g.subject AND a.cleared_at IS NULL)
	ON CONFLICT (key, subject) WHERE cleared_at IS NULL DO NOTHING
	RETURNING *
), missed AS (
	UPDATE backfill_alerts a
	SET misses = a.misses + 1, missed_at = now(),
		cleared_at = CASE WHEN a.misses >= 1 THEN now() END,
		updated_at = CASE WHEN a.misses >= 1 THEN now() ELSE a.updated_at END
	WHERE a.cleared_at IS NULL
		AND (a.missed_at IS NULL OR a.missed_at < now() - interval '4 seconds')
		AND NOT EXISTS (SELECT FROM given g WHERE g.key = a.key AND g.subject = a.subject)
	RETURNING a.*
), events AS MATERIALIZED (
	SELECT 'raise' AS event, r.* FROM raised r
	UNION ALL
	SELECT 'escalate', k.* FROM kept k JOIN backfill_alerts was ON was.id = k.id
	WHERE k.escalated AND NOT was.escalated
	UNION ALL
	SELECT 'clear', m.* FROM missed m WHERE m.cleared_at IS NOT NULL
), told AS (
	INSERT INTO backfill_alert_deliveries (alert_id, event, alert, instance)
	SELECT id, event, jsonb_build_object('id', id, 'key', key, 'subject', subject, 'severity',
		severity, 'summary', summary, 'action', action, 'raised_at',
		backfill_time(raised_at), 'cleared_at', backfill_time(cleared_at)), $6::text
	FROM events
	WHERE $7::bool AND (event = 'raise' OR EXISTS (
		SELECT FROM backfill_alert_deliveries d WHERE d.alert_id = events.id))
	ON CONFLICT (alert_id, event) DO NOTHING
	RETURNING 1
)
SELECT event, id, key, subject, severity, summary, action, (SELECT count(*) FROM told) AS told
FROM events
ORDER BY id, event

-- name: alert_open
SELECT key, severity, count(*) AS n FROM backfill_alerts WHERE cleared_at IS NULL
GROUP BY key, severity ORDER BY key, severity

-- part: alert_fields
'id', a.id, 'key', a.key, 'subject', a.subject,
'severity', a.severity, 'summary', a.summary, 'action', a.action, 'raised_at',
backfill_time(a.raised_at), 'cleared_at', backfill_time(a.cleared_at),
'updated_at', backfill_time(a.updated_at), 'instance', a.instance, 'delivered', (
	SELECT bool_and(d.delivered_at IS NOT NULL)
	FROM backfill_alert_deliveries d WHERE d.alert_id = a.id)

-- Open ones first, the newest first; then those cleared in the last seven days.
-- name: alerts_json
SELECT json_build_object('alerts', coalesce((
	SELECT json_agg(json_build_object(
		-- use: alert_fields
		)
		ORDER BY a.cleared_at IS NOT NULL, a.cleared_at DESC, a.id DESC)
	FROM (
		SELECT * FROM backfill_alerts
		WHERE cleared_at IS NULL OR cleared_at > now() - interval '7 days'
		ORDER BY cleared_at IS NOT NULL, cleared_at DESC, id DESC
		LIMIT $1::int) AS a), '[]')) AS json

-- Of each alert only the event that is next in order. What was claimed by an instance that is gone
-- comes back when its lease is over.
-- name: deliveries_claim
WITH due AS MATERIALIZED (
	SELECT d.id FROM backfill_alert_deliveries d
	WHERE d.delivered_at IS NULL AND d.given_up_at IS NULL AND d.next_try_at <= now()
		AND (d.claimed_until IS NULL OR d.claimed_until <= now())
		AND NOT EXISTS (
			SELECT FROM backfill_alert_deliveries b
			WHERE b.alert_id = d.alert_id AND b.id < d.id AND b.delivered_at IS NULL
				AND b.given_up_at IS NULL)
	ORDER BY d.id
	LIMIT $2::int
	FOR UPDATE OF d SKIP LOCKED
), taken AS (
	UPDATE backfill_alert_deliveries d
	SET claimed_by = $1::int, claimed_until = now() + $3::bigint * interval '1 ms',
		tries = d.tries + 1
	FROM due
	WHERE d.id = due.id
	RETURNING d.*
), rest AS MATERIALIZED (
	SELECT min(ceil(extract(epoch FROM greatest(d.next_try_at, d.claimed_until)
		- now()) * 1000))::bigint AS ms
	FROM backfill_alert_deliveries d
	WHERE d.delivered_at IS NULL AND d.given_up_at IS NULL
		AND NOT EXISTS (SELECT FROM due WHERE due.id = d.id)
		AND NOT EXISTS (
			SELECT FROM backfill_alert_deliveries b
			WHERE b.alert_id = d.alert_id AND b.id < d.id AND b.delivered_at IS NULL
				AND b.given_up_at IS NULL)
)
SELECT t.id, t.event, t.alert::text AS alert, t.instance, backfill_time(t.at) AS at, t.tries,
	extract(epoch FROM now())::bigint AS now_s, r.ms AS next_ms
FROM rest r LEFT JOIN taken t ON true
ORDER BY t.id

-- $3 NULL: it was taken. Else why not; after a day nobody tries any more.
-- name: delivery_end
UPDATE backfill_alert_deliveries
SET delivered_at = CASE WHEN $3::text IS NULL THEN now() END,
	given_up_at = CASE WHEN $3::text IS NOT NULL AND at < now() - interval '1 day' THEN now() END,
	next_try_at = CASE WHEN $3::text IS NULL THEN next_try_at
		ELSE now() + $4::bigint * interval '1 ms' END,
	error = $3::text, claimed_by = NULL, claimed_until = NULL
WHERE id = $1::bigint AND delivered_at IS NULL AND (claimed_by = $2::int OR $3::text IS NULL)
RETURNING CASE WHEN given_up_at IS NULL THEN 'done' ELSE 'refused' END AS outcome

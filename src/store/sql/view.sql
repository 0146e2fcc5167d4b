-- Views: JSON as it goes out, made where the rows are.

-- Of all rows of backfill_log.
-- part: stats_fields
'total_months', count(*),
'by_status', json_build_object(
	'pending', count(*) FILTER (WHERE status = 'pending'),
	'processing', count(*) FILTER (WHERE status = 'processing'),
	'completed', count(*) FILTER (WHERE status = 'completed'),
	'failed', count(*) FILTER (WHERE status = 'failed'),
	'retry', count(*) FILTER (WHERE status = 'retry')),
'progress', json_build_object(
	'total_books_generated', coalesce(sum(books_generated), 0),
	'total_isbns_resolved', coalesce(sum(isbns_resolved), 0),
	'overall_resolution_rate',
		coalesce(round(100.0 * sum(isbns_resolved) / nullif(sum(books_generated),
			0), 2), 0.0),
	'total_isbns_queued', coalesce(sum(isbns_queued), 0)),

-- Counting stops at 100000.
-- part: queue_figures
SELECT json_build_object('pending', q.pending, 'waiting', q.waiting, 'processing',
	q.processing, 'completed', q.completed, 'failed', q.failed, 'oldest_age_s',
	q.oldest_age_s, 'completed_24h', q.completed_24h) AS line
FROM (
	SELECT (SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'pending'
				AND queued_by = 'backfilld'
			LIMIT 100000) AS n) AS pending,
		(SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'pending'
				AND queued_by = 'backfilld'
				AND next_attempt_at > now()
			LIMIT 100000) AS n) AS waiting,
		(SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'processing'
				AND queued_by = 'backfilld'
			LIMIT 100000) AS n) AS processing,
		(SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'completed'
				AND queued_by = 'backfilld'
			LIMIT 100000) AS n) AS completed,
		(SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'failed'
				AND queued_by = 'backfilld'
			LIMIT 100000) AS n) AS failed,
		coalesce((SELECT extract(epoch FROM now() - created_at)::bigint
			FROM enrichment_queue WHERE status = 'pending'
				AND queued_by = 'backfilld'
			ORDER BY created_at
			LIMIT 1), 0) AS oldest_age_s,
		(SELECT count(*) FROM (
			SELECT FROM enrichment_queue WHERE status = 'completed'
				AND queued_by = 'backfilld'
				AND completed_at > now() - interval '1 day'
			LIMIT 100000) AS n) AS completed_24h) AS q

-- name: stats_json
SELECT json_build_object(
	-- use: stats_fields
	'recent_activity', coalesce((
		SELECT json_agg(r.line) FROM (
			SELECT CASE WHEN error_message IS NULL THEN json_build_object(
					'year', year, 'month', month, 'status', status,
					'books_generated', coalesce(books_generated, 0),
					'isbns_resolved', coalesce(isbns_resolved, 0),
						'resolution_rate', resolution_rate)
				ELSE json_build_object(
					'year', year, 'month', month, 'status', status,
					'books_generated', coalesce(books_generated, 0),
					'isbns_resolved', coalesce(isbns_resolved, 0),
					'resolution_rate', resolution_rate,
					'error_message', error_message) END AS line
			FROM backfill_log WHERE completed_at IS NOT NULL
			ORDER BY completed_at DESC, year DESC, month DESC
			LIMIT 20) AS r), '[]'),
	'enrichment', (
		-- use: queue_figures
	)) AS json
FROM backfill_log

-- name: months_json
SELECT json_build_object('months', coalesce(json_agg(json_build_object(
	'year', year, 'month', month, 'status', status, 'stage', CASE status WHEN 'processing'
		THEN coalesce(stage, 'claimed') ELSE stage END,
	'books_generated', coalesce(books_generated, 0), 'isbns_resolved',
	coalesce(isbns_resolved, 0), 'resolution_rate', resolution_rate, 'isbns_queued',
	coalesce(isbns_queued, 0), 'retry_count', retry_count, 'error_message', error_message,
	'gemini_calls', coalesce(gemini_calls, 0), 'xai_calls', coalesce(xai_calls, 0),
	'isbndb_calls', coalesce(isbndb_calls, 0), 'free_calls', free_calls, 'cost_usd', cost_usd,
	'books_agreed', books_agreed, 'prompt_variant', prompt_variant, 'batch_size', batch_size,
	'job_id', job_id, 'owner', owner, 'started_at', backfill_time(started_at),
	'completed_at', backfill_time(completed_at), 'next_attempt_at',
		backfill_time(next_attempt_at))
	ORDER BY year DESC, month DESC), '[]')) AS json
FROM backfill_log

-- name: month_json
SELECT json_build_object(
	'year', b.year, 'month', b.month, 'status', b.status, 'stage', CASE b.status
		WHEN 'processing'
		THEN coalesce(b.stage, 'claimed') ELSE b.stage END,
	'books_generated', coalesce(b.books_generated, 0), 'isbns_resolved',
	coalesce(b.isbns_resolved, 0), 'resolution_rate', b.resolution_rate, 'isbns_queued',
	coalesce(b.isbns_queued, 0), 'already_enriched', b.already_enriched, 'synthetic_works',
	b.synthetic_works, 'books_agreed', b.books_agreed, 'retry_count', b.retry_count, 'round',
	b.round, 'error_message', b.error_message, 'gemini_calls', coalesce(b.gemini_calls, 0), 'xai_calls',
	coalesce(b.xai_calls, 0), 'isbndb_calls', coalesce(b.isbndb_calls, 0), 'free_calls',
	b.free_calls, 'cost_usd', b.cost_usd, 'prompt_variant', b.prompt_variant, 'batch_size',
	b.batch_size, 'job_id', b.job_id, 'fence', b.fence, 'owner', b.owner, 'started_at',
	backfill_time(b.started_at), 'completed_at', backfill_time(b.completed_at), 'last_retry_at',
	backfill_time(b.last_retry_at), 'next_attempt_at', backfill_time(b.next_attempt_at),
	'progressed_at', backfill_time(b.progressed_at),
	'answers', coalesce((
		SELECT json_agg(json_build_object('provider', a.provider, 'round', a.round,
			'variant', a.variant,
			'model', a.model, 'outcome', a.outcome, 'reason', a.reason, 'tokens_in',
			a.tokens_in, 'tokens_out', a.tokens_out, 'cost_usd', a.cost_usd,
			'latency_ms', a.latency_ms,
			'at', backfill_time(a.created_at)) ORDER BY a.round, a.provider)
		FROM backfill_answers a WHERE a.year = b.year AND a.month = b.month), '[]'),
	'candidates', coalesce((
		SELECT json_agg(json_build_object('id', c.id, 'title', c.title, 'subtitle',
			c.subtitle, 'author', c.author, 'publisher', c.publisher, 'format',
			c.format, 'language', c.language, 'publication_year', c.publication_year,
			'year_differs', c.year_differs, 'significance', c.significance,
			'generated_by', c.generated_by, 'state', c.state, 'isbn13', c.isbn13,
			'confidence', c.confidence, 'resolved_by', c.resolved_by, 'work_key',
			c.work_key, 'answers', c.answers, 'merged', c.state = 'merged',
			'merged_into', c.merged_into) ORDER BY c.ord)
		FROM backfill_candidates c WHERE c.year = b.year AND c.month = b.month), '[]'),
	'transitions', coalesce((
		SELECT json_agg(json_build_object('id', e.id, 'at', to_char(e.at AT TIME ZONE 'UTC',
			'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'fence', e.fence, 'step', e.step,
				'instance', e.instance,
			'job_id', e.job_id, 'from', e.from_stage, 'to', e.to_stage, 'event',
				e.event, 'detail', e.detail)
			ORDER BY e.id)
		FROM backfill_events e WHERE e.year = b.year AND e.month = b.month), '[]')) AS json
FROM backfill_log b
WHERE b.year = $1::int AND b.month = $2::int

-- The month's row speaks for a job as long as it is the month's job; afterwards what was kept at
-- its end.
-- name: job_json
SELECT json_build_object(
	'job_id', j.job_id, 'year', j.year, 'month', j.month, 'status', v.status,
	'progress', CASE
		WHEN b.id IS NULL THEN j.progress
		WHEN v.stage = 'claimed' THEN 'waiting for a free slot'
		WHEN v.stage = 'generating' THEN 'asking the AI providers for books'
		WHEN v.stage = 'saving' THEN 'storing the books'
		WHEN v.stage = 'resolving'
			THEN format('resolving ISBNs: %s of %s books done', c.done, c.n)
		WHEN v.stage = 'queueing' THEN 'queueing ISBNs for enrichment'
		WHEN b.status = 'completed'
			THEN format('%s books, %s with an ISBN, %s queued for enrichment',
			b.books_generated, b.isbns_resolved, b.isbns_queued)
		WHEN b.status = 'retry' THEN format('waiting for attempt %s', b.retry_count + 1)
		ELSE j.progress END,
	'stats', CASE WHEN b.id IS NULL THEN coalesce(j.stats, v.stats) ELSE v.stats END,
	'error', CASE WHEN b.id IS NULL THEN j.error ELSE b.error_message END,
	'dry_run', j.dry_run,
	'created_at', backfill_time(j.created_at),
	'updated_at', backfill_time(greatest(j.updated_at, b.progressed_at)),
	'completed_at', backfill_time(v.ended),
	'duration_ms', (extract(epoch FROM coalesce(v.ended, now())
		- j.created_at) * 1000)::bigint) AS json
FROM backfill_jobs j
LEFT JOIN backfill_log b ON b.job_id = j.job_id AND NOT j.dry_run
LEFT JOIN LATERAL (
	SELECT count(*) AS n, count(*) FILTER (WHERE state <> 'new') AS done,
		count(DISTINCT isbn13) AS resolved
	FROM backfill_candidates WHERE year = b.year AND month = b.month AND state <> 'merged') AS c
		ON true
CROSS JOIN LATERAL (
	SELECT CASE WHEN b.status = 'processing' THEN coalesce(b.stage, 'claimed') END AS stage,
		CASE
			WHEN b.id IS NULL THEN j.status
			WHEN b.status = 'processing' THEN CASE coalesce(b.stage, 'claimed')
				WHEN 'claimed' THEN 'queued'
				WHEN 'queueing' THEN 'enriching' ELSE 'processing' END
			WHEN b.status IN ('retry', 'pending') THEN 'queued'
			WHEN b.status = 'completed' THEN 'complete'
			ELSE 'failed' END AS status,
		CASE WHEN b.id IS NULL THEN j.completed_at ELSE b.completed_at END AS ended,
		jsonb_build_object('books_generated', coalesce(b.books_generated, 0),
			'isbns_resolved',
			coalesce(CASE b.status WHEN 'completed' THEN b.isbns_resolved
				ELSE c.resolved END, 0),
			'isbn_resolution_rate',
			CASE b.status WHEN 'completed' THEN b.resolution_rate
				ELSE round(100.0 * c.resolved / nullif(c.n, 0), 2) END,
			'isbns_sent_to_enrichment', coalesce(b.isbns_queued, 0), 'already_enriched',
			coalesce(b.already_enriched, 0), 'synthetic_works',
			coalesce(b.synthetic_works, c.n - c.resolved, 0), 'gemini_calls',
			coalesce(b.gemini_calls, 0), 'xai_calls', coalesce(b.xai_calls, 0),
			'isbndb_calls', coalesce(b.isbndb_calls, 0), 'total_api_calls',
			coalesce(b.gemini_calls, 0) + coalesce(b.xai_calls, 0)
				+ coalesce(b.isbndb_calls, 0) + coalesce(b.free_calls, 0),
			'cost_usd', coalesce(b.cost_usd, 0)) AS stats) AS v
WHERE j.job_id = CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
	THEN $1::text::uuid END

-- What each provider ($1) may use in a day ($2), all but a reserve ($3), and has used of it.
-- part: quota_lines
figures AS MATERIALIZED (
	SELECT p.provider, p.ord, nullif(p.daily_limit, 0) AS daily_limit,
		nullif(p.daily_limit, 0) - p.reserve AS safe, coalesce(q.used, 0) AS used,
		backfill_time(backfill_provider_reset(p.provider, now())) AS reset_at,
		EXISTS (SELECT FROM provider_state s WHERE s.provider = p.provider
			AND s.kind IN ('quota', 'ban')
			AND s.closed_until > now()) AS closed
	FROM unnest($1::text[], $2::int[], $3::int[])
		WITH ORDINALITY AS p (provider, daily_limit, reserve, ord)
	LEFT JOIN api_quota q ON q.provider = p.provider
		AND q.day = backfill_provider_day(p.provider, now())
), lines AS MATERIALIZED (
	SELECT provider, ord, daily_limit, safe, used, CASE WHEN daily_limit IS NOT NULL THEN greatest(0, daily_limit - used) END AS remaining,
		CASE WHEN safe IS NOT NULL THEN greatest(0, safe - used) END AS safety_remaining,
		coalesce(round(100.0 * used / nullif(safe, 0), 2), 0.0) AS percentage, reset_at,
		NOT closed AND (safe IS NULL OR used < safe) AS can_make_calls
	FROM figures
)

-- part: quota_fields
'daily_limit', o.daily_limit, 'safety_limit', o.safe, 'used', o.used, 'remaining',
o.remaining, 'safety_remaining', o.safety_remaining, 'percentage_used',
o.percentage, 'reset_at', o.reset_at,
'can_make_calls', o.can_make_calls

-- name: quota_json
WITH
-- use: quota_lines
SELECT json_build_object('success', true, 'data', json_build_object(
	'daily_limit', l.daily_limit, 'safety_limit', l.safe, 'used', l.used, 'remaining',
	l.remaining, 'safety_remaining', l.safety_remaining, 'percentage_used', l.percentage,
	'reset_at', l.reset_at, 'can_make_calls', l.can_make_calls,
	'providers', (SELECT json_object_agg(o.provider, json_build_object(
		-- use: quota_fields
		) ORDER BY o.ord) FROM lines o))) AS json
FROM lines l WHERE l.provider = 'isbndb'

-- Old rows go in bites, so that no prune holds many locks for long; the count says whether to come
-- again: with fewer rows than the smallest bite, nothing is left behind.
-- name: prune
WITH events AS (
	DELETE FROM backfill_events WHERE id IN (
		SELECT id FROM backfill_events
		WHERE at < now() - least($1::bigint, $5::bigint) * interval '1 ms'
			AND at < now() - CASE WHEN event LIKE 'operator%' THEN $5::bigint ELSE $1::bigint
			END * interval '1 ms'
		ORDER BY at LIMIT 2000)
	RETURNING id
), pruned AS (
	UPDATE backfill_control
	SET events_pruned = greatest(events_pruned, (SELECT max(id) FROM events))
	WHERE EXISTS (SELECT FROM events)
), audit AS (
	DELETE FROM backfill_audit WHERE id IN (
		SELECT id FROM backfill_audit WHERE at < now() - $5::bigint * interval '1 ms'
		ORDER BY at LIMIT 2000)
	RETURNING 1
), answers AS (
	DELETE FROM backfill_answers a WHERE (a.year, a.month, a.round, a.provider) IN (
		SELECT x.year, x.month, x.round, x.provider FROM backfill_answers x
		WHERE x.created_at < now() - $2::bigint * interval '1 ms' AND NOT EXISTS (
			SELECT FROM backfill_log b WHERE b.year = x.year AND b.month = x.month
				AND b.status IN ('processing', 'retry', 'pending'))
		LIMIT 500)
	RETURNING 1
), logs AS (
	DELETE FROM enrichment_log WHERE id IN (
		SELECT id FROM enrichment_log WHERE created_at < now()
			- $3::bigint * interval '1 ms' LIMIT 2000)
	RETURNING 1
), usage AS (
	DELETE FROM api_usage WHERE (provider, day, instance, year, month) IN (
		SELECT provider, day, instance, year, month FROM api_usage
		WHERE day < (now() - $4::bigint * interval '1 ms')::date
		ORDER BY day LIMIT 2000)
	RETURNING 1
), jobs AS (
	DELETE FROM backfill_jobs WHERE job_id IN (
		SELECT j.job_id FROM backfill_jobs j
		WHERE j.updated_at < now() - $6::bigint * interval '1 ms' AND NOT EXISTS (
			SELECT FROM backfill_log b WHERE b.job_id = j.job_id
				AND b.status IN ('processing', 'retry', 'pending'))
		LIMIT 2000)
	RETURNING 1
), cache AS (
	DELETE FROM isbn_resolutions WHERE (provider, title_key, author_key) IN (
		SELECT provider, title_key, author_key FROM isbn_resolutions
			WHERE expires_at < now() LIMIT 2000)
	RETURNING 1
), flushes AS (
	DELETE FROM backfill_flushes WHERE id IN (
		SELECT id FROM backfill_flushes WHERE at < now() - interval '1 day' LIMIT 20000)
	RETURNING 1
), records AS (
	DELETE FROM provider_records WHERE (isbn13, provider) IN (
		SELECT r.isbn13, r.provider FROM provider_records r
		WHERE r.received_at < now() - $2::bigint * interval '1 ms'
			AND NOT EXISTS (
				SELECT FROM enrichment_queue q WHERE q.entity_type = 'edition'
					AND q.entity_key = r.isbn13
					AND q.status IN ('pending', 'processing'))
			AND NOT EXISTS (
				SELECT FROM enrichment_queue q WHERE q.entity_type = 'edition'
					AND q.entity_key = r.for_isbn
					AND q.status IN ('pending', 'processing'))
		ORDER BY r.received_at
		LIMIT 2000)
	RETURNING 1
), instances AS (
	DELETE FROM backfill_instances i WHERE i.started_at < now() - interval '30 days'
		AND NOT EXISTS (
			SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1112949070
				AND objsubid = 2
				AND granted AND objid::bigint = i.id)
		AND NOT EXISTS (SELECT FROM backfill_log b WHERE b.owner_id = i.id
			AND b.status = 'processing')
	RETURNING 1
), alerts AS (
	DELETE FROM backfill_alerts WHERE id IN (
		SELECT id FROM backfill_alerts WHERE cleared_at < now() - interval '90 days'
		ORDER BY cleared_at LIMIT 2000)
	RETURNING 1
)
SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM answers) + (SELECT count(*) FROM logs)
	+ (SELECT count(*) FROM usage) + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM cache)
	+ (SELECT count(*) FROM flushes) + (SELECT count(*) FROM records)
	+ (SELECT count(*) FROM instances) + (SELECT count(*) FROM audit)
	+ (SELECT count(*) FROM alerts) AS count

-- After a week the days of instances and months become one line per provider and day.
-- name: usage_rollup
WITH old AS (
	DELETE FROM api_usage WHERE (provider, day, instance, year, month) IN (
		SELECT provider, day, instance, year, month FROM api_usage
		WHERE day < (now() - interval '7 days')::date
			AND NOT (instance = '' AND year = 0 AND month = 0)
		ORDER BY day LIMIT 20000)
	RETURNING *
)
INSERT INTO api_usage AS u (provider, day, instance, year, month, calls, errors, units, tokens_in,
	tokens_out, cost_usd)
SELECT provider, day, '', 0, 0, sum(calls), sum(errors), sum(units), sum(tokens_in),
	sum(tokens_out), sum(cost_usd)
FROM old
GROUP BY provider, day
ON CONFLICT (provider, day, instance, year, month) DO UPDATE
SET calls = u.calls + excluded.calls, errors = u.errors + excluded.errors,
	units = u.units + excluded.units, tokens_in = u.tokens_in + excluded.tokens_in,
	tokens_out = u.tokens_out + excluded.tokens_out, cost_usd = u.cost_usd + excluded.cost_usd

-- What the owner of a month writes. Every statement begins with `mine`: the row under this fence,
-- still in processing, and this step not yet written; it is locked first. Parameters 1..10 are the
-- same everywhere: year, month, fence, step, instance, job, from, to, event, detail. The answer is
-- 'done' also when the step had been written before: a repeated call after a lost acknowledgement.

-- name: step
WITH mine AS MATERIALIZED (
	SELECT b.id FROM backfill_log b
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), moved AS (
	UPDATE backfill_log b SET stage = $8::text, progressed_at = now()
	FROM mine WHERE b.id = mine.id
	RETURNING b.job_id
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, $8::text, $9::text, $10::jsonb
	FROM moved m
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome

-- name: answer
WITH mine AS MATERIALIZED (
	SELECT b.id FROM backfill_log b
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), moved AS (
	UPDATE backfill_log b SET cost_usd = b.cost_usd + $20::numeric, progressed_at = now()
	FROM mine WHERE b.id = mine.id
	RETURNING b.job_id
), kept AS (
	INSERT INTO backfill_answers (year, month, round, provider, fence, job_id, variant, model,
		outcome, reason, body, tokens_in, tokens_out, cost_usd, latency_ms, http_status)
	SELECT $1::int, $2::int, $11::int, $12::text, $3::bigint, coalesce($6::uuid, m.job_id),
		$13::text, $14::text, $15::text, $16::text, $17::text, $18::bigint, $19::bigint,
		$20::numeric, $21::bigint, $22::int
	FROM moved m
	ON CONFLICT (year, month, round, provider) DO UPDATE
	SET fence = excluded.fence, job_id = excluded.job_id, variant = excluded.variant,
		model = excluded.model, outcome = excluded.outcome, reason = excluded.reason,
		body = excluded.body, tokens_in = excluded.tokens_in,
		tokens_out = excluded.tokens_out, cost_usd = excluded.cost_usd,
		latency_ms = excluded.latency_ms, http_status = excluded.http_status,
		created_at = now()
	RETURNING 1
), used AS (
	INSERT INTO api_usage AS u (provider, day, instance, year, month, tokens_in, tokens_out,
		cost_usd)
	SELECT $12::text, backfill_provider_day($12::text, now()), $5::text, $1::int, $2::int,
		$18::bigint, $19::bigint, $20::numeric
	FROM mine
	ON CONFLICT (provider, day, instance, year, month) DO UPDATE
	SET tokens_in = u.tokens_in + excluded.tokens_in,
		tokens_out = u.tokens_out + excluded.tokens_out,
		cost_usd = u.cost_usd + excluded.cost_usd
	RETURNING 1
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, $8::text,
		$9::text, jsonb_strip_nulls(jsonb_build_object('provider', $12::text, 'outcome',
			$15::text, 'reason', left($16::text, 500), 'variant', $13::text, 'model',
			$14::text, 'tokens_in', $18::bigint, 'tokens_out', $19::bigint, 'cost_usd',
			$20::numeric, 'latency_ms', $21::bigint, 'http', nullif($22::int, 0)))
				|| coalesce($10::jsonb, '{}')
	FROM moved m, (SELECT count(*) FROM kept) AS before, (SELECT count(*) FROM used) AS first
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome

-- name: answers
SELECT provider, round, variant, model, outcome, reason, body, http_status, tokens_in, tokens_out,
	cost_usd, latency_ms
FROM backfill_answers
WHERE year = $1::int AND month = $2::int AND round = $3::int
ORDER BY created_at, provider

-- name: complete
WITH mine AS MATERIALIZED (
	SELECT b.id, b.year, b.month, b.job_id, b.started_at,
		coalesce(b.isbns_queued, 0) AS queued_before
	FROM backfill_log b
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), books AS MATERIALIZED (
	SELECT c.id, c.ord, c.isbn13, c.generated_by,
		CASE WHEN c.isbn13 IS NULL THEN c.id
			ELSE first_value(c.id) OVER (PARTITION BY c.isbn13 ORDER BY c.ord)
				END AS keep
	FROM backfill_candidates c JOIN mine m ON c.year = m.year AND c.month = m.month
	WHERE c.state <> 'merged'
), merged AS (
	UPDATE backfill_candidates c SET state = 'merged', merged_into = b.keep, updated_at = now()
	FROM books b WHERE c.id = b.id AND b.keep <> b.id
	RETURNING 1
), united AS (
	UPDATE backfill_candidates c SET generated_by = u.generated_by, updated_at = now()
	FROM (
		SELECT b.keep, array_agg(DISTINCT by ORDER BY by) AS generated_by
		FROM books b, unnest(b.generated_by) AS by
		WHERE b.keep IN (SELECT keep FROM books WHERE keep <> id)
		GROUP BY b.keep
	) AS u
	WHERE c.id = u.keep
	RETURNING 1
), isbns AS MATERIALIZED (
	SELECT b.isbn13, EXISTS (SELECT FROM enriched_editions e WHERE e.isbn = b.isbn13)
			OR EXISTS (SELECT FROM enriched_editions e
				WHERE e.alternate_isbns @> ARRAY[b.isbn13]) AS enriched
	FROM books b
	WHERE b.isbn13 IS NOT NULL AND b.keep = b.id
), queued AS (
	INSERT INTO enrichment_queue (id, entity_type, entity_key, providers_to_try, priority,
		status, retry_count, max_retries, queued_by, job_id, year, month)
	SELECT gen_random_uuid(), 'edition', i.isbn13, ARRAY['isbndb', 'wikidata', 'open_library',
		'archive_org'], 5, 'pending', 0, $11::int, 'backfilld', m.job_id, m.year, m.month
	FROM isbns i, mine m
	WHERE NOT i.enriched AND NOT EXISTS (
		SELECT FROM enrichment_queue q WHERE q.entity_type = 'edition'
			AND q.entity_key = i.isbn13)
	ORDER BY i.isbn13
	ON CONFLICT DO NOTHING
	RETURNING 1
), figures AS MATERIALIZED (
	SELECT (SELECT count(*) FROM books WHERE keep = id) AS generated,
		(SELECT count(*) FROM isbns) AS resolved,
		(SELECT count(*) FROM isbns WHERE enriched) AS enriched,
		(SELECT count(*) FROM (
			SELECT FROM books b, unnest(b.generated_by) AS by
			GROUP BY b.keep HAVING count(DISTINCT by) > 1) AS named) AS agreed,
		(SELECT count(*) FROM queued) AS queued,
		(SELECT count(*) FROM merged) AS merged,
		(SELECT count(*) FROM united) AS united
), moved AS (
	UPDATE backfill_log b
	SET status = 'completed', stage = $8::text, completed_at = greatest(now(), b.started_at),
		progressed_at = now(), error_message = NULL, next_attempt_at = NULL,
		books_generated = f.generated, isbns_resolved = f.resolved,
		resolution_rate = round(100.0 * f.resolved / nullif(f.generated, 0), 2),
		isbns_queued = least(m.queued_before + f.queued, f.resolved),
		already_enriched = f.enriched, synthetic_works = f.generated - f.resolved,
		books_agreed = f.agreed
	FROM mine m, figures f
	WHERE b.id = m.id
	RETURNING b.*, f.merged, f.queued AS newly_queued
), job AS (
	UPDATE backfill_jobs j
	SET status = 'complete', error = NULL, updated_at = now(), completed_at = now(),
		progress = 'completed',
		stats = jsonb_build_object('books_generated', m.books_generated, 'isbns_resolved',
			m.isbns_resolved, 'isbn_resolution_rate', m.resolution_rate,
			'isbns_sent_to_enrichment',
			m.isbns_queued, 'already_enriched', m.already_enriched, 'synthetic_works',
			m.synthetic_works, 'gemini_calls', coalesce(m.gemini_calls, 0), 'xai_calls',
			coalesce(m.xai_calls, 0), 'isbndb_calls', coalesce(m.isbndb_calls, 0),
			'total_api_calls', coalesce(m.gemini_calls, 0) + coalesce(m.xai_calls, 0)
				+ coalesce(m.isbndb_calls, 0) + m.free_calls,
			'cost_usd', m.cost_usd)
	FROM moved m
	WHERE j.job_id = m.job_id
	RETURNING 1
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, $8::text,
		$9::text, jsonb_build_object('books_generated', m.books_generated, 'isbns_resolved',
			m.isbns_resolved, 'resolution_rate', m.resolution_rate, 'isbns_queued',
			m.isbns_queued, 'already_enriched', m.already_enriched, 'merged', m.merged,
			'cost_usd',
			m.cost_usd, 'gemini_calls', m.gemini_calls, 'xai_calls', m.xai_calls,
			'isbndb_calls',
				m.isbndb_calls)
			|| coalesce($10::jsonb, '{}')
	FROM moved m, (SELECT count(*) FROM job) AS before
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome,
	(SELECT pg_notify('enrichment_queue', '') FROM moved WHERE newly_queued > 0) AS told

-- Below five counted failures a month waits for its next attempt and is not ended; at five it is.
-- name: fail
WITH mine AS MATERIALIZED (
	SELECT b.id, f.n, CASE WHEN $14::bool THEN 'failed' WHEN NOT $13::bool THEN 'retry'
			WHEN f.n >= 5 THEN 'failed' ELSE 'retry' END AS status
	FROM backfill_log b, LATERAL (
		SELECT CASE WHEN $13::bool AND NOT $14::bool
			THEN least(coalesce(b.retry_count, 0) + 1, 5)
			ELSE coalesce(b.retry_count, 0) END AS n) AS f
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), moved AS (
	UPDATE backfill_log b
	SET status = f.status, retry_count = f.n, error_message = $11::text, last_retry_at = now(),
		progressed_at = now(), stage = nullif($16::text, ''),
		round = b.round + CASE WHEN $15::bool THEN 1 ELSE 0 END,
		completed_at = CASE f.status WHEN 'failed' THEN greatest(now(), b.started_at) END,
		next_attempt_at = CASE f.status WHEN 'retry' THEN now()
			+ $12::bigint * interval '1 ms' END,
		owner = NULL, owner_id = NULL
	FROM mine f
	WHERE b.id = f.id
	RETURNING b.*
), job AS (
	UPDATE backfill_jobs j
	SET status = CASE m.status WHEN 'failed' THEN 'failed' ELSE 'queued' END, error = $11::text,
		progress = CASE m.status WHEN 'failed' THEN 'failed'
			ELSE 'waiting for the next attempt' END,
		updated_at = now(), completed_at = CASE m.status WHEN 'failed' THEN now() END
	FROM moved m
	WHERE j.job_id = m.job_id
	RETURNING 1
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, m.status,
		$9::text, jsonb_strip_nulls(jsonb_build_object('error', $11::text, 'retry_count',
			m.retry_count, 'resume', m.stage, 'next_attempt_at',
			backfill_time(m.next_attempt_at),
			'asked_for', nullif($8::text, m.status))) || coalesce($10::jsonb, '{}')
	FROM moved m, (SELECT count(*) FROM job) AS before
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome

-- name: release
WITH mine AS MATERIALIZED (
	SELECT b.id, coalesce(b.claimed_from, 'pending') AS status FROM backfill_log b
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), moved AS (
	UPDATE backfill_log b
	SET status = f.status, owner = NULL, owner_id = NULL, progressed_at = now(),
		completed_at = CASE f.status WHEN 'failed' THEN greatest(now(), b.started_at) END,
		next_attempt_at = CASE f.status WHEN 'retry' THEN now() END
	FROM mine f
	WHERE b.id = f.id
	RETURNING b.job_id, b.status, b.stage
), job AS (
	UPDATE backfill_jobs j
	SET status = 'queued', progress = 'released, waits to be taken up again', updated_at = now()
	FROM moved m
	WHERE j.job_id = m.job_id
	RETURNING 1
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, m.status,
		$9::text, jsonb_strip_nulls(jsonb_build_object('resume', m.stage,
			'asked_for', nullif($8::text, m.status))) || coalesce($10::jsonb, '{}')
	FROM moved m, (SELECT count(*) FROM job) AS before
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome

-- name: touch
WITH asked AS MATERIALIZED (
	SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[]) AS t (year, month, fence)
), mine AS MATERIALIZED (
	SELECT b.id, b.year, b.month FROM backfill_log b JOIN asked a
		ON a.year = b.year AND a.month = b.month AND a.fence = b.fence
	WHERE b.status = 'processing'
	ORDER BY b.year, b.month
	FOR UPDATE OF b
), moved AS (
	UPDATE backfill_log b SET progressed_at = now() FROM mine WHERE b.id = mine.id RETURNING 1
)
SELECT a.year, a.month, a.fence FROM asked a
WHERE NOT EXISTS (SELECT FROM mine m WHERE m.year = a.year AND m.month = a.month)

-- name: job
WITH moved AS (
	UPDATE backfill_jobs
	SET status = $2::text, progress = coalesce($3::text, progress),
		stats = coalesce($4::jsonb, stats), error = $5::text, updated_at = now(),
		completed_at = CASE WHEN $2::text IN ('complete', 'failed')
			THEN coalesce(completed_at, now()) END
	WHERE job_id = $1::uuid
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM moved) THEN 'done' ELSE 'not_mine' END AS outcome

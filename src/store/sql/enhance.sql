-- Synthetic works that nobody has found an ISBN for are tried again.

-- Works of months that are still at it are left to them. A work's item is used again, once a week,
-- also when it failed.
-- name: enhance
WITH picked AS MATERIALIZED (
	SELECT w.work_key, w.created_at FROM enriched_works w
	WHERE w.synthetic
		AND (SELECT e.isbn FROM enriched_editions e WHERE e.work_key = w.work_key
			LIMIT 1) IS NULL
		AND (SELECT c.id FROM backfill_candidates c
			LEFT JOIN backfill_log b ON b.year = c.year AND b.month = c.month
			WHERE c.work_key = w.work_key AND (c.isbn13 IS NOT NULL
				OR b.status IN ('pending', 'processing', 'retry'))
			LIMIT 1) IS NULL
		AND (SELECT q.id FROM enrichment_queue q
			WHERE q.queued_by = 'backfilld' AND q.entity_type = 'work'
				AND q.entity_key = w.work_key
				AND (q.status NOT IN ('completed', 'failed')
					OR coalesce(q.completed_at, q.created_at)
						> now() - interval '7 days')
			LIMIT 1) IS NULL
	ORDER BY w.created_at
	LIMIT $1::int
), queued AS (
	INSERT INTO enrichment_queue AS q (id, entity_type, entity_key, priority, status,
		retry_count, max_retries, queued_by, work_key, year, month)
	SELECT gen_random_uuid(), 'work', p.work_key, 5, 'pending', 0, $2::int, 'backfilld',
		p.work_key, c.year, c.month
	FROM picked p LEFT JOIN LATERAL (
		SELECT x.year, x.month FROM backfill_candidates x WHERE x.work_key = p.work_key
		ORDER BY x.id
		LIMIT 1) AS c ON true
	ORDER BY p.work_key
	ON CONFLICT (entity_key) WHERE queued_by = 'backfilld' AND entity_type = 'work' DO UPDATE
	SET status = 'pending', retry_count = 0, max_retries = excluded.max_retries,
		error_message = NULL, waiting_for = NULL, next_attempt_at = NULL,
		started_at = NULL, completed_at = NULL, created_at = now(),
		providers_attempted = '{}', providers_succeeded = '{}'
	WHERE q.status IN ('completed', 'failed')
		AND coalesce(q.completed_at, q.created_at) <= now() - interval '7 days'
	RETURNING 1
)
SELECT n.count, CASE WHEN n.count > 0 THEN pg_notify('enrichment_queue', '') END AS told
FROM (SELECT count(*) AS count FROM queued) AS n

-- The months are locked before their candidates, as everywhere. A month that has the ISBN already keeps
-- one candidate of it. What the second statement has to know stands in a setting of the transaction.
-- name: enhanced
WITH mine AS MATERIALIZED (
	SELECT q.id, q.status FROM enrichment_queue q
	WHERE q.id = $1::uuid AND q.fence = $2::bigint
	FOR UPDATE OF q
), months AS MATERIALIZED (
	SELECT b.id, b.year, b.month
	FROM (
		SELECT DISTINCT year, month FROM backfill_candidates WHERE work_key = $3::text
	) AS c JOIN backfill_log b ON b.year = c.year AND b.month = c.month
	WHERE EXISTS (SELECT FROM mine WHERE status = 'processing')
	ORDER BY b.year, b.month
	FOR UPDATE OF b
), books AS MATERIALIZED (
	SELECT c.id, c.year, c.month, c.generated_by, coalesce(k.id, first_value(c.id) OVER (
		PARTITION BY c.year, c.month ORDER BY c.ord)) AS keep
	FROM backfill_candidates c
	JOIN (SELECT count(*) AS n FROM months) AS locked ON true
	LEFT JOIN LATERAL (
		SELECT x.id FROM backfill_candidates x
		WHERE x.isbn13 = $4::text AND x.year = c.year AND x.month = c.month
			AND x.state <> 'merged' AND x.work_key IS DISTINCT FROM $3::text
		ORDER BY x.ord
		LIMIT 1) AS k ON true
	WHERE c.work_key = $3::text AND c.state IN ('not_found', 'unavailable')
		AND EXISTS (SELECT FROM mine WHERE status = 'processing')
), resolved AS (
	UPDATE backfill_candidates c
	SET answers = c.answers || coalesce($6::jsonb, '{}'), updated_at = now(),
		isbn13 = coalesce($4::text, c.isbn13),
		confidence = CASE WHEN $4::text IS NULL THEN c.confidence ELSE $7::int END,
		resolved_by = CASE WHEN $4::text IS NULL THEN c.resolved_by ELSE $5::text END,
		record = CASE WHEN $4::text IS NULL THEN c.record ELSE $8::jsonb END,
		state = CASE WHEN $4::text IS NULL THEN c.state
			WHEN b.keep = b.id THEN 'resolved' ELSE 'merged' END,
		merged_into = CASE WHEN $4::text IS NOT NULL AND b.keep <> b.id THEN b.keep END
	FROM books b
	WHERE c.id = b.id
	RETURNING 1
), united AS (
	UPDATE backfill_candidates c
	SET generated_by = (SELECT array_agg(DISTINCT x ORDER BY x)
			FROM unnest(c.generated_by || o.by) AS x), updated_at = now()
	FROM (
		SELECT b.keep, array_agg(DISTINCT x) AS by
		FROM books b, unnest(b.generated_by) AS x
		WHERE b.keep NOT IN (SELECT id FROM books)
		GROUP BY b.keep) AS o
	WHERE $4::text IS NOT NULL AND c.id = o.keep
	RETURNING 1
), edition AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM enriched_editions WHERE isbn = $4::text)
		OR (SELECT count(*) FROM enriched_editions
			WHERE alternate_isbns @> ARRAY[$4::text]) > 0 AS there
), queued AS (
	INSERT INTO enrichment_queue AS q (id, entity_type, entity_key, providers_to_try, priority,
		status, retry_count, max_retries, queued_by, work_key, year, month)
	SELECT gen_random_uuid(), 'edition', $4::text, ARRAY['isbndb', 'wikidata', 'open_library',
		'archive_org'], 5, 'pending', 0, $9::int, 'backfilld', $3::text, b.year, b.month
	FROM mine m LEFT JOIN LATERAL (
		SELECT year, month FROM books ORDER BY id LIMIT 1) AS b ON true
	WHERE $4::text IS NOT NULL AND m.status = 'processing'
	ON CONFLICT (entity_key) WHERE queued_by = 'backfilld' AND entity_type = 'edition' DO UPDATE
	SET work_key = excluded.work_key,
		status = CASE q.status WHEN 'completed' THEN 'pending' ELSE q.status END,
		retry_count = CASE q.status WHEN 'completed' THEN 0 ELSE q.retry_count END,
		created_at = CASE q.status WHEN 'completed' THEN now() ELSE q.created_at END,
		completed_at = CASE q.status WHEN 'completed' THEN NULL ELSE q.completed_at END
	RETURNING q.xmax = 0 AS new
), kept AS (
	INSERT INTO provider_records AS p (provider, isbn13, found, record, for_isbn)
	SELECT $5::text, $4::text, true, $8::jsonb, $4::text
	FROM mine m
	WHERE m.status = 'processing' AND $4::text IS NOT NULL AND $5::text IS NOT NULL
		AND $8::jsonb IS NOT NULL
	ON CONFLICT (isbn13, provider) DO UPDATE
	SET found = true, record = excluded.record, received_at = now()
	RETURNING 1
), ended AS (
	UPDATE enrichment_queue q
	SET status = 'completed', completed_at = greatest(now(), q.started_at),
		error_message = CASE WHEN $4::text IS NULL THEN 'no ISBN found' END,
		waiting_for = NULL, next_attempt_at = NULL, owner = NULL, owner_id = NULL,
		lease_until = NULL, orphaned_at = NULL
	FROM mine m
	WHERE q.id = m.id AND m.status = 'processing'
	RETURNING q.id
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success,
		created_at, item_id, instance, detail)
	SELECT gen_random_uuid(), 'work', $3::text, coalesce($5::text, 'backfilld'), 'enhance', $4::text IS NOT NULL,
		clock_timestamp(), e.id, $10::text, jsonb_strip_nulls(jsonb_build_object(
			'isbn13', $4::text,
			'confidence', CASE WHEN $4::text IS NOT NULL THEN $7::int END))
	FROM ended e
	RETURNING 1
), told AS MATERIALIZED (
	SELECT set_config('backfill.batch', jsonb_build_object('months', coalesce((
		SELECT jsonb_agg(jsonb_build_object('id', m.id, 'new', f.id = m.id AND EXISTS (
				SELECT FROM queued WHERE new), 'there', e.there))
		FROM months m, edition e, (
			SELECT x.id FROM months x JOIN books b
				ON b.year = x.year AND b.month = x.month
			ORDER BY b.id LIMIT 1) AS f
		WHERE $4::text IS NOT NULL AND EXISTS (
			SELECT FROM books b WHERE b.year = m.year AND b.month = m.month)
		), '[]'))::text, true) AS batch
	FROM (SELECT count(*) FROM resolved) AS a, (SELECT count(*) FROM united) AS b,
		(SELECT count(*) FROM kept) AS c, (SELECT count(*) FROM logged) AS d
)
SELECT CASE WHEN m.id IS NULL OR m.status NOT IN ('processing', 'completed') THEN 'not_mine'
	ELSE 'done' END AS outcome,
	CASE WHEN EXISTS (SELECT FROM queued) THEN pg_notify('enrichment_queue', '') END AS told
FROM told t LEFT JOIN mine m ON t.batch IS NOT NULL

-- What has ended is counted again from its candidates. The edition's item counts for one month.
-- name: enhanced_months
WITH asked AS MATERIALIZED (
	SELECT t.* FROM jsonb_to_recordset(
		nullif(current_setting('backfill.batch', true), '')::jsonb -> 'months')
		AS t (id int, new bool, there bool)
), figures AS MATERIALIZED (
	SELECT b.id, a.new, a.there, c.generated, c.resolved, c.agreed
	FROM asked a JOIN backfill_log b ON b.id = a.id, LATERAL (
		SELECT count(*) AS generated, count(x.isbn13) AS resolved,
			count(*) FILTER (WHERE cardinality(x.generated_by) > 1) AS agreed
		FROM backfill_candidates x
		WHERE x.year = b.year AND x.month = b.month AND x.state <> 'merged') AS c
	WHERE b.status = 'completed'
), moved AS (
	UPDATE backfill_log b
	SET books_generated = f.generated, isbns_resolved = f.resolved,
		resolution_rate = round(100.0 * f.resolved / nullif(f.generated, 0), 2),
		synthetic_works = f.generated - f.resolved, books_agreed = f.agreed,
		isbns_queued = least(coalesce(b.isbns_queued, 0) + f.new::int, f.resolved),
		already_enriched = least(coalesce(b.already_enriched, 0) + f.there::int, f.resolved)
	FROM figures f
	WHERE b.id = f.id
	RETURNING b.*
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT m.year, m.month, m.fence, coalesce(e.step, 0) + 1, $1::text, m.job_id, 'completed',
		'completed', 'enhanced', jsonb_build_object('work_key', $2::text, 'isbn13',
			$3::text, 'resolved_by', $4::text, 'books_generated', m.books_generated,
			'isbns_resolved', m.isbns_resolved, 'resolution_rate', m.resolution_rate,
			'isbns_queued', m.isbns_queued, 'synthetic_works', m.synthetic_works)
	FROM moved m LEFT JOIN LATERAL (
		SELECT max(step) AS step FROM backfill_events
		WHERE year = m.year AND month = m.month AND fence = m.fence) AS e ON true
	ORDER BY m.year, m.month
	RETURNING 1
)
SELECT count(*) AS count FROM event

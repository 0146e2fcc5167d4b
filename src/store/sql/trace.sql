-- What operators see of enrichment and do to its queue: the trace of one book, lists of items,
-- failed items made due again, items of an older system taken over. Every scan is by an index and
-- counting stops at 100000.

-- $2 are the ISBN's spellings, the plain one first, and its ISBN-10: rows of older systems have
-- them as keys. A work that was absorbed is followed through the log to the one it went into. The
-- log also tells of the synthetic works the book's candidates began with.
-- name: book_json
WITH RECURSIVE asked AS MATERIALIZED (
	SELECT f.isbn, f.work_key FROM (
		SELECT isbn, work_key, array_position($2::text[], isbn) AS rank
		FROM enriched_editions WHERE isbn = ANY ($2::text[])
		UNION ALL
		SELECT isbn, work_key, 1000 FROM enriched_editions
		WHERE alternate_isbns && $2::text[]
	) AS f
	ORDER BY f.rank, f.isbn
	LIMIT 1
), start AS MATERIALIZED (
	SELECT coalesce($3::text, (SELECT work_key FROM asked),
		(SELECT work_key FROM backfill_candidates WHERE isbn13 = $1::text
			ORDER BY state = 'merged', id LIMIT 1),
		(SELECT work_key FROM enrichment_queue WHERE entity_type = 'edition'
			AND entity_key = ANY ($2::text[]) AND work_key IS NOT NULL
			ORDER BY created_at LIMIT 1)) AS work_key
), chain AS (
	SELECT work_key, 0 AS depth FROM start WHERE work_key IS NOT NULL
	UNION
	SELECT l.into, c.depth + 1
	FROM chain c CROSS JOIN LATERAL (
		SELECT detail ->> 'into' AS into FROM enrichment_log
		WHERE entity_type = 'work' AND entity_key = c.work_key
			AND operation = 'merge_work' AND detail ->> 'into' IS NOT NULL
		ORDER BY created_at DESC
		LIMIT 1) AS l
	WHERE c.depth < 8
		AND NOT EXISTS (SELECT FROM enriched_works w WHERE w.work_key = c.work_key)
), final AS MATERIALIZED (
	SELECT work_key, depth FROM chain ORDER BY depth DESC LIMIT 1
), named AS MATERIALIZED (
	SELECT * FROM backfill_candidates
	WHERE isbn13 = ANY (ARRAY[$1::text, (SELECT isbn FROM asked)])
	UNION ALL
	SELECT * FROM backfill_candidates
	WHERE $3::text IS NOT NULL AND work_key = ANY (ARRAY(SELECT work_key FROM chain))
	ORDER BY year, month, ord
	LIMIT 200
), shown AS MATERIALIZED (
	SELECT isbn FROM asked
	UNION ALL (
		SELECT isbn FROM enriched_editions
		WHERE $3::text IS NOT NULL AND work_key = (SELECT work_key FROM final)
		ORDER BY isbn = ANY (ARRAY(SELECT isbn13 FROM named WHERE isbn13 IS NOT NULL)) DESC,
			isbndb_quality DESC NULLS LAST, isbn
		LIMIT 1)
), keys AS MATERIALIZED (
	SELECT ARRAY(
			SELECT unnest($2::text[])
			UNION SELECT isbn FROM shown
			UNION SELECT isbn13 FROM named WHERE isbn13 IS NOT NULL) AS isbns,
		ARRAY(
			SELECT work_key FROM chain
			UNION SELECT work_key FROM named WHERE work_key IS NOT NULL
			UNION SELECT 'synthetic:' || md5(title_key || chr(10) || author_key)
				FROM named) AS works
), named_json AS MATERIALIZED (
	SELECT json_agg(json_build_object('year', n.year, 'month', n.month, 'title', n.title,
		'author', n.author, 'prompt_variant', coalesce(a.variant, w.variant,
			j.prompt_variant, b.prompt_variant),
		'model', a.model, 'job_id', coalesce(a.job_id, b.job_id), 'generated_by',
		n.generated_by, 'state', n.state, 'isbn13', n.isbn13, 'confidence', n.confidence,
		'resolved_by', n.resolved_by, 'work_key', n.work_key, 'answers', n.answers)
		ORDER BY n.year, n.month, n.ord) AS list
	FROM named n
	LEFT JOIN LATERAL (
		SELECT variant, model, job_id FROM backfill_answers
		WHERE year = n.year AND month = n.month AND provider = ANY (n.generated_by)
		ORDER BY round DESC, provider
		LIMIT 1) AS a ON true
	LEFT JOIN LATERAL (
		SELECT m.value ->> 'prompt_variant' AS variant
		FROM enriched_works e, backfill_metadata(e.metadata) AS m (value)
		WHERE e.work_key = n.work_key AND m.value ->> 'backfill_year' = n.year::text
			AND m.value ->> 'backfill_month' = n.month::text) AS w ON true
	LEFT JOIN backfill_log b ON b.year = n.year AND b.month = n.month
	LEFT JOIN backfill_jobs j ON j.job_id = coalesce(a.job_id, b.job_id)
), records AS MATERIALIZED (
	SELECT json_agg(json_build_object('provider', r.provider, 'isbn13', r.isbn13, 'for_isbn',
		r.for_isbn, 'found', r.found, 'received_at', backfill_time(r.received_at),
		'record', r.record) ORDER BY r.isbn13, r.provider) AS list
	FROM (
		SELECT * FROM provider_records
		WHERE isbn13 = ANY ((SELECT isbns FROM keys)::text[])
		UNION
		SELECT * FROM provider_records
		WHERE for_isbn = ANY ((SELECT isbns FROM keys)::text[])
		LIMIT 200) AS r
), items AS MATERIALIZED (
	SELECT json_agg(json_build_object('id', q.id, 'entity_type', q.entity_type, 'key',
		q.entity_key, 'status', q.status, 'attempts', q.retry_count, 'max_attempts',
		q.max_retries, 'waits_for', q.waiting_for, 'error', q.error_message, 'year', q.year,
		'month', q.month, 'work_key', q.work_key, 'job_id', q.job_id, 'queued_by',
		q.queued_by, 'instance', q.owner, 'providers_attempted', q.providers_attempted,
		'providers_succeeded', q.providers_succeeded, 'created_at',
		backfill_time(q.created_at), 'started_at', backfill_time(q.started_at),
		'next_attempt_at', backfill_time(q.next_attempt_at), 'completed_at',
		backfill_time(q.completed_at)) ORDER BY q.created_at, q.id) AS list
	FROM (
		SELECT * FROM enrichment_queue
		WHERE entity_type = 'edition'
			AND entity_key = ANY ((SELECT isbns FROM keys)::text[])
		UNION
		SELECT * FROM enrichment_queue
		WHERE entity_type = 'work'
			AND entity_key = ANY ((SELECT works FROM keys)::text[])
		UNION
		SELECT * FROM enrichment_queue
		WHERE $3::text IS NOT NULL
			AND work_key = ANY ((SELECT works FROM keys)::text[])
		LIMIT 100) AS q
), steps AS MATERIALIZED (
	SELECT json_agg(json_build_object('at', to_char(s.created_at AT TIME ZONE 'UTC',
			'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'entity_type', s.entity_type, 'key',
		s.entity_key, 'operation', s.operation, 'provider', s.provider, 'success',
		s.success, 'fields_updated', s.fields_updated, 'error', s.error_message,
		'response_time_ms', s.response_time_ms, 'instance', s.instance, 'item_id',
		s.item_id, 'detail', s.detail)
		ORDER BY s.created_at, s.entity_type, s.operation, s.provider, s.id) AS list
	FROM (
		SELECT u.* FROM (
			SELECT * FROM enrichment_log
			WHERE entity_type = 'edition'
				AND entity_key = ANY ((SELECT isbns FROM keys)::text[])
			UNION ALL
			SELECT * FROM enrichment_log
			WHERE entity_type = 'work'
				AND entity_key = ANY ((SELECT works FROM keys)::text[])
		) AS u
		ORDER BY u.created_at DESC
		LIMIT 200) AS s
), edition AS MATERIALIZED (
	SELECT row_to_json(r) AS row, m -> 'provenance' AS provenance
	FROM enriched_editions e
	CROSS JOIN LATERAL backfill_metadata(e.metadata) AS m
	CROSS JOIN LATERAL (
		SELECT e.isbn, e.alternate_isbns, e.work_key, e.edition_key, e.title, e.subtitle,
			e.publisher, e.publication_date, e.page_count, e.format, e.language,
			e.edition_description, e.cover_url_large, e.cover_url_medium,
			e.cover_url_small, e.cover_source, e.openlibrary_edition_id, e.amazon_asins,
			e.google_books_volume_ids, e.librarything_ids, e.goodreads_edition_ids,
			e.primary_provider, e.contributors, e.isbndb_quality, e.completeness_score,
			e.work_match_confidence, e.work_match_source, e.related_isbns,
			backfill_time(e.created_at) AS created_at,
			backfill_time(e.updated_at) AS updated_at,
			backfill_time(e.last_isbndb_sync) AS last_isbndb_sync,
			backfill_time(e.last_google_books_sync) AS last_google_books_sync,
			m - 'provenance' AS metadata, m -> 'provenance' AS provenance) AS r
	WHERE e.isbn = (SELECT isbn FROM shown)
), others AS MATERIALIZED (
	SELECT json_agg(json_build_object('isbn', e.isbn, 'title', e.title, 'format', e.format,
		'language', e.language) ORDER BY e.isbn) AS list
	FROM (
		SELECT isbn, title, format, language FROM enriched_editions
		WHERE work_key = (SELECT work_key FROM final)
			AND isbn IS DISTINCT FROM (SELECT isbn FROM shown)
		ORDER BY isbn
		LIMIT 50) AS e
), work AS MATERIALIZED (
	SELECT row_to_json(r) AS row, m -> 'provenance' AS provenance
	FROM enriched_works w
	CROSS JOIN LATERAL backfill_metadata(w.metadata) AS m
	CROSS JOIN LATERAL (
		SELECT w.work_key, w.title, w.subtitle, w.description, w.original_language,
			w.first_publication_year, w.subject_tags, w.cover_url_large,
			w.cover_url_medium, w.cover_url_small, w.cover_source,
			w.openlibrary_work_id, w.goodreads_work_ids, w.amazon_asins,
			w.librarything_ids, w.google_books_volume_ids, w.isbndb_id,
			w.primary_provider, w.contributors, w.synthetic, w.isbndb_quality,
			w.completeness_score, w.review_status,
			backfill_time(w.created_at) AS created_at,
			backfill_time(w.updated_at) AS updated_at,
			backfill_time(w.last_isbndb_sync) AS last_isbndb_sync,
			backfill_time(w.last_google_books_sync) AS last_google_books_sync,
			m - 'provenance' AS metadata, m -> 'provenance' AS provenance) AS r
	WHERE w.work_key = (SELECT work_key FROM final)
), authors AS MATERIALIZED (
	SELECT json_agg(json_build_object('author_key', a.author_key, 'name', a.name, 'order',
		l.author_order, 'book_count', a.book_count)
		ORDER BY l.author_order, a.author_key) AS list
	FROM work_authors_enriched l JOIN enriched_authors a ON a.author_key = l.author_key
	WHERE l.work_key = (SELECT work_key FROM final)
)
SELECT json_build_object(
	'isbn13', coalesce($1::text, (SELECT isbn FROM shown),
		(SELECT min(isbn13) FROM named WHERE state <> 'merged')),
	'work_key', (SELECT work_key FROM start),
	'merged_into', (SELECT work_key FROM final WHERE depth > 0),
	'named', coalesce(n.list, '[]'),
	'records', coalesce(r.list, '[]'),
	'queue', coalesce(i.list, '[]'),
	'log', coalesce(s.list, '[]'),
	'edition', (SELECT row FROM edition),
	'other_editions', coalesce((SELECT list FROM others), '[]'),
	'work', (SELECT row FROM work),
	'authors', coalesce((SELECT list FROM authors), '[]'),
	'provenance', json_build_object('edition', (SELECT provenance FROM edition),
		'work', (SELECT provenance FROM work))) AS json
FROM named_json n, records r, items i, steps s
WHERE n.list IS NOT NULL OR r.list IS NOT NULL OR i.list IS NOT NULL OR s.list IS NOT NULL
	OR EXISTS (SELECT FROM edition) OR EXISTS (SELECT FROM work)

-- Pages go on after an item by (created_at, id); one that does not exist gives no row. Each status
-- is a range of one index, so that no filter reads more than the items of its status.
-- name: items_json
WITH after AS MATERIALIZED (
	SELECT created_at, id FROM enrichment_queue
	WHERE id = $7::uuid AND queued_by = 'backfilld'
), statuses AS MATERIALIZED (
	SELECT unnest(CASE WHEN $1::text IS NULL
		THEN ARRAY['pending', 'processing', 'completed', 'failed']
		ELSE ARRAY[$1::text] END) AS status
), page AS MATERIALIZED (
	SELECT p.*, row_number() OVER (ORDER BY p.created_at, p.id) AS place
	FROM (
		SELECT q.* FROM statuses s CROSS JOIN LATERAL (
			SELECT * FROM enrichment_queue
			WHERE queued_by = 'backfilld' AND status = s.status
				AND (created_at, id) > (
					coalesce((SELECT created_at FROM after), '-infinity'),
					coalesce((SELECT id FROM after),
						'00000000-0000-0000-0000-000000000000'))
				AND ($2::text IS NULL
					OR position(lower($2::text) IN lower(error_message)) > 0)
				AND ($3::text IS NULL OR waiting_for = $3::text
					OR $3::text = ANY (providers_attempted))
				AND ($4::int = 0 OR year = $4::int)
				AND ($5::int = 0 OR month = $5::int)
			ORDER BY created_at, id
			LIMIT $6::int + 1) AS q
		ORDER BY q.created_at, q.id
		LIMIT $6::int + 1) AS p
), matching AS MATERIALIZED (
	SELECT count(*) AS n FROM (
		SELECT FROM statuses s CROSS JOIN LATERAL (
			SELECT FROM enrichment_queue
			WHERE queued_by = 'backfilld' AND status = s.status
				AND ($2::text IS NULL
					OR position(lower($2::text) IN lower(error_message)) > 0)
				AND ($3::text IS NULL OR waiting_for = $3::text
					OR $3::text = ANY (providers_attempted))
				AND ($4::int = 0 OR year = $4::int)
				AND ($5::int = 0 OR month = $5::int)
			LIMIT 100000) AS q
		LIMIT 100000) AS counted
), reasons AS MATERIALIZED (
	SELECT json_object_agg(t.reason, t.n ORDER BY t.n DESC, t.reason) AS by_reason
	FROM (
		SELECT f.reason, count(*) AS n FROM (
			SELECT coalesce(error_message, '') AS reason FROM enrichment_queue
			WHERE queued_by = 'backfilld' AND status = 'failed'
				AND coalesce($1::text, 'failed') = 'failed'
				AND ($2::text IS NULL
					OR position(lower($2::text) IN lower(error_message)) > 0)
				AND ($3::text IS NULL OR waiting_for = $3::text
					OR $3::text = ANY (providers_attempted))
				AND ($4::int = 0 OR year = $4::int)
				AND ($5::int = 0 OR month = $5::int)
			LIMIT 100000) AS f
		GROUP BY f.reason
		ORDER BY n DESC, f.reason
		LIMIT 20) AS t
)
SELECT json_build_object('status', $1::text, 'total', (SELECT n FROM matching), 'by_reason',
	coalesce((SELECT by_reason FROM reasons), '{}'),
	'items', coalesce((
		SELECT json_agg(json_build_object('id', q.id, 'entity_type', q.entity_type, 'key',
			q.entity_key, 'status', q.status, 'attempts', q.retry_count, 'max_attempts',
			q.max_retries, 'waits_for', q.waiting_for, 'error', q.error_message, 'year',
			q.year, 'month', q.month, 'work_key', q.work_key, 'job_id', q.job_id,
			'instance', q.owner, 'providers_attempted', q.providers_attempted,
			'providers_succeeded', q.providers_succeeded, 'created_at',
			backfill_time(q.created_at), 'started_at', backfill_time(q.started_at),
			'next_attempt_at', backfill_time(q.next_attempt_at), 'completed_at',
			backfill_time(q.completed_at)) ORDER BY q.place)
		FROM page q WHERE q.place <= $6::int), '[]'),
	'next', (SELECT p.id FROM page p WHERE p.place = $6::int
		AND EXISTS (SELECT FROM page WHERE place > $6::int))) AS json
WHERE $7::uuid IS NULL OR EXISTS (SELECT FROM after)

-- What was wrong with an item stays in the log. Items that somebody else changes right now are left
-- out.
-- name: redrive
WITH matching AS MATERIALIZED (
	SELECT id, entity_type, entity_key, retry_count, error_message, created_at
	FROM enrichment_queue
	WHERE queued_by = 'backfilld' AND status = 'failed'
		AND ($1::text IS NULL OR position(lower($1::text) IN lower(error_message)) > 0)
		AND ($2::text IS NULL OR waiting_for = $2::text
			OR $2::text = ANY (providers_attempted))
		AND ($3::int = 0 OR year = $3::int) AND ($4::int = 0 OR month = $4::int)
	ORDER BY created_at, id
	LIMIT 100000
), picked AS MATERIALIZED (
	SELECT q.id, q.entity_type, q.entity_key, q.retry_count, q.error_message
	FROM (SELECT id FROM matching ORDER BY created_at, id LIMIT $5::int) AS m
	JOIN enrichment_queue q ON q.id = m.id
	WHERE NOT $6::bool AND q.status = 'failed' AND q.queued_by = 'backfilld'
	FOR UPDATE OF q SKIP LOCKED
), redriven AS (
	UPDATE enrichment_queue q
	SET status = 'pending', retry_count = 0, error_message = NULL, waiting_for = NULL,
		next_attempt_at = NULL, started_at = NULL, completed_at = NULL
	FROM picked p
	WHERE q.id = p.id
	RETURNING q.id
), asked_anew AS (
	DELETE FROM provider_records r USING picked p
	WHERE p.entity_type = 'edition' AND r.isbn13 = p.entity_key AND NOT r.found
	RETURNING 1
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success, error_message,
		item_id, instance, detail)
	SELECT gen_random_uuid(), p.entity_type, p.entity_key, 'backfilld', 'redrive', true, p.error_message,
		p.id, $7::text, jsonb_build_object('attempts', p.retry_count)
	FROM picked p JOIN redriven r ON r.id = p.id
	RETURNING 1
)
SELECT json_build_object('dry_run', $6::bool, 'limit', $5::int,
	'matched', (SELECT count(*) FROM matching),
	'redriven', (SELECT count(*) FROM logged),
	'by_reason', coalesce((
		SELECT json_object_agg(t.reason, t.n ORDER BY t.n DESC, t.reason) FROM (
			SELECT coalesce(f.error_message, '') AS reason, count(*) AS n FROM (
				SELECT error_message FROM matching WHERE $6::bool
				UNION ALL
				SELECT error_message FROM picked) AS f
			GROUP BY 1
			ORDER BY n DESC, 1
			LIMIT 20) AS t), '{}')) AS json,
	(SELECT pg_notify('enrichment_queue', '') FROM (SELECT count(*) AS n FROM redriven) AS r
		WHERE r.n > 0) AS told

-- An ISBN is ours once. Rows whose key is ours already, and second rows of one key, stay with the
-- older system and are counted as duplicates among the oldest 100000.
-- name: adopt
WITH picked AS MATERIALIZED (
	SELECT q.id, q.entity_key, q.created_at FROM enrichment_queue q
	WHERE q.queued_by IS NULL AND q.entity_type = 'edition'
		AND q.status IN ('pending', 'processing', 'failed') AND NOT $1::bool
		AND NOT EXISTS (SELECT FROM enrichment_queue o WHERE o.queued_by = 'backfilld'
			AND o.entity_type = 'edition' AND o.entity_key = q.entity_key)
	ORDER BY q.created_at, q.id
	LIMIT $2::int
	FOR UPDATE OF q SKIP LOCKED
), firsts AS MATERIALIZED (
	SELECT DISTINCT ON (entity_key) id FROM picked ORDER BY entity_key, created_at, id
), adopted AS (
	UPDATE enrichment_queue q
	SET queued_by = 'backfilld',
		status = CASE q.status WHEN 'failed' THEN 'failed' ELSE 'pending' END,
		retry_count = CASE q.status WHEN 'failed' THEN coalesce(q.retry_count, 0) ELSE 0 END,
		max_retries = $3::int, priority = coalesce(q.priority, 5),
		created_at = coalesce(q.created_at, now()),
		started_at = CASE q.status WHEN 'failed' THEN q.started_at END,
		providers_attempted = coalesce(q.providers_attempted, '{}'),
		providers_succeeded = coalesce(q.providers_succeeded, '{}')
	FROM firsts f
	WHERE q.id = f.id
	RETURNING q.status
), scanned AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM enrichment_queue o WHERE o.queued_by = 'backfilld'
			AND o.entity_type = 'edition' AND o.entity_key = q.entity_key) AS twice
	FROM (
		SELECT entity_key FROM enrichment_queue
		WHERE queued_by IS NULL AND entity_type = 'edition'
			AND status IN ('pending', 'processing', 'failed')
		ORDER BY created_at, id
		LIMIT 100000) AS q
), rest AS MATERIALIZED (
	SELECT count(*) AS n FROM (
		SELECT FROM enrichment_queue q
		WHERE q.queued_by IS NULL AND q.entity_type = 'edition'
			AND q.status IN ('pending', 'processing', 'failed')
			AND NOT EXISTS (SELECT FROM enrichment_queue o
				WHERE o.queued_by = 'backfilld' AND o.entity_type = 'edition'
					AND o.entity_key = q.entity_key)
		LIMIT 100000 + (SELECT count(*) FROM picked)) AS counted
), figures AS MATERIALIZED (
	SELECT (SELECT count(*) FROM adopted) AS adopted, (SELECT count(*) FROM picked) AS picked
)
SELECT json_build_object('dry_run', $1::bool, 'limit', $2::int, 'adopted', f.adopted, 'duplicates',
	(SELECT count(*) FROM scanned WHERE twice) + f.picked - f.adopted, 'left',
	(SELECT n FROM rest) - f.picked) AS json,
	(SELECT pg_notify('enrichment_queue', '') WHERE f.adopted > 0) AS told
FROM figures f

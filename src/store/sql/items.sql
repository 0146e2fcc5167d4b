-- The queue's items: how they come into an instance's hands, what providers said of them, and every end
-- but the successful one. An item in processing belongs to its fence. All run on the pool: what tells
-- that an owner is gone is its instance lock (class 1112949070), which the lock session holds.

-- An owner without its lock is seen twice, four seconds apart, before it loses its items; a first look
-- from before the server's start, from its first seconds or from long ago does not count. What waited
-- for a time is taken by that time as far as 2000 items, and by priority within them. A book that ISBNdb
-- definitely had not when it was asked by title, and whose record came from another, is not bought there.
-- name: items_claim
WITH pause AS MATERIALIZED (
	SELECT FROM backfill_control WHERE paused AND (until IS NULL OR until > now())
), allowed AS MATERIALIZED (
	SELECT WHERE $5::int > 0 AND NOT EXISTS (SELECT FROM pause)
), alive AS MATERIALIZED (
	SELECT objid::bigint AS id FROM pg_locks
	WHERE locktype = 'advisory' AND classid = 1112949070 AND objsubid = 2 AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), held AS MATERIALIZED (
	SELECT q.id, q.priority, q.created_at, s.what
	FROM enrichment_queue q, allowed, LATERAL (
		SELECT CASE
			WHEN q.lease_until < now() THEN 'take'
			WHEN EXISTS (SELECT FROM alive a WHERE a.id = q.owner_id)
				THEN CASE WHEN q.orphaned_at IS NOT NULL THEN 'clear' END
			WHEN q.orphaned_at IS NULL
				OR q.orphaned_at < now() - interval '10 minutes'
				OR q.orphaned_at < pg_postmaster_start_time() + interval '5 s'
				THEN 'mark'
			WHEN q.orphaned_at <= now() - interval '4 s' THEN 'take' END AS what
		OFFSET 0) AS s
	WHERE q.entity_type = $1::text AND q.status = 'processing'
		AND q.queued_by = 'backfilld' AND s.what IS NOT NULL
	FOR UPDATE OF q SKIP LOCKED
), marked AS (
	UPDATE enrichment_queue q
	SET orphaned_at = CASE h.what WHEN 'mark' THEN now() END
	FROM held h
	WHERE q.id = h.id AND h.what IN ('mark', 'clear')
	RETURNING 1
), due AS MATERIALIZED (
	SELECT q.id, q.priority, q.created_at
	FROM enrichment_queue q, allowed
	WHERE q.entity_type = $1::text AND q.status = 'pending' AND q.queued_by = 'backfilld'
		AND q.next_attempt_at IS NULL
	ORDER BY q.priority, q.created_at
	LIMIT $2::int
	FOR UPDATE OF q SKIP LOCKED
), waited AS MATERIALIZED (
	SELECT q.id, q.priority, q.created_at
	FROM enrichment_queue q, allowed
	WHERE q.id = ANY (ARRAY(
			SELECT w.id FROM enrichment_queue w
			WHERE w.entity_type = $1::text AND w.status = 'pending'
				AND w.queued_by = 'backfilld' AND w.next_attempt_at <= now()
			ORDER BY w.next_attempt_at
			LIMIT 2000))
		AND q.status = 'pending' AND q.queued_by = 'backfilld'
		AND q.next_attempt_at <= now()
	ORDER BY q.priority, q.created_at
	LIMIT $2::int
	FOR UPDATE OF q SKIP LOCKED
), taken AS MATERIALIZED (
	SELECT id FROM (
		SELECT id, 0 AS rank, priority, created_at FROM held WHERE what = 'take'
		UNION ALL SELECT id, 1, priority, created_at FROM due
		UNION ALL SELECT id, 1, priority, created_at FROM waited) AS f
	ORDER BY rank, priority, created_at
	LIMIT $2::int
), moved AS (
	UPDATE enrichment_queue q
	SET status = 'processing', fence = q.fence + 1, owner = $4::text, owner_id = $5::int,
		lease_until = now() + $3::bigint * interval '1 ms', orphaned_at = NULL,
		started_at = now(), completed_at = NULL, next_attempt_at = NULL, waiting_for = NULL
	FROM taken t
	WHERE q.id = t.id
	RETURNING q.id, q.fence, q.entity_type, q.entity_key, q.retry_count, q.max_retries,
		q.priority, q.created_at, q.work_key
)
SELECT EXISTS (SELECT FROM pause) AS paused,
	(SELECT ceil(extract(epoch FROM w.next_attempt_at - now()) * 1000)::bigint
		FROM enrichment_queue w
		WHERE w.entity_type = $1::text AND w.status = 'pending'
			AND w.queued_by = 'backfilld' AND w.next_attempt_at > now()
		ORDER BY w.next_attempt_at
		LIMIT 1) AS next_due_ms,
	m.id, m.fence, m.entity_key, m.retry_count, m.max_retries,
	coalesce(b.title, w.title) AS title, coalesce(b.author, w.author) AS author,
	coalesce(b.language, w.language) AS language, coalesce(b.year, w.year) AS year,
	k.list AS work_keys, s.isbn AS sibling_of, r.list AS records
FROM (SELECT count(*) FROM marked) AS seen
LEFT JOIN moved m ON true
LEFT JOIN LATERAL (
	SELECT c.title, c.author, c.language, c.publication_year AS year
	FROM (
		SELECT c.* FROM backfill_candidates c
		WHERE m.entity_type = 'edition' AND c.isbn13 = m.entity_key
		UNION ALL
		SELECT c.* FROM backfill_candidates c
		WHERE c.work_key = CASE m.entity_type WHEN 'work' THEN m.entity_key
			ELSE m.work_key END) AS c
	ORDER BY c.isbn13 IS DISTINCT FROM m.entity_key, c.state = 'merged', c.id
	LIMIT 1) AS b ON true
LEFT JOIN LATERAL (
	SELECT e.title, e.original_language AS language, e.first_publication_year AS year,
		coalesce((
			SELECT string_agg(a.name, ';' ORDER BY l.author_order, a.author_key)
			FROM work_authors_enriched l
			JOIN enriched_authors a ON a.author_key = l.author_key
			WHERE l.work_key = e.work_key),
			backfill_metadata(e.metadata) ->> 'author') AS author
	FROM enriched_works e
	WHERE b.title IS NULL AND e.work_key = CASE m.entity_type WHEN 'work' THEN m.entity_key
		ELSE m.work_key END
	LIMIT 1) AS w ON true
LEFT JOIN LATERAL (
	SELECT json_agg(u.work_key ORDER BY u.rank, u.work_key) AS list
	FROM (
		SELECT x.work_key, min(x.rank) AS rank
		FROM (
			SELECT m.work_key, 0 AS rank
			UNION ALL
			SELECT c.work_key, 1 FROM backfill_candidates c
			WHERE m.entity_type = 'edition' AND c.isbn13 = m.entity_key) AS x
		WHERE x.work_key IS NOT NULL
		GROUP BY x.work_key) AS u) AS k ON true
LEFT JOIN LATERAL (
	SELECT p.for_isbn AS isbn FROM provider_records p
	WHERE m.entity_type = 'edition' AND p.isbn13 = m.entity_key AND p.for_isbn <> p.isbn13
	ORDER BY p.found DESC, p.received_at DESC
	LIMIT 1) AS s ON true
LEFT JOIN LATERAL (
	SELECT json_agg(json_build_object('provider', x.provider, 'found', x.found, 'record',
		x.record, 'at', backfill_time(x.at)) ORDER BY x.found, x.rank DESC, x.at) AS list
	FROM (
		SELECT p.provider, p.found, p.record, p.received_at AS at, 0 AS rank
		FROM provider_records p
		WHERE m.entity_type = 'edition' AND p.isbn13 = m.entity_key
			AND (p.found OR p.received_at > now() - interval '30 days')
		UNION ALL
		SELECT c.resolved_by, true, c.record, c.updated_at, 1
		FROM backfill_candidates c
		WHERE m.entity_type = 'edition' AND c.isbn13 = m.entity_key
			AND c.record IS NOT NULL AND c.resolved_by IS NOT NULL
		UNION ALL
		SELECT 'isbndb', false, NULL, c.updated_at, 2
		FROM backfill_candidates c
		WHERE m.entity_type = 'edition' AND c.isbn13 = m.entity_key
			AND c.record IS NOT NULL AND c.resolved_by <> 'isbndb'
			AND c.answers -> 'isbndb' ->> 'outcome' = 'not_found') AS x) AS r ON true
ORDER BY m.priority, m.created_at, m.id

-- Records are kept whoever has the item now: they were paid for. What was found wins over a miss. A line
-- of the log is written once for each call, item and provider.
-- name: items_fetched
WITH given AS MATERIALIZED (
	SELECT * FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[],
		$8::text[], $9::text[], $10::bigint[]) WITH ORDINALITY
		AS t (id, fence, provider, isbn13, what, record, reason, latency, ord)
), mine AS MATERIALIZED (
	SELECT q.id FROM (SELECT DISTINCT id, fence FROM given) AS g
	JOIN enrichment_queue q ON q.id = g.id AND q.fence = g.fence AND q.status = 'processing'
	ORDER BY q.id
	FOR UPDATE OF q
), kept AS (
	INSERT INTO provider_records AS p (provider, isbn13, found, record, for_isbn)
	SELECT DISTINCT ON (g.isbn13, g.provider) g.provider, g.isbn13, g.what = 'found',
		g.record::jsonb, g.isbn13
	FROM given g, (SELECT count(*) FROM mine) AS locked
	WHERE g.isbn13 IS NOT NULL AND (g.what = 'missing'
		OR (g.what = 'found' AND g.record IS NOT NULL))
	ORDER BY g.isbn13, g.provider, g.what, g.ord DESC
	ON CONFLICT (isbn13, provider) DO UPDATE
	SET found = excluded.found, record = excluded.record, received_at = now()
	WHERE excluded.found OR NOT p.found
	RETURNING 1
), noted AS (
	UPDATE enrichment_queue q
	SET providers_attempted = (
			SELECT array_agg(DISTINCT x ORDER BY x)
			FROM unnest(coalesce(q.providers_attempted, '{}') || g.attempted) AS x),
		providers_succeeded = (
			SELECT coalesce(array_agg(DISTINCT x ORDER BY x), '{}')
			FROM unnest(coalesce(q.providers_succeeded, '{}') || g.succeeded) AS x)
	FROM mine m JOIN (
		SELECT id, array_agg(provider) AS attempted,
			coalesce(array_agg(provider) FILTER (WHERE what = 'found'),
				'{}') AS succeeded
		FROM given GROUP BY id) AS g ON g.id = m.id
	WHERE q.id = m.id
	RETURNING 1
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success,
		error_message, response_time_ms, created_at, item_id, instance, detail, call_id)
	SELECT gen_random_uuid(), coalesce(q.entity_type, 'edition'),
		CASE q.entity_type WHEN 'work' THEN q.entity_key
			ELSE coalesce(g.isbn13, q.entity_key) END,
		g.provider, 'lookup', g.what <> 'failed',
		CASE g.what WHEN 'failed' THEN left(g.reason, 1000) END,
		least(g.latency, 2147483647), clock_timestamp(), g.id, $2::text,
		jsonb_build_object('answer', g.what), $1::uuid
	FROM given g LEFT JOIN LATERAL (
		SELECT entity_type, entity_key FROM enrichment_queue WHERE id = g.id
		LIMIT 1) AS q ON true
	WHERE q.entity_key IS NOT NULL OR g.isbn13 IS NOT NULL
	ON CONFLICT (call_id, item_id, provider) WHERE call_id IS NOT NULL DO NOTHING
	RETURNING 1
)
SELECT DISTINCT g.id, g.fence
FROM given g, (SELECT count(*) FROM kept) AS a, (SELECT count(*) FROM noted) AS b,
	(SELECT count(*) FROM logged) AS c
WHERE NOT EXISTS (SELECT FROM mine m WHERE m.id = g.id)

-- An item that ended under its fence before is not lost: this may be the same call again.
-- name: items_end
WITH given AS MATERIALIZED (
	SELECT DISTINCT ON (t.id) t.*
	FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
		$8::bigint[]) WITH ORDINALITY
		AS t (id, fence, how, reason, waiting_for, isbn13, wait_ms, ord)
	ORDER BY t.id, t.ord
), mine AS MATERIALIZED (
	SELECT q.id, q.status, q.entity_type, q.entity_key, q.retry_count, q.max_retries, g.how,
		g.reason, g.waiting_for, g.isbn13, g.wait_ms, g.ord
	FROM given g JOIN enrichment_queue q ON q.id = g.id AND q.fence = g.fence
	ORDER BY q.id
	FOR UPDATE OF q
), ends AS MATERIALIZED (
	SELECT m.id, m.entity_type, m.entity_key, m.how, m.reason, m.wait_ms, m.isbn13, n.count,
		CASE WHEN m.how IN ('wait', 'retry') THEN m.waiting_for END AS waiting_for,
		CASE WHEN m.how = 'failed' OR (m.how = 'retry' AND n.count >= coalesce(m.max_retries, 0))
			THEN 'failed'
			WHEN m.how = 'done' OR d.id IS NOT NULL THEN 'completed'
			ELSE 'pending' END AS status,
		d.id AS twin
	FROM mine m
	CROSS JOIN LATERAL (
		SELECT coalesce(m.retry_count, 0)
			+ CASE m.how WHEN 'retry' THEN 1 ELSE 0 END AS count) AS n
	LEFT JOIN LATERAL (
		SELECT x.id FROM (
			SELECT q.id, 0 AS ord FROM enrichment_queue q
			WHERE q.entity_key = m.isbn13 AND q.queued_by = 'backfilld'
				AND q.entity_type = 'edition' AND q.id <> m.id
			UNION ALL
			SELECT o.id, 1 FROM mine o
			WHERE o.isbn13 = m.isbn13 AND o.how = 'rekey'
				AND o.status = 'processing' AND o.ord < m.ord) AS x
		WHERE m.how = 'rekey'
		ORDER BY x.ord, x.id
		LIMIT 1) AS d ON true
	WHERE m.status = 'processing'
), moved AS (
	UPDATE enrichment_queue q
	SET status = e.status, retry_count = e.count, waiting_for = e.waiting_for,
		entity_key = CASE WHEN e.how = 'rekey' AND e.twin IS NULL THEN e.isbn13
			ELSE q.entity_key END,
		error_message = CASE
			WHEN e.twin IS NOT NULL THEN 'the same ISBN as item ' || e.twin
			WHEN e.how IN ('release', 'rekey') THEN q.error_message
			ELSE e.reason END,
		next_attempt_at = CASE WHEN e.status = 'pending' AND e.how IN ('wait', 'retry')
			THEN now() + e.wait_ms * interval '1 ms' END,
		completed_at = CASE WHEN e.status <> 'pending'
			THEN greatest(now(), q.started_at) END,
		owner = NULL, owner_id = NULL, lease_until = NULL, orphaned_at = NULL
	FROM ends e
	WHERE q.id = e.id
	RETURNING q.id
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success, error_message,
		created_at, item_id, instance, detail)
	SELECT gen_random_uuid(), e.entity_type, e.entity_key, 'backfilld',
		CASE e.status WHEN 'failed' THEN 'failed' ELSE 'retry' END, false,
		left(e.reason, 1000), clock_timestamp(), e.id, $1::text,
		jsonb_build_object('attempts', e.count)
	FROM ends e JOIN moved m ON m.id = e.id
	WHERE e.how IN ('retry', 'failed')
	RETURNING 1
)
SELECT g.id, g.fence,
	CASE WHEN EXISTS (SELECT FROM ends e WHERE e.how IN ('release', 'rekey')
			AND e.status = 'pending')
		THEN pg_notify('enrichment_queue', '') END AS told
FROM (SELECT count(*) FROM logged) AS l
LEFT JOIN given g ON NOT EXISTS (SELECT FROM mine m WHERE m.id = g.id)

-- name: records
INSERT INTO provider_records AS p (provider, isbn13, found, record, for_isbn)
SELECT DISTINCT ON (t.isbn13, t.provider) t.provider, t.isbn13, true, t.record::jsonb, t.for_isbn
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
	AS t (provider, isbn13, for_isbn, record, ord)
WHERE t.record IS NOT NULL
ORDER BY t.isbn13, t.provider, t.ord DESC
ON CONFLICT (isbn13, provider) DO UPDATE
SET found = true, record = excluded.record, received_at = now(),
	for_isbn = CASE WHEN excluded.for_isbn = excluded.isbn13 THEN p.for_isbn
		ELSE excluded.for_isbn END

-- After a reload: whoever was waited for may be back, or have more room.
-- name: items_hurry
WITH waiting AS MATERIALIZED (
	SELECT q.id FROM enrichment_queue q
	WHERE q.entity_type = ANY (ARRAY['edition', 'work']) AND q.status = 'pending'
		AND q.queued_by = 'backfilld' AND q.next_attempt_at > now()
		AND q.waiting_for IS NOT NULL
	ORDER BY q.next_attempt_at
	LIMIT 20000
	FOR UPDATE OF q SKIP LOCKED
), moved AS (
	UPDATE enrichment_queue q SET next_attempt_at = NULL, waiting_for = NULL
	FROM waiting w WHERE q.id = w.id
	RETURNING 1
)
SELECT count(*) AS count FROM moved

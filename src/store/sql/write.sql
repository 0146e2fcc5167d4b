-- A batch's works and editions, in one transaction of several statements. The first one after the lock
-- judges which items may be written and leaves that part of the batch in a setting of the transaction,
-- where the others find it: each of them sees what the one before it wrote. Nothing else writes works
-- meanwhile, but for programs that do not know the lock; those that change a row show by its time.

-- name: write_lock
SELECT pg_advisory_xact_lock(1112949073, 0), set_config('enable_seqscan', 'off', true),
	set_config('jit', 'off', true)

-- Written is what is ours, of an edition that is as it was seen, and of a work that is so too. A work is
-- not when it or one that goes into it changed or is gone, when its key is taken meanwhile, when two of
-- the batch want the same, or, unless it was real and found, when another work of its authors came up
-- since. An item completed under this fence was written by this very call before.
-- name: write_judge
WITH items AS MATERIALIZED (
	SELECT j.value AS body, t.*
	FROM jsonb_array_elements($1::jsonb -> 'items') AS j, jsonb_to_record(j.value)
		AS t (i int, id uuid, fence bigint, isbn13 text, isbn10 text, was_key text,
			seen text, work int)
), works AS MATERIALIZED (
	SELECT j.value AS body, t.*
	FROM jsonb_array_elements($1::jsonb -> 'works') AS j, jsonb_to_record(j.value)
		AS t (k int, work_key text, seen text, promoted bool, authors jsonb,
			absorbed jsonb)
), held AS MATERIALIZED (
	SELECT i.i, q.status FROM items i
	JOIN enrichment_queue q ON q.id = i.id AND q.fence = i.fence
	ORDER BY q.id
	FOR UPDATE OF q
), absorbed AS MATERIALIZED (
	SELECT w.k, a.key, a.seen
	FROM works w, jsonb_to_recordset(w.absorbed) AS a (key text, seen text)
), newer AS MATERIALIZED (
	SELECT DISTINCT l.author_key
	FROM (
		SELECT work_key FROM enriched_works WHERE updated_at > $2::timestamptz
		ORDER BY updated_at DESC
		LIMIT 10000) AS r, LATERAL (
		SELECT author_key FROM work_authors_enriched WHERE work_key = r.work_key
		LIMIT 50) AS l
	WHERE r.work_key NOT IN (
		SELECT work_key FROM works WHERE seen IS NOT NULL
		UNION ALL SELECT key FROM absorbed)
), sound AS MATERIALIZED (
	SELECT w.k FROM works w LEFT JOIN LATERAL (
		SELECT coalesce(updated_at::text, '') AS seen FROM enriched_works
		WHERE work_key = w.work_key
		LIMIT 1) AS e ON true
	WHERE e.seen IS NOT DISTINCT FROM w.seen
		AND NOT EXISTS (SELECT FROM works o WHERE o.work_key = w.work_key AND o.k < w.k)
		AND NOT EXISTS (SELECT FROM absorbed a WHERE a.key = w.work_key)
		AND NOT EXISTS (
			SELECT FROM absorbed a LEFT JOIN LATERAL (
				SELECT coalesce(updated_at::text, '') AS seen, synthetic
				FROM enriched_works WHERE work_key = a.key
				LIMIT 1) AS e ON true
			WHERE a.k = w.k AND (e.synthetic IS NOT TRUE OR e.seen <> a.seen
				OR EXISTS (SELECT FROM absorbed o
					WHERE o.key = a.key AND o.k < a.k)))
		AND ((w.seen IS NOT NULL AND NOT w.promoted) OR NOT EXISTS (
			SELECT FROM jsonb_to_recordset(w.authors) AS a (author_key text)
			JOIN newer n ON n.author_key = a.author_key))
), judged AS MATERIALIZED (
	SELECT i.i, i.work, CASE
		WHEN h.status = 'completed' THEN 'done'
		WHEN h.status IS DISTINCT FROM 'processing' THEN 'not_mine'
		WHEN NOT EXISTS (SELECT FROM sound s WHERE s.k = i.work)
			OR e.seen IS DISTINCT FROM i.seen
			OR EXISTS (SELECT FROM items o WHERE o.isbn13 = i.isbn13 AND o.i < i.i)
			OR (i.seen IS NULL AND EXISTS (
				SELECT FROM enriched_editions WHERE isbn = i.isbn10))
			OR (i.was_key <> i.isbn13 AND EXISTS (
				SELECT FROM enriched_editions WHERE isbn = i.isbn13))
			THEN 'stale'
		ELSE 'write' END AS verdict
	FROM items i LEFT JOIN held h ON h.i = i.i LEFT JOIN LATERAL (
		SELECT coalesce(updated_at::text, '') AS seen FROM enriched_editions
		WHERE isbn = coalesce(i.was_key, i.isbn13)
		LIMIT 1) AS e ON true
), written AS MATERIALIZED (
	SELECT w.* FROM works w
	WHERE w.k IN (SELECT work FROM judged WHERE verdict = 'write')
), touched AS MATERIALIZED (
	SELECT a.author_key
	FROM written w, jsonb_to_recordset(w.authors) AS a (author_key text)
	UNION
	SELECT l.author_key
	FROM (
		SELECT work_key FROM written WHERE promoted
		UNION ALL
		SELECT a.key FROM absorbed a JOIN written w ON w.k = a.k
	) AS o, LATERAL (
		SELECT author_key FROM work_authors_enriched WHERE work_key = o.work_key
		LIMIT 1000) AS l
)
SELECT j.i, j.verdict
FROM judged j, (
	SELECT set_config('backfill.batch', jsonb_build_object(
		'items', coalesce((SELECT jsonb_agg(i.body ORDER BY i.i)
			FROM items i JOIN judged x ON x.i = i.i
			WHERE x.verdict = 'write'), '[]'),
		'works', coalesce((SELECT jsonb_agg(body ORDER BY k) FROM written), '[]'),
		'touched', coalesce((SELECT jsonb_agg(author_key) FROM touched), '[]'))::text,
		true) AS batch
	OFFSET 0) AS kept
WHERE kept.batch IS NOT NULL
ORDER BY j.i

-- A work that existed keeps what the batch knows nothing of. Authors are linked in order when a work has
-- none yet; a synthetic one's were an AI's, and are replaced.
-- name: write_works
WITH batch AS MATERIALIZED (
	SELECT current_setting('backfill.batch')::jsonb AS b, clock_timestamp() AS at
), firsts AS MATERIALIZED (
	SELECT i.* FROM batch, jsonb_to_recordset(b -> 'items') AS i (i int, id uuid, work int)
), works AS MATERIALIZED (
	SELECT t.*, batch.at, (
		SELECT i.id FROM firsts i WHERE i.work = t.k ORDER BY i.i LIMIT 1) AS item_id,
		jsonb_strip_nulls(jsonb_build_object('provenance', t.provenance)) AS facts
	FROM batch, jsonb_to_recordset(b -> 'works') AS t (k int, work_key text, seen text,
		promoted bool, authors jsonb, updated text[], title text, subtitle text,
		description text, original_language text, cover_large text, cover_medium text,
		cover_small text, cover_source text, openlibrary_work_id text, isbndb_id text,
		primary_provider text, first_publication_year int, quality int, completeness int,
		synthetic bool, subject_tags text[], goodreads_work_ids text[],
		amazon_asins text[], google_books_volume_ids text[], contributors text[],
		provenance jsonb)
), authors AS MATERIALIZED (
	SELECT DISTINCT ON (w.work_key, a.author_key) w.work_key, a.author_key, a.name, a.place,
		w.primary_provider, w.at
	FROM works w, jsonb_to_recordset(w.authors) AS a (place int, name text, author_key text)
	WHERE a.author_key <> '' AND a.name <> ''
	ORDER BY w.work_key, a.author_key, a.place
), relinked AS MATERIALIZED (
	SELECT w.* FROM works w
	WHERE EXISTS (SELECT FROM authors a WHERE a.work_key = w.work_key)
		AND (w.seen IS NULL OR w.promoted OR NOT EXISTS (
			SELECT FROM work_authors_enriched l WHERE l.work_key = w.work_key))
), created AS (
	INSERT INTO enriched_works (work_key, title, subtitle, description, original_language,
		first_publication_year, subject_tags, cover_url_large, cover_url_medium,
		cover_url_small, cover_source, openlibrary_work_id, goodreads_work_ids,
		amazon_asins, google_books_volume_ids, isbndb_id, primary_provider, contributors,
		synthetic, isbndb_quality, completeness_score, created_at, updated_at,
		last_isbndb_sync, last_google_books_sync, metadata)
	SELECT w.work_key, coalesce(w.title, ''), w.subtitle, w.description, w.original_language,
		w.first_publication_year, w.subject_tags, w.cover_large, w.cover_medium,
		w.cover_small, w.cover_source, w.openlibrary_work_id, w.goodreads_work_ids,
		w.amazon_asins, w.google_books_volume_ids, w.isbndb_id, w.primary_provider,
		w.contributors, w.synthetic, w.quality, w.completeness, w.at, w.at,
		CASE WHEN 'isbndb' = ANY (w.contributors) THEN w.at END,
		CASE WHEN 'google_books' = ANY (w.contributors) THEN w.at END, w.facts
	FROM works w
	WHERE w.seen IS NULL
	RETURNING work_key
), changed AS (
	UPDATE enriched_works e
	SET title = coalesce(w.title, e.title), subtitle = w.subtitle,
		description = coalesce(w.description, e.description),
		original_language = coalesce(w.original_language, e.original_language),
		first_publication_year = coalesce(w.first_publication_year,
			e.first_publication_year),
		subject_tags = coalesce(w.subject_tags, e.subject_tags),
		cover_url_large = coalesce(w.cover_large, e.cover_url_large),
		cover_url_medium = coalesce(w.cover_medium, e.cover_url_medium),
		cover_url_small = coalesce(w.cover_small, e.cover_url_small),
		cover_source = coalesce(w.cover_source, e.cover_source),
		openlibrary_work_id = coalesce(w.openlibrary_work_id, e.openlibrary_work_id),
		goodreads_work_ids = coalesce(w.goodreads_work_ids, e.goodreads_work_ids),
		amazon_asins = coalesce(w.amazon_asins, e.amazon_asins),
		google_books_volume_ids = coalesce(w.google_books_volume_ids,
			e.google_books_volume_ids),
		isbndb_id = coalesce(w.isbndb_id, e.isbndb_id),
		primary_provider = coalesce(w.primary_provider, e.primary_provider),
		contributors = coalesce(w.contributors, e.contributors),
		synthetic = w.synthetic, isbndb_quality = w.quality,
		completeness_score = w.completeness, updated_at = w.at,
		last_isbndb_sync = CASE WHEN 'isbndb' = ANY (w.contributors) THEN w.at
			ELSE e.last_isbndb_sync END,
		last_google_books_sync = CASE WHEN 'google_books' = ANY (w.contributors) THEN w.at
			ELSE e.last_google_books_sync END,
		metadata = backfill_metadata(e.metadata) || w.facts
	FROM works w
	WHERE e.work_key = w.work_key AND w.seen IS NOT NULL
		AND (w.promoted OR cardinality(w.updated) > 0
			OR jsonb_typeof(e.metadata) IS DISTINCT FROM 'object')
	RETURNING e.work_key
), people AS (
	INSERT INTO enriched_authors (author_key, name, primary_provider, contributors,
		created_at, updated_at)
	SELECT DISTINCT ON (a.author_key) a.author_key, a.name, a.primary_provider,
		array_remove(ARRAY[a.primary_provider], NULL), a.at, a.at
	FROM authors a
	ORDER BY a.author_key, a.work_key
	ON CONFLICT (author_key) DO NOTHING
	RETURNING 1
), unlinked AS (
	DELETE FROM work_authors_enriched l USING relinked r
	WHERE l.work_key = r.work_key AND NOT EXISTS (
		SELECT FROM authors a WHERE a.work_key = l.work_key
			AND a.author_key = l.author_key)
	RETURNING 1
), linked AS (
	INSERT INTO work_authors_enriched AS l (work_key, author_key, author_order)
	SELECT a.work_key, a.author_key, a.place
	FROM authors a JOIN relinked r ON r.work_key = a.work_key
	ORDER BY a.work_key, a.author_key
	ON CONFLICT (work_key, author_key) DO UPDATE SET author_order = excluded.author_order
	RETURNING 1
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success,
		fields_updated, created_at, item_id, instance, detail)
	SELECT gen_random_uuid(), 'work', o.work_key, coalesce(o.primary_provider, 'backfilld'),
		o.operation, true,
		o.updated, clock_timestamp(), o.item_id, $1::text, o.detail
	FROM (
		SELECT w.work_key, w.primary_provider, 'create_work' AS operation, w.updated,
			w.item_id, NULL::jsonb AS detail
		FROM works w JOIN created c ON c.work_key = w.work_key
		UNION ALL
		SELECT w.work_key, w.primary_provider,
			CASE WHEN w.promoted THEN 'promote_work' ELSE 'update_work' END, w.updated,
			w.item_id, NULL
		FROM works w JOIN changed c ON c.work_key = w.work_key
		UNION ALL
		SELECT r.work_key, r.primary_provider, 'link_authors', NULL, r.item_id,
			jsonb_build_object('authors', (
				SELECT jsonb_agg(a.author_key ORDER BY a.place) FROM authors a
				WHERE a.work_key = r.work_key))
		FROM relinked r) AS o
	RETURNING 1
)
SELECT (SELECT count(*) FROM people) AS people, (SELECT count(*) FROM unlinked) AS unlinked,
	(SELECT count(*) FROM linked) AS linked, (SELECT count(*) FROM logged) AS logged

-- An edition under its ISBN-10 gets its ISBN-13 as key and keeps the other one among its alternates.
-- name: write_editions
WITH batch AS MATERIALIZED (
	SELECT current_setting('backfill.batch')::jsonb AS b, clock_timestamp() AS at
), keys AS MATERIALIZED (
	SELECT w.* FROM batch, jsonb_to_recordset(b -> 'works') AS w (k int, work_key text)
), items AS MATERIALIZED (
	SELECT t.*, batch.at, w.work_key, jsonb_strip_nulls(jsonb_build_object('provenance',
			t.provenance, 'missing', t.missing)) AS facts,
		CASE WHEN 'isbndb' = ANY (t.contributors) THEN coalesce((
			SELECT received_at FROM provider_records WHERE isbn13 = t.isbn13
				AND provider = 'isbndb' AND found), batch.at) END AS isbndb_sync,
		CASE WHEN 'google_books' = ANY (t.contributors) THEN coalesce((
			SELECT received_at FROM provider_records WHERE isbn13 = t.isbn13
				AND provider = 'google_books' AND found), batch.at) END AS google_sync
	FROM batch, jsonb_to_recordset(b -> 'items') AS t (i int, id uuid, isbn13 text,
		was_key text, seen text, work int, confidence int, source text, primary_name text,
		missing text, updated text[], title text, subtitle text, publisher text,
		publication_date text, format text, language text, description text,
		cover_large text, cover_medium text, cover_small text, cover_source text,
		openlibrary_edition_id text, primary_provider text, page_count int, quality int,
		completeness int, alternate_isbns text[], amazon_asins text[],
		google_books_volume_ids text[], goodreads_edition_ids text[],
		librarything_ids text[], contributors text[], provenance jsonb)
	JOIN keys w ON w.k = t.work
), created AS (
	INSERT INTO enriched_editions (isbn, alternate_isbns, work_key, title, subtitle, publisher,
		publication_date, page_count, format, language, edition_description,
		cover_url_large, cover_url_medium, cover_url_small, cover_source,
		openlibrary_edition_id, amazon_asins, google_books_volume_ids, librarything_ids,
		goodreads_edition_ids, primary_provider, contributors, isbndb_quality,
		completeness_score, work_match_confidence, work_match_source, created_at,
		updated_at, last_isbndb_sync, last_google_books_sync, metadata)
	SELECT i.isbn13, i.alternate_isbns, i.work_key, i.title, i.subtitle, i.publisher,
		i.publication_date, i.page_count, i.format, i.language, i.description,
		i.cover_large, i.cover_medium, i.cover_small, i.cover_source,
		i.openlibrary_edition_id, i.amazon_asins, i.google_books_volume_ids,
		i.librarything_ids, i.goodreads_edition_ids, i.primary_provider, i.contributors,
		i.quality, i.completeness, i.confidence, i.source, i.at, i.at, i.isbndb_sync,
		i.google_sync, i.facts
	FROM items i
	WHERE i.seen IS NULL
	RETURNING isbn
), changed AS (
	UPDATE enriched_editions e
	SET isbn = i.isbn13, work_key = i.work_key,
		alternate_isbns = CASE
			WHEN e.isbn = i.isbn13 OR e.isbn = ANY (i.alternate_isbns)
				THEN coalesce(i.alternate_isbns, e.alternate_isbns)
			ELSE coalesce(i.alternate_isbns, e.alternate_isbns, '{}') || e.isbn END,
		title = coalesce(i.title, e.title), subtitle = i.subtitle,
		publisher = coalesce(i.publisher, e.publisher),
		publication_date = coalesce(i.publication_date, e.publication_date),
		page_count = coalesce(i.page_count, e.page_count),
		format = coalesce(i.format, e.format), language = coalesce(i.language, e.language),
		edition_description = coalesce(i.description, e.edition_description),
		cover_url_large = coalesce(i.cover_large, e.cover_url_large),
		cover_url_medium = coalesce(i.cover_medium, e.cover_url_medium),
		cover_url_small = coalesce(i.cover_small, e.cover_url_small),
		cover_source = coalesce(i.cover_source, e.cover_source),
		openlibrary_edition_id = coalesce(i.openlibrary_edition_id,
			e.openlibrary_edition_id),
		amazon_asins = coalesce(i.amazon_asins, e.amazon_asins),
		google_books_volume_ids = coalesce(i.google_books_volume_ids,
			e.google_books_volume_ids),
		librarything_ids = coalesce(i.librarything_ids, e.librarything_ids),
		goodreads_edition_ids = coalesce(i.goodreads_edition_ids, e.goodreads_edition_ids),
		primary_provider = coalesce(i.primary_provider, e.primary_provider),
		contributors = coalesce(i.contributors, e.contributors),
		isbndb_quality = i.quality, completeness_score = i.completeness,
		work_match_confidence = CASE
			WHEN e.work_key = i.work_key AND e.work_match_source IS NOT NULL
				THEN e.work_match_confidence
			ELSE i.confidence END,
		work_match_source = CASE WHEN e.work_key = i.work_key
			THEN coalesce(e.work_match_source, i.source) ELSE i.source END,
		updated_at = i.at, last_isbndb_sync = coalesce(i.isbndb_sync, e.last_isbndb_sync),
		last_google_books_sync = coalesce(i.google_sync, e.last_google_books_sync),
		metadata = backfill_metadata(e.metadata) - 'missing' || i.facts
	FROM items i
	WHERE e.isbn = coalesce(i.was_key, i.isbn13) AND i.seen IS NOT NULL
	RETURNING e.isbn
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success,
		fields_updated, created_at, item_id, instance, detail)
	SELECT gen_random_uuid(), 'edition', i.isbn13, coalesce(i.primary_name, 'backfilld'),
		CASE WHEN i.seen IS NULL THEN 'create_edition' ELSE 'update_edition' END, true,
		i.updated, clock_timestamp(), i.id, $1::text, jsonb_strip_nulls(jsonb_build_object(
			'work_key', i.work_key, 'confidence', i.confidence, 'source', i.source,
			'missing', i.missing, 'former_key', nullif(i.was_key, i.isbn13)))
	FROM items i
	RETURNING 1
)
SELECT (SELECT count(*) FROM created) AS created, (SELECT count(*) FROM changed) AS changed,
	(SELECT count(*) FROM logged) AS logged

-- Synthetic works that turned out to be another go into it with all that points at them. What an AI said
-- of the book stays known. Items that would try them again have nothing left to do.
-- name: write_absorb
WITH batch AS MATERIALIZED (
	SELECT current_setting('backfill.batch')::jsonb AS b, clock_timestamp() AS at
), firsts AS MATERIALIZED (
	SELECT i.* FROM batch, jsonb_to_recordset(b -> 'items') AS i (i int, id uuid, work int)
), works AS MATERIALIZED (
	SELECT t.*, batch.at, (
		SELECT i.id FROM firsts i WHERE i.work = t.k ORDER BY i.i LIMIT 1) AS item_id
	FROM batch, jsonb_to_recordset(b -> 'works') AS t (k int, work_key text, promoted bool,
		absorbed jsonb)
), absorbed AS MATERIALIZED (
	SELECT w.work_key AS new_key, a.key, w.item_id, w.at
	FROM works w, jsonb_to_recordset(w.absorbed) AS a (key text)
), editions AS (
	UPDATE enriched_editions e
	SET work_key = (SELECT a.new_key FROM absorbed a WHERE a.key = e.work_key),
		updated_at = clock_timestamp()
	WHERE e.work_key = ANY (ARRAY(SELECT key FROM absorbed))
	RETURNING 1
), candidates AS (
	UPDATE backfill_candidates c
	SET work_key = (SELECT a.new_key FROM absorbed a WHERE a.key = c.work_key),
		updated_at = now()
	WHERE c.work_key = ANY (ARRAY(SELECT key FROM absorbed))
	RETURNING 1
), about AS MATERIALIZED (
	SELECT q.id, a.new_key, 'merged into ' || a.new_key AS note,
		q.entity_type = 'work' AND q.status IN ('pending', 'failed') AS ends
	FROM absorbed a, LATERAL (
		SELECT id, entity_type, status FROM enrichment_queue WHERE work_key = a.key
		UNION
		SELECT id, entity_type, status FROM enrichment_queue
		WHERE queued_by = 'backfilld' AND entity_type = 'work'
			AND entity_key = a.key) AS q
	UNION
	SELECT q.id, w.work_key, 'the work has become real', q.status IN ('pending', 'failed')
	FROM works w, LATERAL (
		SELECT id, status FROM enrichment_queue WHERE queued_by = 'backfilld'
			AND entity_type = 'work' AND entity_key = w.work_key
		LIMIT 1) AS q
	WHERE w.promoted
), noted AS MATERIALIZED (
	SELECT DISTINCT ON (id) * FROM about ORDER BY id, new_key
), items AS (
	UPDATE enrichment_queue q
	SET work_key = CASE WHEN q.work_key IS NOT NULL THEN o.new_key END,
		status = CASE WHEN o.ends THEN 'completed' ELSE q.status END,
		completed_at = CASE WHEN o.ends THEN greatest(now(), q.started_at)
			ELSE q.completed_at END,
		next_attempt_at = CASE WHEN NOT o.ends THEN q.next_attempt_at END,
		waiting_for = CASE WHEN NOT o.ends THEN q.waiting_for END,
		error_message = CASE WHEN o.ends THEN o.note ELSE q.error_message END
	FROM noted o
	WHERE q.id = ANY (ARRAY(SELECT id FROM noted)) AND q.id = o.id
	RETURNING 1
), linked AS (
	INSERT INTO work_authors_enriched (work_key, author_key, author_order)
	SELECT DISTINCT ON (a.new_key, l.author_key) a.new_key, l.author_key, l.author_order
	FROM absorbed a, LATERAL (
		SELECT author_key, author_order FROM work_authors_enriched
		WHERE work_key = a.key
		LIMIT 1000) AS l
	WHERE (SELECT x.work_key FROM work_authors_enriched x WHERE x.work_key = a.new_key
		LIMIT 1) IS NULL
	ORDER BY a.new_key, l.author_key, l.author_order
	ON CONFLICT (work_key, author_key) DO NOTHING
	RETURNING 1
), facts AS MATERIALIZED (
	SELECT a.new_key, a.at, (array_agg(backfill_metadata(s.metadata) - 'provenance'
		ORDER BY s.created_at, s.work_key))[1] AS metadata
	FROM absorbed a, LATERAL (
		SELECT work_key, created_at, metadata FROM enriched_works
		WHERE work_key = a.key
		LIMIT 1) AS s
	GROUP BY a.new_key, a.at
), works_told AS (
	UPDATE enriched_works w
	SET metadata = f.metadata || backfill_metadata(w.metadata), updated_at = f.at
	FROM facts f
	WHERE w.work_key = ANY (ARRAY(SELECT new_key FROM facts)) AND w.work_key = f.new_key
	RETURNING 1
), gone AS (
	DELETE FROM enriched_works w
	WHERE w.work_key = ANY (ARRAY(SELECT key FROM absorbed))
	RETURNING w.work_key, w.title
), logged AS (
	INSERT INTO enrichment_log (id, entity_type, entity_key, provider, operation, success, created_at,
		item_id, instance, detail)
	SELECT gen_random_uuid(), 'work', g.work_key, 'backfilld', 'merge_work', true, clock_timestamp(),
		a.item_id, $1::text, jsonb_build_object('into', a.new_key, 'title', g.title)
	FROM gone g JOIN absorbed a ON a.key = g.work_key
	RETURNING 1
)
SELECT (SELECT count(*) FROM editions) AS editions, (SELECT count(*) FROM candidates) AS candidates,
	(SELECT count(*) FROM items) AS items, (SELECT count(*) FROM linked) AS linked,
	(SELECT count(*) FROM works_told) AS told, (SELECT count(*) FROM logged) AS logged

-- Items end; other editions whose record came along with an answer are queued after them.
-- name: write_items
WITH batch AS MATERIALIZED (
	SELECT current_setting('backfill.batch')::jsonb AS b
), keys AS MATERIALIZED (
	SELECT w.* FROM batch, jsonb_to_recordset(b -> 'works') AS w (k int, work_key text)
), given AS MATERIALIZED (
	SELECT t.id, t.isbn13, w.work_key
	FROM batch, jsonb_to_recordset(b -> 'items') AS t (id uuid, isbn13 text, work int)
	JOIN keys w ON w.k = t.work
), ended AS (
	UPDATE enrichment_queue q
	SET status = 'completed', completed_at = greatest(now(), q.started_at),
		error_message = NULL, waiting_for = NULL, next_attempt_at = NULL,
		work_key = g.work_key, owner = NULL, owner_id = NULL, lease_until = NULL,
		orphaned_at = NULL
	FROM given g
	WHERE q.id = g.id
	RETURNING q.id, q.year, q.month, q.job_id, g.isbn13
), siblings AS (
	INSERT INTO enrichment_queue (id, entity_type, entity_key, providers_to_try, priority,
		status, retry_count, max_retries, queued_by, job_id, year, month)
	SELECT gen_random_uuid(), 'edition', s.isbn13, ARRAY['isbndb', 'wikidata', 'open_library',
		'archive_org'], 8, 'pending', 0, $2::int, 'backfilld', e.job_id, e.year, e.month
	FROM ended e, LATERAL (
		SELECT DISTINCT r.isbn13 FROM provider_records r
		WHERE r.for_isbn = e.isbn13 AND r.isbn13 <> r.for_isbn AND r.found
			AND (SELECT x.isbn FROM enriched_editions x WHERE x.isbn = r.isbn13) IS NULL
			AND (SELECT count(*) FROM enriched_editions x
				WHERE x.alternate_isbns @> ARRAY[r.isbn13]) = 0
			AND (SELECT count(*) FROM enrichment_queue x
				WHERE x.entity_type = 'edition' AND x.entity_key = r.isbn13) = 0
		ORDER BY r.isbn13
		LIMIT 10) AS s
	WHERE $1::bool
	ORDER BY s.isbn13
	ON CONFLICT DO NOTHING
	RETURNING 1
)
SELECT s.n AS siblings, CASE WHEN s.n > 0 THEN pg_notify('enrichment_queue', '') END AS told
FROM (SELECT count(*) AS n FROM siblings) AS s

-- The number of works of each author whose links this transaction may have changed: those named, and
-- those that a batch left behind.
-- name: recount
WITH touched AS MATERIALIZED (
	SELECT unnest($1::text[]) AS author_key
	UNION
	SELECT jsonb_array_elements_text(
		nullif(current_setting('backfill.batch', true), '')::jsonb -> 'touched')
), counted AS MATERIALIZED (
	SELECT a.author_key, (
		SELECT count(*) FROM work_authors_enriched l
		WHERE l.author_key = a.author_key) AS n
	FROM touched t JOIN enriched_authors a ON a.author_key = t.author_key
	ORDER BY a.author_key
	FOR UPDATE OF a
), moved AS (
	UPDATE enriched_authors a SET book_count = c.n
	FROM counted c
	WHERE a.author_key = c.author_key AND a.book_count IS DISTINCT FROM c.n
	RETURNING 1
)
SELECT count(*) AS count FROM moved

-- What the catalogue has of a batch's books. Looks share a lock (1112949073, 0) that writes take for
-- themselves: a look never falls between two halves of a write, and what changed after it has a later
-- time. No part may read a table from end to end, however stale the planner's figures are: hence the
-- setting, and the sub-selects that cannot be joined in another order.

-- name: look_lock
SELECT pg_advisory_xact_lock_shared(1112949073, 0),
	set_config('enable_seqscan', 'off', true),
	set_config('jit', 'off', true),
	set_config('pg_trgm.similarity_threshold', '0.5', true)

-- Rows of four kinds: the time; one line per edition found; per work that may be the book's, with the
-- strongest reason; and what works and authors these are. The ISBNs of a family come with the book's own
-- among them. Titles are compared among one author's works only: a search for similar titles among all
-- works takes a hundred times as long as one for similar names. Authors that only look alike are asked
-- for when there is none of the name, or no real work of that one; they count, and are judged by whoever
-- reads this.
-- name: look
WITH asked AS MATERIALIZED (
	SELECT t.ord::int - 1 AS item, t.isbn13, t.isbn10, t.title
	FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
		AS t (isbn13, isbn10, title, ord)
), names AS MATERIALIZED (
	SELECT * FROM unnest($4::int[], $5::int[], $6::text[], $7::text[])
		AS t (item, place, name, author_key)
), editions AS MATERIALIZED (
	SELECT a.item, e.*
	FROM asked a, LATERAL (
		SELECT * FROM enriched_editions x
		WHERE x.isbn = ANY (ARRAY[a.isbn13, a.isbn10])
		ORDER BY x.isbn <> a.isbn13
		LIMIT 1) AS e
), relatives AS MATERIALIZED (
	SELECT f.item, unnest((
			SELECT array_agg(e.work_key) FROM enriched_editions e WHERE e.isbn = f.isbn)
		|| (
			SELECT (array_agg(e.work_key))[1:8] FROM enriched_editions e
			WHERE e.alternate_isbns @> ARRAY[f.isbn])) AS work_key
	FROM unnest($8::int[], $9::text[]) AS f (item, isbn)
), exact AS MATERIALIZED (
	SELECT n.item, n.place, a.author_key, a.name, 0 AS rank
	FROM names n, LATERAL (
		SELECT author_key, name FROM enriched_authors WHERE author_key = n.author_key
		LIMIT 1) AS a
	UNION ALL
	SELECT n.item, n.place, a.author_key, a.name, 1
	FROM names n, LATERAL (
		SELECT author_key, name FROM enriched_authors WHERE lower(name) = lower(n.name)
		OFFSET 0) AS a
	WHERE a.author_key <> n.author_key
), by_author AS MATERIALIZED (
	SELECT p.item, w.work_key
	FROM (
		SELECT DISTINCT item, author_key FROM exact
	) AS p JOIN asked a ON a.item = p.item, LATERAL (
		SELECT l.work_key
		FROM (
			SELECT x.work_key FROM work_authors_enriched x
			WHERE x.author_key = p.author_key
			LIMIT 1000) AS l, LATERAL (
			SELECT w.title FROM enriched_works w
			WHERE w.work_key = l.work_key
			LIMIT 1) AS t
		WHERE word_similarity(a.title, t.title) >= 0.5
			OR word_similarity(t.title, a.title) >= 0.5
			OR lower(t.title) = lower(a.title)
		ORDER BY lower(t.title) = lower(a.title) DESC, similarity(t.title, a.title) DESC,
			l.work_key
		LIMIT 20) AS w
), sure AS MATERIALIZED (
	SELECT h.item, h.via, h.work_key, w.synthetic
	FROM (
		SELECT item, 0 AS via, work_key FROM editions
		UNION ALL SELECT item, 1, work_key FROM relatives
		UNION ALL SELECT * FROM (
			SELECT t.item, 2, t.work_key
			FROM unnest($10::int[], $11::text[]) AS t (item, work_key)) AS c
		UNION ALL SELECT item, 3, work_key FROM by_author
	) AS h, LATERAL (
		SELECT coalesce(e.synthetic, false) AS synthetic FROM enriched_works e
		WHERE e.work_key = h.work_key
		LIMIT 1) AS w
), open AS MATERIALIZED (
	SELECT a.item, a.title FROM asked a
	WHERE NOT EXISTS (SELECT FROM sure s WHERE s.item = a.item AND NOT s.synthetic)
), alike AS MATERIALIZED (
	SELECT n.item, n.place, a.author_key, a.name, a.likeness
	FROM names n, LATERAL (
		SELECT author_key, name, similarity(name, n.name) AS likeness
		FROM enriched_authors WHERE name % n.name
		ORDER BY likeness DESC, author_key
		LIMIT 20) AS a
	WHERE n.item IN (SELECT item FROM open) OR NOT EXISTS (
		SELECT FROM exact x WHERE x.item = n.item AND x.place = n.place)
), by_likeness AS MATERIALIZED (
	SELECT p.item, CASE WHEN p.likeness >= 0.6 THEN 3 ELSE 4 END AS via, w.work_key
	FROM (
		SELECT item, author_key, max(likeness) AS likeness FROM alike
		GROUP BY item, author_key
	) AS p JOIN asked a ON a.item = p.item, LATERAL (
		SELECT l.work_key
		FROM (
			SELECT x.work_key FROM work_authors_enriched x
			WHERE x.author_key = p.author_key
			LIMIT 500) AS l, LATERAL (
			SELECT w.title FROM enriched_works w
			WHERE w.work_key = l.work_key
			LIMIT 1) AS t
		WHERE similarity(t.title, a.title) >= 0.6 OR (p.likeness >= 0.6
			AND (word_similarity(a.title, t.title) >= 0.5
				OR word_similarity(t.title, a.title) >= 0.5))
		ORDER BY lower(t.title) = lower(a.title) DESC, similarity(t.title, a.title) DESC,
			l.work_key
		LIMIT 5) AS w
), by_title AS MATERIALIZED (
	SELECT a.item, t.work_key
	FROM open a, LATERAL (
		SELECT e.work_key, e.metadata FROM enriched_works e
		WHERE lower(e.title) = lower(a.title)
		OFFSET 0) AS t
	WHERE EXISTS (
		SELECT FROM names n CROSS JOIN LATERAL (
			SELECT x.name FROM (
				SELECT l.author_key FROM work_authors_enriched l
				WHERE l.work_key = t.work_key
				LIMIT 50) AS l, LATERAL (
				SELECT p.name FROM enriched_authors p
				WHERE p.author_key = l.author_key
				LIMIT 1) AS x
			UNION ALL
			SELECT backfill_metadata(t.metadata) ->> 'author') AS x
		WHERE n.item = a.item AND similarity(x.name, n.name) >= 0.5)
), hits AS MATERIALIZED (
	SELECT item, work_key, min(via) AS via
	FROM (
		SELECT item, via, work_key FROM sure
		UNION ALL SELECT item, via, work_key FROM by_likeness
		WHERE via = 3 OR item IN (SELECT item FROM open)
		UNION ALL SELECT item, 4, work_key FROM by_title) AS h
	GROUP BY item, work_key
)
SELECT 'time' AS kind, NULL::int AS item, NULL::int AS place, clock_timestamp()::text AS key,
	NULL::text AS seen, NULL::json AS body
UNION ALL
SELECT 'edition', e.item, NULL, e.isbn, coalesce(e.updated_at::text, ''), json_build_object(
	'work_key', e.work_key, 'title', e.title, 'subtitle', e.subtitle,
	'publisher', e.publisher, 'publication_date', e.publication_date, 'format', e.format,
	'language', e.language, 'description', e.edition_description, 'cover_large',
	e.cover_url_large, 'cover_medium', e.cover_url_medium, 'cover_small', e.cover_url_small,
	'cover_source', e.cover_source, 'openlibrary_edition_id', e.openlibrary_edition_id,
	'primary_provider', e.primary_provider, 'page_count', e.page_count, 'quality',
	e.isbndb_quality, 'completeness', e.completeness_score, 'alternate_isbns',
	e.alternate_isbns, 'amazon_asins', e.amazon_asins, 'google_books_volume_ids',
	e.google_books_volume_ids, 'goodreads_edition_ids', e.goodreads_edition_ids,
	'librarything_ids', e.librarything_ids, 'contributors', e.contributors, 'provenance',
	backfill_metadata(e.metadata) -> 'provenance')
FROM editions e
UNION ALL
SELECT 'work', NULL, NULL, k.work_key, w.seen, w.body
FROM (SELECT DISTINCT work_key FROM hits) AS k, LATERAL (
	SELECT coalesce(w.updated_at::text, '') AS seen, json_build_object('title', w.title,
		'subtitle', w.subtitle, 'description', w.description, 'original_language',
		w.original_language, 'cover_large', w.cover_url_large, 'cover_medium',
		w.cover_url_medium, 'cover_small', w.cover_url_small, 'cover_source',
		w.cover_source, 'openlibrary_work_id', w.openlibrary_work_id, 'isbndb_id',
		w.isbndb_id, 'primary_provider', w.primary_provider, 'first_publication_year',
		w.first_publication_year, 'quality', w.isbndb_quality, 'completeness',
		w.completeness_score, 'synthetic', coalesce(w.synthetic, false), 'subject_tags',
		w.subject_tags, 'goodreads_work_ids', w.goodreads_work_ids, 'amazon_asins',
		w.amazon_asins, 'google_books_volume_ids', w.google_books_volume_ids,
		'contributors', w.contributors, 'provenance', m.value -> 'provenance', 'authors',
		coalesce((
			SELECT string_agg(x.name, ';' ORDER BY l.author_order, l.author_key)
			FROM (
				SELECT author_key, author_order FROM work_authors_enriched
				WHERE work_key = k.work_key
				LIMIT 50) AS l, LATERAL (
				SELECT name FROM enriched_authors p
				WHERE p.author_key = l.author_key
				LIMIT 1) AS x), m.value ->> 'author')) AS body
	FROM enriched_works w, backfill_metadata(w.metadata) AS m (value)
	WHERE w.work_key = k.work_key
	LIMIT 1) AS w
UNION ALL
SELECT 'hit', h.item, h.via, h.work_key, NULL, NULL FROM (
	SELECT * FROM hits ORDER BY item, via, work_key) AS h
UNION ALL
SELECT 'author', p.item, p.place, p.author_key, p.name, NULL
FROM (
	SELECT item, place, author_key, name, rank FROM exact
	UNION ALL SELECT item, place, author_key, name, 3 - likeness FROM alike
	ORDER BY item, place, rank, author_key) AS p

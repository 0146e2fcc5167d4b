-- A month's books: candidates with their synthetic works, the cache of resolutions, and the flush
-- of a second's worth of both with the calls it took. Set-valued parameters are arrays, one per
-- column.

-- Candidates are stored once: a month that has some keeps them. Works and authors are written in
-- key order, so that two months with the same books never wait for each other in a ring. metadata
-- that some older program left as something else becomes an object again. Runs under the lock of
-- write.sql: the works' times tell whoever looked for works before that there are new ones.
-- name: save
WITH mine AS MATERIALIZED (
	SELECT b.id, b.year, b.month, (
			SELECT max(a.variant) FROM backfill_answers a
			WHERE a.year = b.year AND a.month = b.month
				AND a.round = b.round) AS variant,
		(SELECT count(*) FROM backfill_candidates c
			WHERE c.year = b.year AND c.month = b.month AND c.state <> 'merged') AS had
	FROM backfill_log b
	WHERE b.year = $1::int AND b.month = $2::int AND b.fence = $3::bigint
		AND b.status = 'processing' AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = b.year AND e.month = b.month
				AND e.fence = b.fence AND e.step = $4::int)
	FOR UPDATE OF b
), given AS MATERIALIZED (
	SELECT t.ord::int AS ord, t.title, t.subtitle, t.author, t.publisher, t.format, t.language,
		t.publication_year, t.year_differs, t.significance,
		t.generated_by::text[] AS generated_by, t.title_key, t.author_key, t.isbn13,
		'synthetic:' || md5(t.title_key || chr(10) || t.author_key) AS work_key,
		CASE WHEN t.generated_by LIKE '%gemini%' THEN 'gemini-backfill' ELSE 'xai-backfill'
			END AS provider,
		m.year, m.month, m.variant
	FROM unnest($11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
		$17::int[], $18::bool[], $19::text[], $20::text[], $21::text[], $22::text[],
		$23::text[])
			WITH ORDINALITY
		AS t (title, subtitle, author, publisher, format, language, publication_year,
			year_differs, significance, generated_by, title_key, author_key, isbn13,
			ord), mine m
	WHERE m.had = 0
), people AS MATERIALIZED (
	SELECT p.ord, p.place, p.name, 'name:' || p.key AS author_key
	FROM unnest($24::int[], $25::int[], $26::text[], $27::text[]) AS p (ord, place, name, key)
	WHERE p.key <> ''
), works AS (
	INSERT INTO enriched_works AS w (work_key, title, subtitle, original_language,
		first_publication_year, synthetic, completeness_score, primary_provider,
		contributors, metadata, created_at, updated_at)
	SELECT DISTINCT ON (g.work_key) g.work_key, g.title, g.subtitle, g.language,
		coalesce(g.publication_year, g.year), true, 30, g.provider,
		(SELECT array_agg(by || '-backfill' ORDER BY by) FROM unnest(g.generated_by) AS by),
		jsonb_strip_nulls(jsonb_build_object('author', g.author, 'publisher', g.publisher,
			'format', g.format, 'significance', g.significance, 'backfill_year', g.year,
			'backfill_month', g.month, 'prompt_variant', g.variant)),
		clock_timestamp(), clock_timestamp()
	FROM given g
	ORDER BY g.work_key, g.ord
	ON CONFLICT (work_key) DO UPDATE
	SET contributors = (
			SELECT array_agg(DISTINCT by ORDER BY by)
			FROM unnest(coalesce(w.contributors, '{}') || excluded.contributors) AS by),
		metadata = CASE jsonb_typeof(w.metadata) WHEN 'object' THEN w.metadata
			ELSE excluded.metadata || backfill_metadata(w.metadata) END,
		updated_at = clock_timestamp()
	WHERE NOT coalesce(w.contributors, '{}') @> excluded.contributors
		OR w.metadata IS NULL OR jsonb_typeof(w.metadata) <> 'object'
	RETURNING 1
), authors AS (
	INSERT INTO enriched_authors (author_key, name, primary_provider, contributors)
	SELECT DISTINCT ON (p.author_key) p.author_key, p.name, g.provider, ARRAY[g.provider]
	FROM people p JOIN given g ON g.ord = p.ord
	ORDER BY p.author_key, p.ord, p.place
	ON CONFLICT (author_key) DO NOTHING
	RETURNING 1
), links AS (
	INSERT INTO work_authors_enriched (work_key, author_key, author_order)
	SELECT DISTINCT ON (g.work_key, p.author_key) g.work_key, p.author_key, p.place
	FROM people p JOIN given g ON g.ord = p.ord
	WHERE NOT EXISTS (SELECT FROM work_authors_enriched l WHERE l.work_key = g.work_key)
	ORDER BY g.work_key, p.author_key, g.ord, p.place
	ON CONFLICT (work_key, author_key) DO NOTHING
	RETURNING 1
), candidates AS (
	INSERT INTO backfill_candidates (year, month, ord, title, subtitle, author, publisher,
		format, language, publication_year, year_differs, significance, generated_by,
		title_key, author_key,
			ai_isbn13, work_key)
	SELECT year, month, ord, title, subtitle, author, publisher, format, language,
		publication_year, coalesce(year_differs, false), significance, generated_by,
		title_key, author_key, isbn13, work_key
	FROM given
	ORDER BY ord
	RETURNING 1
), moved AS (
	UPDATE backfill_log b
	SET stage = $8::text, progressed_at = now(), books_generated = f.n,
		isbns_resolved = least(coalesce(b.isbns_resolved, 0), f.n),
		isbns_queued = least(coalesce(b.isbns_queued, 0), coalesce(b.isbns_resolved, 0),
			f.n)
	FROM (SELECT m.id, CASE WHEN m.had > 0 THEN m.had ELSE (SELECT count(*) FROM given) END AS n
		FROM mine m) AS f
	WHERE b.id = f.id
	RETURNING b.job_id, b.books_generated
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT $1::int, $2::int, $3::bigint, $4::int, $5::text, coalesce($6::uuid, m.job_id),
		$7::text, $8::text, $9::text,
		jsonb_build_object('books_generated', m.books_generated, 'new_works', w.n,
			'new_authors', a.n)
			|| coalesce($10::jsonb, '{}')
	FROM moved m, (SELECT count(*) AS n FROM works) AS w,
		(SELECT count(*) AS n FROM authors) AS a, (SELECT count(*) FROM links) AS l,
		(SELECT count(*) FROM candidates) AS c
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) OR EXISTS (
		SELECT FROM backfill_events WHERE year = $1::int AND month = $2::int
			AND fence = $3::bigint AND step = $4::int)
	THEN 'done' ELSE 'not_mine' END AS outcome

-- One row per candidate and cached answer of a provider; a candidate of which nothing is cached has
-- one row.
-- name: candidates
SELECT c.id, c.title, c.subtitle, c.author, c.publisher, c.format, c.language, c.significance,
	c.publication_year, c.year_differs, c.ai_isbn13, array_to_string(c.generated_by,
	',') AS generated_by, c.title_key, c.author_key, c.answers,
	c.resolved_by, c.isbn13, c.confidence, c.state, r.provider, r.isbn13 AS cached_isbn13,
	r.confidence AS cached_confidence, r.record AS cached_record
FROM backfill_candidates c
LEFT JOIN isbn_resolutions r ON c.state IN ('new', 'unavailable') AND r.title_key = c.title_key
	AND r.author_key = c.author_key AND r.expires_at > now()
WHERE c.year = $1::int AND c.month = $2::int
ORDER BY c.ord, r.provider

-- name: cache_get
SELECT k.ord - 1 AS index, r.provider, r.isbn13 AS cached_isbn13, r.confidence AS cached_confidence,
	r.record AS cached_record
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (title_key, author_key, ord)
JOIN isbn_resolutions r ON r.title_key = k.title_key AND r.author_key = k.author_key
	AND r.expires_at > now()

-- The month rows are locked first and in order, here and in reserve; then the quota rows, in order. A
-- month that somebody else has locked is not waited for: then nothing is written, and the answer names
-- what is busy.
-- Units given back within ten seconds after a provider's midnight belong to the day before.
-- name: flush
WITH given AS MATERIALIZED (
	SELECT DISTINCT ON (t.id) t.*
	FROM unnest($3::int[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
		$9::int[], $10::text[], $11::text[], $12::text[]) WITH ORDINALITY
		AS t (year, month, fence, id, state, isbn13, confidence, resolved_by, answers,
			record, ord)
	ORDER BY t.id, t.ord DESC
), spent AS MATERIALIZED (
	SELECT * FROM unnest($20::text[], $21::int[], $22::int[], $23::bigint[], $24::int[],
		$25::int[], $26::int[], $27::int[], $28::bigint[], $29::bigint[], $30::numeric[])
		AS t (provider, year, month, fence, calls, errors, sent, unused, tokens_in,
			tokens_out, cost)
), refs AS MATERIALIZED (
	SELECT year, month, fence, bool_or(resolved) AS resolved, sum(gemini) AS gemini,
		sum(xai) AS xai, sum(isbndb) AS isbndb, sum(free) AS free, sum(cost) AS cost
	FROM (
		SELECT year, month, fence, true AS resolved, 0 AS gemini, 0 AS xai, 0 AS isbndb,
			0 AS free, 0::numeric AS cost
		FROM given
		UNION ALL
		SELECT year, month, fence, false,
			CASE provider WHEN 'gemini' THEN unused ELSE 0 END,
			CASE provider WHEN 'xai' THEN unused ELSE 0 END,
			CASE provider WHEN 'isbndb' THEN unused ELSE 0 END,
			CASE WHEN provider IN ('gemini', 'xai', 'isbndb') THEN 0 ELSE calls END,
			cost
		FROM spent WHERE year > 0
	) AS one
	GROUP BY year, month, fence
), months AS MATERIALIZED (
	SELECT b.id, b.status, r.*
	FROM refs r JOIN backfill_log b ON b.year = r.year AND b.month = r.month
		AND b.fence = r.fence
	ORDER BY b.year, b.month
	FOR UPDATE OF b SKIP LOCKED
), busy AS MATERIALIZED (
	SELECT r.year, r.month, r.fence
	FROM refs r JOIN backfill_log b ON b.year = r.year AND b.month = r.month
		AND b.fence = r.fence
	WHERE b.id NOT IN (SELECT id FROM months)
		AND NOT EXISTS (SELECT FROM backfill_flushes WHERE id = $1::uuid)
), fresh AS (
	INSERT INTO backfill_flushes (id)
	SELECT $1::uuid FROM (SELECT count(*) FROM months) AS locked
	WHERE NOT EXISTS (SELECT FROM busy)
	ON CONFLICT (id) DO NOTHING
	RETURNING id
), resolved AS (
	UPDATE backfill_candidates c
	SET state = g.state, isbn13 = g.isbn13, confidence = g.confidence,
		resolved_by = g.resolved_by,
		answers = c.answers || coalesce(g.answers::jsonb, '{}'), record = g.record::jsonb,
		updated_at = now()
	FROM given g JOIN months m ON m.year = g.year AND m.month = g.month AND m.fence = g.fence,
		fresh
	WHERE c.id = g.id AND c.year = g.year AND c.month = g.month AND m.status = 'processing'
	RETURNING 1
), counted AS (
	UPDATE backfill_log b
	SET gemini_calls = greatest(0, coalesce(b.gemini_calls, 0) - m.gemini),
		xai_calls = greatest(0, coalesce(b.xai_calls, 0) - m.xai),
		isbndb_calls = greatest(0, coalesce(b.isbndb_calls, 0) - m.isbndb),
		free_calls = b.free_calls + m.free, cost_usd = b.cost_usd + m.cost,
		progressed_at = CASE WHEN m.resolved AND m.status = 'processing' THEN now()
			ELSE b.progressed_at END
	FROM months m, fresh
	WHERE b.id = m.id
	RETURNING 1
), cached AS (
	INSERT INTO isbn_resolutions (provider, title_key, author_key, isbn13, confidence, record,
		expires_at)
	SELECT DISTINCT ON (t.provider, t.title_key, t.author_key) t.provider, t.title_key,
		t.author_key, t.isbn13, t.confidence, t.record::jsonb,
		now() + t.ttl_ms * interval '1 ms'
	FROM unnest($13::text[], $14::text[], $15::text[], $16::text[], $17::int[], $18::text[],
		$19::bigint[])
		WITH ORDINALITY AS t (provider, title_key, author_key, isbn13, confidence, record,
			ttl_ms, ord), fresh
	ORDER BY t.provider, t.title_key, t.author_key, t.ord DESC
	ON CONFLICT (provider, title_key, author_key) DO UPDATE
	SET isbn13 = excluded.isbn13, confidence = excluded.confidence, record = excluded.record,
		created_at = now(), expires_at = excluded.expires_at
	RETURNING 1
), usage AS (
	INSERT INTO api_usage AS u (provider, day, instance, year, month, calls, errors, units,
		tokens_in, tokens_out, cost_usd)
	SELECT s.provider, backfill_provider_day(s.provider, now()), $2::text, s.year, s.month,
		sum(s.calls), sum(s.errors), sum(s.sent), sum(s.tokens_in), sum(s.tokens_out),
		sum(s.cost)
	FROM spent s, fresh
	GROUP BY s.provider, s.year, s.month
	ORDER BY s.provider, s.year, s.month
	ON CONFLICT (provider, day, instance, year, month) DO UPDATE
	SET calls = u.calls + excluded.calls, errors = u.errors + excluded.errors,
		units = u.units + excluded.units, tokens_in = u.tokens_in + excluded.tokens_in,
		tokens_out = u.tokens_out + excluded.tokens_out,
		cost_usd = u.cost_usd + excluded.cost_usd
	RETURNING 1
), quotas AS MATERIALIZED (
	SELECT q.provider, q.day, s.sent, s.unused
	FROM (
		SELECT provider, sum(sent) AS sent, sum(unused) AS unused FROM spent
			GROUP BY provider
	) AS s JOIN api_quota q ON q.provider = s.provider
		AND q.day = backfill_provider_day(s.provider, now() - interval '10 s'), fresh
	WHERE s.sent + s.unused > 0
	ORDER BY q.provider
	FOR UPDATE OF q
), returned AS (
	UPDATE api_quota q
	SET leased = greatest(0, q.leased - s.sent - s.unused),
		used = greatest(0, q.used - s.unused)
	FROM quotas s
	WHERE q.provider = s.provider AND q.day = s.day
	RETURNING 1
)
SELECT DISTINCT g.year, g.month, g.fence, false AS busy FROM given g
WHERE NOT EXISTS (
	SELECT FROM months m WHERE m.year = g.year AND m.month = g.month AND m.fence = g.fence
		AND m.status = 'processing')
	AND NOT EXISTS (
		SELECT FROM backfill_log b WHERE b.year = g.year AND b.month = g.month
			AND b.fence = g.fence AND b.status = 'processing'
			AND b.id NOT IN (SELECT id FROM months))
	AND NOT EXISTS (SELECT FROM busy)
UNION ALL
SELECT year, month, fence, true FROM busy

-- Proof that nothing was lost, doubled or counted wrongly. Each statement reads one snapshot and writes
-- nothing. A row is a check with its totals and one finding of it, or none: at most 500 findings of a
-- check come out, the totals are true. Months in processing are left out where their figures are still
-- moving. $1 and $2 are the years asked for, $3 whether somebody named them: else only the years that
-- have rows count.

-- A row for each finding of a check, the totals of the check beside it.
-- part: findings
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE severity = 'error') AS errors,
		count(*) FILTER (WHERE severity = 'warning') AS warnings
	FROM found WHERE chk = c.chk) AS t
LEFT JOIN LATERAL (
	SELECT * FROM found WHERE chk = c.chk ORDER BY severity, subject, text LIMIT 500) AS f ON true
ORDER BY c.chk, f.severity, f.subject, f.text

-- The rows themselves. What was never seeded is not missing, unless the years were named.
-- name: verify_months
WITH bounds AS MATERIALIZED (
	SELECT CASE WHEN $3::bool OR x.low IS NULL THEN $1::int ELSE greatest($1::int, x.low) END AS low,
		CASE WHEN $3::bool OR x.high IS NULL THEN $2::int ELSE least($2::int, x.high) END AS high
	FROM (
		SELECT min(year) AS low, max(year) AS high FROM backfill_log
		WHERE $3::bool OR year BETWEEN $1::int AND $2::int) AS x
), months AS MATERIALIZED (
	SELECT b.*, format('%s-%s', b.year, lpad(b.month::text, 2, '0')) AS subject,
		EXISTS (
			SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2
				AND l.granted AND l.classid = 1112949069
				AND l.objid::bigint = b.year * 12 + b.month - 1
				AND l.database = (SELECT oid FROM pg_database
					WHERE datname = current_database())) AS held
	FROM backfill_log b, bounds
	WHERE b.year BETWEEN bounds.low AND bounds.high
), years AS MATERIALIZED (
	SELECT year, count(*) AS n FROM months GROUP BY year
), lacking AS MATERIALIZED (
	SELECT y, m, format('%s-%s', y, lpad(m::text, 2, '0')) AS subject,
		(SELECT count(*) FROM backfill_events e WHERE e.year = y AND e.month = m) AS events,
		(SELECT count(*) FROM backfill_candidates c WHERE c.year = y AND c.month = m) AS books,
		coalesce((SELECT n FROM years WHERE year = y), 0) AS rows
	FROM bounds, generate_series(bounds.low, bounds.high) AS y, generate_series(1, 12) AS m
	WHERE NOT EXISTS (SELECT FROM months b WHERE b.year = y AND b.month = m)
		AND ($3::bool OR EXISTS (SELECT FROM months))
), found AS MATERIALIZED (
	SELECT 'coverage' AS chk, CASE WHEN $3::bool OR events > 0 OR books > 0 OR rows > 5
			THEN 'error' ELSE 'warning' END AS severity, subject,
		CASE WHEN events > 0 OR books > 0 THEN format('the month''s row is gone; %s transitions'
				' and %s books of it are left', events, books)
			ELSE 'the month has no row: it will never be claimed' END AS text
	FROM lacking
	UNION ALL
	SELECT 'coverage', 'warning', format('%s-%s', low, high), 'no month of these years has a row'
	FROM bounds WHERE NOT $3::bool AND NOT EXISTS (SELECT FROM months)
	UNION ALL
	SELECT 'coverage', 'error', subject, format('the month has %s rows', count(*))
	FROM months GROUP BY subject HAVING count(*) > 1
	UNION ALL
	SELECT 'state', s.severity, m.subject, s.text
	FROM months m CROSS JOIN LATERAL (VALUES
		(m.status NOT IN ('pending', 'processing', 'completed', 'failed', 'retry')
			OR m.status IS NULL, 'error', format('unknown status %s', m.status)),
		(m.status = 'completed' AND m.completed_at IS NULL, 'error',
			'completed without completed_at'),
		(m.status = 'failed' AND m.completed_at IS NULL, 'error', 'failed without completed_at'),
		(m.status IN ('pending', 'retry', 'processing') AND m.completed_at IS NOT NULL, 'error',
			format('%s with completed_at: it says that the month has ended', m.status)),
		(m.status = 'completed' AND m.fence > 0 AND m.stage IS DISTINCT FROM 'completed',
			'error', format('completed in stage %s', coalesce(m.stage, '(none)'))),
		(m.status <> 'completed' AND m.stage = 'completed', 'error',
			format('%s in stage completed', m.status)),
		(m.stage NOT IN ('claimed', 'generating', 'saving', 'resolving', 'queueing',
			'completed'), 'error', format('unknown stage %s', m.stage)),
		(m.status IN ('pending', 'retry', 'failed') AND m.owner_id IS NOT NULL, 'error',
			format('%s, but owned by %s', m.status, coalesce(m.owner, m.owner_id::text))),
		(m.status IN ('pending', 'retry') AND m.retry_count >= 5, 'warning',
			format('%s with all attempts spent: the next one is its last', m.status)),
		(m.status = 'retry' AND m.next_attempt_at > now() + interval '2 days', 'warning',
			'the next attempt is more than two days away')
		) AS s (bad, severity, text)
	WHERE s.bad
	UNION ALL
	SELECT 'owner', CASE WHEN m.job_id IS NULL AND m.started_at > now()
				- $4::bigint * interval '1 ms' THEN 'warning' ELSE 'error' END, m.subject,
		CASE WHEN m.job_id IS NULL THEN 'processing without a job id: no program of this kind claimed it'
			ELSE 'processing without an owner' END
	FROM months m
	WHERE m.status = 'processing' AND (m.job_id IS NULL OR m.owner IS NULL OR m.owner_id IS NULL
		OR m.fence = 0 OR m.claimed_from IS NULL)
	UNION ALL
	SELECT 'owner', 'warning', m.subject, format('processing, owned by %s, which does not hold'
		' its lock; no progress since %s', m.owner, backfill_time(m.progressed_at))
	FROM months m
	WHERE m.status = 'processing' AND NOT m.held AND m.job_id IS NOT NULL
		AND m.owner IS NOT NULL AND m.progressed_at < now() - interval '60 s'
), checks (chk, checked, remedy) AS (
	VALUES ('coverage', (SELECT (high - low + 1) * 12 FROM bounds),
		'Seed the years (POST /api/internal/seed-backfill-queue); a month that was lost is harvested again.'),
	('state', (SELECT count(*) FROM months),
		'Somebody changed the row by hand. Reset the month (POST .../months/{y}/{m}/reset), or put the columns right.'),
	('owner', (SELECT count(*) FROM months WHERE status = 'processing'),
		'Cancel the month (POST .../months/{y}/{m}/cancel) and retry it; it is taken up by itself once an instance runs and nothing is paused.')
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, c.remedy,
	(SELECT low FROM bounds) AS low, (SELECT high FROM bounds) AS high
FROM checks c
-- use: findings

-- A month's books, and its figures against them. A month that an older program completed kept none.
-- name: verify_books
WITH months AS MATERIALIZED (
	SELECT b.*, format('%s-%s', b.year, lpad(b.month::text, 2, '0')) AS subject
	FROM backfill_log b
	WHERE b.year BETWEEN $1::int AND $2::int
), books AS MATERIALIZED (
	SELECT c.id, c.year, c.month, c.title, c.title_key, c.author_key, c.isbn13, c.state, c.generated_by,
		c.work_key, c.merged_into,
		format('%s-%s', c.year, lpad(c.month::text, 2, '0')) AS subject
	FROM backfill_candidates c
	WHERE c.year BETWEEN $1::int AND $2::int
), figures AS MATERIALIZED (
	SELECT m.id, m.subject, m.fence, m.completed_at, coalesce(m.books_generated, 0) AS generated,
		coalesce(m.isbns_resolved, 0) AS resolved, coalesce(m.isbns_queued, 0) AS queued,
		m.resolution_rate, m.synthetic_works, m.books_agreed, coalesce(k.n, 0) AS has_books,
		coalesce(k.agreed, 0) AS has_agreed,
		coalesce(k.isbns, 0) AS has_isbns, coalesce(k.total, 0) AS has_any
	FROM months m LEFT JOIN (
		SELECT year, month, count(*) FILTER (WHERE state <> 'merged') AS n,
			count(isbn13) FILTER (WHERE state <> 'merged') AS isbns, count(*) AS total,
			count(*) FILTER (WHERE state <> 'merged' AND cardinality(generated_by) > 1) AS agreed
		FROM books GROUP BY year, month) AS k ON k.year = m.year AND k.month = m.month
	WHERE m.status = 'completed'
), items AS MATERIALIZED (
	SELECT q.year, q.month, count(*) AS n
	FROM enrichment_queue q
	WHERE q.queued_by = 'backfilld' AND q.entity_type = 'edition' AND q.priority IS DISTINCT FROM 8
		AND q.year BETWEEN $1::int AND $2::int
	GROUP BY q.year, q.month
), found AS MATERIALIZED (
	SELECT 'candidates' AS chk, CASE WHEN fence = 0 AND generated > 0 AND completed_at IS NOT NULL
			THEN 'warning' ELSE 'error' END AS severity, subject,
		CASE WHEN fence = 0 AND generated > 0 THEN 'completed by an older program, which kept no books'
			ELSE 'completed without a single book' END AS text
	FROM figures WHERE has_any = 0
	UNION ALL
	SELECT 'candidates', 'error', subject, format('%s stands %s times: %s', title_key, count(*),
		string_agg(id::text, ', ' ORDER BY id))
	FROM books
	GROUP BY year, month, subject, title_key, author_key HAVING count(*) > 1
	UNION ALL
	SELECT 'candidates', 'error', b.subject, format('"%s" (%s): %s', left(b.title, 80), b.id, s.text)
	FROM books b CROSS JOIN LATERAL (VALUES
		(b.state = 'resolved' AND b.isbn13 IS NULL, 'resolved, but without an ISBN'),
		(b.state IN ('not_found', 'unavailable') AND b.isbn13 IS NOT NULL,
			format('%s, but with ISBN %s', b.state, b.isbn13)),
		(b.state = 'merged' AND NOT EXISTS (
			SELECT FROM books o WHERE o.id = b.merged_into AND o.year = b.year
				AND o.month = b.month), 'merged into a book that is not there'),
		(b.state = 'new' AND EXISTS (
			SELECT FROM months m WHERE m.year = b.year AND m.month = b.month
				AND m.status = 'completed'), 'never looked up, in a completed month')
		) AS s (bad, text)
	WHERE s.bad
	UNION ALL
	SELECT 'isbns', 'error', b.subject, format('ISBN %s stands on %s books: %s', b.isbn13, count(*),
		string_agg(b.id::text, ', ' ORDER BY b.id))
	FROM books b JOIN months m ON m.year = b.year AND m.month = b.month AND m.status = 'completed'
	WHERE b.isbn13 IS NOT NULL AND b.state <> 'merged'
	GROUP BY b.year, b.month, b.subject, b.isbn13 HAVING count(*) > 1
	UNION ALL
	SELECT 'isbns', 'error', b.subject, format('ISBN %s ("%s") is neither in the queue nor in the'
		' catalogue', b.isbn13, left(b.title, 80))
	FROM books b JOIN months m ON m.year = b.year AND m.month = b.month AND m.status = 'completed'
	WHERE b.isbn13 IS NOT NULL AND b.state <> 'merged'
		AND NOT EXISTS (SELECT FROM enrichment_queue q WHERE q.entity_type = 'edition'
			AND q.entity_key = b.isbn13)
		AND NOT EXISTS (SELECT FROM enriched_editions e WHERE e.isbn = b.isbn13)
		AND NOT EXISTS (SELECT FROM enriched_editions e
			WHERE e.alternate_isbns @> ARRAY[b.isbn13])
	UNION ALL
	SELECT 'works', 'error', b.subject, format('"%s" (%s): its work %s does not exist',
		left(b.title, 80), b.id, coalesce(b.work_key, '(none)'))
	FROM books b
	WHERE NOT EXISTS (SELECT FROM enriched_works w WHERE w.work_key = b.work_key)
	UNION ALL
	SELECT 'books_generated', 'error', subject, format('says %s, has %s books', generated, has_books)
	FROM figures WHERE generated <> has_books AND has_any > 0
	UNION ALL
	SELECT 'isbns_resolved', 'error', subject, format('says %s, has %s books with an ISBN', resolved,
		has_isbns)
	FROM figures WHERE resolved <> has_isbns AND has_any > 0
	UNION ALL
	-- a program of before the column leaves it empty
	SELECT 'books_agreed', CASE WHEN books_agreed IS NULL THEN 'warning' ELSE 'error' END, subject,
		format('says %s, has %s books that both AIs named', coalesce(books_agreed::text, 'nothing'),
			has_agreed)
	FROM figures WHERE has_any > 0 AND books_agreed IS DISTINCT FROM has_agreed
	UNION ALL
	SELECT 'resolution_rate', 'error', subject, format('says %s, is %s',
		coalesce(resolution_rate::text, 'nothing'),
		coalesce(round(100.0 * resolved / nullif(generated, 0), 2)::text, 'nothing'))
	FROM figures
	WHERE has_any > 0 AND resolution_rate IS DISTINCT FROM round(100.0 * resolved / nullif(generated, 0), 2)
	UNION ALL
	-- an ISBN that stood in the queue before the month was reset is not queued again
	SELECT 'isbns_queued', CASE WHEN f.queued > coalesce(i.n, 0) THEN 'error' ELSE 'warning' END,
		f.subject, format('says %s, the queue has %s items of the month', f.queued, coalesce(i.n, 0))
	FROM figures f JOIN months m ON m.id = f.id
	LEFT JOIN items i ON i.year = m.year AND i.month = m.month
	WHERE f.has_any > 0 AND f.queued <> coalesce(i.n, 0)
		AND (f.queued > coalesce(i.n, 0) OR NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = m.year AND e.month = m.month
				AND e.event = 'operator_reset'))
), checks (chk, checked, remedy) AS (
	VALUES ('candidates', (SELECT count(*) FROM books),
		'Reset the month and harvest it again: what is cached costs nothing.'),
	('isbns', (SELECT count(*) FROM books WHERE isbn13 IS NOT NULL AND state <> 'merged'),
		'Reset the month and harvest it again: its ISBNs are cached, and are queued where they are missing.'),
	('works', (SELECT count(*) FROM books),
		'Reset the month and harvest it again: works that are missing are made.'),
	('books_generated', (SELECT count(*) FROM figures),
		'Set the column to the number of books with state <> ''merged'' in backfill_candidates.'),
	('isbns_resolved', (SELECT count(*) FROM figures),
		'Set the column to the number of books with an ISBN, or reset the month.'),
	('books_agreed', (SELECT count(*) FROM figures),
		'Set the column to the number of books with more than one AI in generated_by and state <> ''merged''.'),
	('resolution_rate', (SELECT count(*) FROM figures),
		'Set the column to round(100.0 * isbns_resolved / books_generated, 2).'),
	('isbns_queued', (SELECT count(*) FROM figures),
		'Set the column to the number of items that the month put into enrichment_queue; if items were deleted, reset the month.')
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, c.remedy
FROM checks c
-- use: findings

-- The transitions, and what they say of the figures. Within a fence steps go 1, 2, 3; fences go up one
-- by one. Events older than $3 are thrown away (an operator's later): of a month that old the beginning
-- may be gone. A step just before a month's end may have been given up on purpose, when what would have
-- written it was called off. What the completed row counted stands in its last events.
-- name: verify_chain
WITH months AS MATERIALIZED (
	SELECT b.*, format('%s-%s', b.year, lpad(b.month::text, 2, '0')) AS subject,
		b.created_at > now() - $3::bigint * interval '1 ms' + interval '1 day' AS young
	FROM backfill_log b
	WHERE b.year BETWEEN $1::int AND $2::int
), events AS MATERIALIZED (
	SELECT e.year, e.month, e.fence, e.step, e.event, e.from_stage, e.to_stage, e.detail, e.at,
		lag(e.fence) OVER w AS last_fence, lag(e.step) OVER w AS last_step,
		lag(e.event) OVER w AS last_event, lead(e.fence) OVER w AS next_fence,
		e.at > now() - $3::bigint * interval '1 ms' + interval '1 day' AS safe
	FROM backfill_events e
	WHERE e.year BETWEEN $1::int AND $2::int
	WINDOW w AS (PARTITION BY e.year, e.month ORDER BY e.fence, e.step)
), ends AS MATERIALIZED (
	SELECT DISTINCT ON (year, month) * FROM events ORDER BY year, month, fence DESC, step DESC
), counted AS MATERIALIZED (
	SELECT DISTINCT ON (e.year, e.month) e.* FROM events e
	WHERE e.detail ? 'gemini_calls' ORDER BY e.year, e.month, e.fence DESC, e.step DESC
), recounted AS MATERIALIZED (
	SELECT DISTINCT ON (e.year, e.month) e.* FROM events e
	WHERE e.detail ? 'isbns_queued'
	ORDER BY e.year, e.month, e.fence DESC, e.step DESC
), gaps AS MATERIALIZED (
	SELECT m.subject, e.*, coalesce(e.last_fence, 0) AS f, coalesce(e.last_step, 0) AS s
	FROM events e JOIN months m ON m.year = e.year AND m.month = e.month
	WHERE CASE WHEN e.last_fence IS NULL
			THEN m.young AND (e.fence > 1 OR e.step > 1)
		WHEN e.fence = e.last_fence THEN e.step > e.last_step + 1
		ELSE (e.fence > e.last_fence + 1 OR e.step > 1)
			AND (m.young OR (e.safe AND e.last_event NOT LIKE 'operator%')) END
), usage AS MATERIALIZED (
	SELECT year, month, sum(units) FILTER (WHERE provider = 'gemini') AS gemini,
		sum(units) FILTER (WHERE provider = 'xai') AS xai,
		sum(units) FILTER (WHERE provider = 'isbndb') AS isbndb
	FROM api_usage WHERE year BETWEEN $1::int AND $2::int AND month > 0
	GROUP BY year, month
), calls AS MATERIALIZED (
	SELECT m.subject, m.status, x.name, x.says, x.counted, x.logged,
		-- a week later usage no longer tells months apart; a reset begins the row's count anew
		first.at > now() - interval '6 days' AND m.young AND NOT EXISTS (
			SELECT FROM events e WHERE e.year = m.year AND e.month = m.month
				AND e.event = 'operator_reset') AS comparable,
		coalesce(m.progressed_at, m.completed_at) < now() - interval '30 s' AS settled
	FROM months m
	LEFT JOIN counted k ON k.year = m.year AND k.month = m.month AND m.status = 'completed'
	LEFT JOIN usage u ON u.year = m.year AND u.month = m.month
	LEFT JOIN LATERAL (SELECT min(e.at) AS at FROM events e WHERE e.year = m.year
		AND e.month = m.month) AS first ON true
	CROSS JOIN LATERAL (VALUES
		('gemini_calls', coalesce(m.gemini_calls, 0), (k.detail ->> 'gemini_calls')::bigint,
			coalesce(u.gemini, 0)),
		('xai_calls', coalesce(m.xai_calls, 0), (k.detail ->> 'xai_calls')::bigint,
			coalesce(u.xai, 0)),
		('isbndb_calls', coalesce(m.isbndb_calls, 0), (k.detail ->> 'isbndb_calls')::bigint,
			coalesce(u.isbndb, 0))) AS x (name, says, counted, logged)
	WHERE m.status <> 'processing' AND m.fence > 0
), found AS MATERIALIZED (
	SELECT 'chain' AS chk, CASE WHEN fence = f AND to_stage IN ('retry', 'failed', 'pending')
			AND step = s + 2 THEN 'warning' ELSE 'error' END AS severity, subject,
		format('between fence %s step %s and fence %s step %s (%s) a transition is missing', f, s,
			fence, step, event) AS text
	FROM gaps
	UNION ALL
	SELECT 'chain', 'error', m.subject, format('the row''s fence is %s, its last transition''s %s',
		m.fence, coalesce(e.fence::text, '(none)'))
	FROM months m LEFT JOIN ends e ON e.year = m.year AND e.month = m.month
	WHERE m.fence > coalesce(e.fence, CASE WHEN m.young THEN 0 ELSE m.fence END)
		OR e.fence > m.fence
	UNION ALL
	SELECT 'chain', 'error', m.subject, format('%s%s, but its last transition (%s, fence %s step'
		' %s) led to %s', m.status, coalesce(' in stage ' || m.stage, ''), e.event, e.fence,
		e.step, e.to_stage)
	FROM months m JOIN ends e ON e.year = m.year AND e.month = m.month AND e.fence = m.fence
	WHERE e.to_stage IS DISTINCT FROM CASE m.status
		WHEN 'processing' THEN coalesce(m.stage, 'claimed') ELSE m.status END
	UNION ALL
	SELECT 'chain', 'error', m.subject, format('%s, but no transition led there', m.status)
	FROM months m
	WHERE m.fence = 0 AND m.young AND m.status NOT IN ('pending', 'processing')
		AND m.completed_at IS NULL
	UNION ALL
	-- units counted and never sent are taken off after the end, when the usage is written
	SELECT c.name, 'error', c.subject, format('says %s, was %s when the month completed', c.says,
		c.counted)
	FROM calls c
	WHERE c.says > c.counted OR (c.says < c.counted AND NOT (c.comparable AND c.says = c.logged))
	UNION ALL
	SELECT c.name, CASE WHEN c.says < c.logged THEN 'error' ELSE 'warning' END, c.subject,
		CASE WHEN c.says < c.logged THEN format('says %s, %s requests are logged', c.says, c.logged)
			ELSE format('says %s, %s requests are logged: counted before they went out, and lost'
				' with a crash or a session', c.says, c.logged) END
	FROM calls c
	WHERE c.comparable AND (c.says < c.logged OR (c.says > c.logged AND c.settled))
		AND NOT coalesce(c.says > c.counted, false)
	UNION ALL
	SELECT x.name, 'error', m.subject, format('says %s, the month''s last transition counted %s',
		x.says, x.counted)
	FROM months m
	JOIN recounted r ON r.year = m.year AND r.month = m.month AND r.fence = m.fence
	CROSS JOIN LATERAL (VALUES
		('books_generated', coalesce(m.books_generated, 0), (r.detail ->> 'books_generated')::bigint),
		('isbns_resolved', coalesce(m.isbns_resolved, 0), (r.detail ->> 'isbns_resolved')::bigint),
		('isbns_queued', coalesce(m.isbns_queued, 0), (r.detail ->> 'isbns_queued')::bigint))
		AS x (name, says, counted)
	WHERE m.status = 'completed' AND x.says <> x.counted
), checks (chk, checked, remedy) AS (
	VALUES ('chain', (SELECT count(*) FROM events),
		'Transitions were deleted, or the row was changed by hand. The row is what counts; reset the month if its figures cannot be trusted.'),
	('gemini_calls', (SELECT count(*) FROM calls WHERE name = 'gemini_calls'),
		'Set the column to what the transitions or api_usage say; after a crash the higher figure is the safe one.'),
	('xai_calls', (SELECT count(*) FROM calls WHERE name = 'xai_calls'),
		'Set the column to what the transitions or api_usage say; after a crash the higher figure is the safe one.'),
	('isbndb_calls', (SELECT count(*) FROM calls WHERE name = 'isbndb_calls'),
		'Set the column to what the transitions or api_usage say; after a crash the higher figure is the safe one.'),
	('books_generated', 0, 'Set the column to what the month''s last transition counted, or reset the month.'),
	('isbns_resolved', 0, 'Set the column to what the month''s last transition counted, or reset the month.'),
	('isbns_queued', 0, 'Set the column to what the month''s last transition counted, or reset the month.')
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, c.remedy
FROM checks c
-- use: findings

-- The queue and the quota. A unit reserved before midnight and sent after it is used of one day and
-- logged on the next: what a day has too little, the day before has too much. Only of the paid providers
-- everything is reserved; the others are when they have a limit, which may come and go.
-- name: verify_queue
WITH ours AS MATERIALIZED (
	SELECT q.id, q.entity_type, q.entity_key, q.status, q.year, q.month, q.job_id, q.priority,
		q.error_message, q.owner_id, q.lease_until, q.completed_at,
		EXISTS (SELECT FROM backfill_log b WHERE b.year = q.year AND b.month = q.month) AS has_month
	FROM enrichment_queue q
	WHERE q.queued_by = 'backfilld' AND (q.year IS NULL OR q.year BETWEEN $1::int AND $2::int)
), usage AS MATERIALIZED (
	SELECT provider, day, sum(units) AS units FROM api_usage GROUP BY provider, day
), quota AS MATERIALIZED (
	SELECT u.provider, u.day, u.units, q.used,
		coalesce(q.used, 0) - u.units + greatest(0, coalesce(y.used, 0) - coalesce(v.units, 0)) AS left_over
	FROM usage u
	LEFT JOIN api_quota q ON q.provider = u.provider AND q.day = u.day
	LEFT JOIN api_quota y ON y.provider = u.provider AND y.day = u.day - 1
	LEFT JOIN usage v ON v.provider = u.provider AND v.day = u.day - 1
	WHERE u.units > 0 AND (u.provider IN ('gemini', 'xai', 'isbndb') OR q.used IS NOT NULL)
), found AS MATERIALIZED (
	SELECT 'queue' AS chk, 'error' AS severity, format('%s %s', entity_type, entity_key) AS subject,
		CASE WHEN year IS NULL THEN 'has a job but no month'
			ELSE format('its month %s-%s does not exist', year, lpad(month::text, 2, '0')) END AS text
	FROM ours
	WHERE NOT has_month AND (year IS NOT NULL OR (entity_type = 'edition' AND job_id IS NOT NULL))
	UNION ALL
	SELECT 'queue', 'error', format('%s %s', q.entity_type, q.entity_key),
		format('no book of %s-%s has this ISBN', q.year, lpad(q.month::text, 2, '0'))
	FROM ours q JOIN backfill_log b ON b.year = q.year AND b.month = q.month
		AND b.status = 'completed' AND b.fence > 0
	WHERE q.entity_type = 'edition' AND q.priority IS DISTINCT FROM 8
		AND NOT EXISTS (
			SELECT FROM backfill_candidates c WHERE c.isbn13 = q.entity_key AND c.year = q.year
				AND c.month = q.month)
		AND NOT EXISTS (
			SELECT FROM backfill_events e WHERE e.year = q.year AND e.month = q.month
				AND e.event = 'operator_reset')
		AND EXISTS (
			SELECT FROM backfill_candidates c WHERE c.year = q.year AND c.month = q.month)
	UNION ALL
	SELECT 'queue', 'error', format('%s %s', q.entity_type, q.entity_key), s.text
	FROM ours q CROSS JOIN LATERAL (VALUES
		(q.status NOT IN ('pending', 'processing', 'completed', 'failed') OR q.status IS NULL,
			format('unknown status %s', q.status)),
		(q.status = 'processing' AND (q.owner_id IS NULL OR q.lease_until IS NULL),
			'processing without an owner'),
		(q.status = 'completed' AND q.entity_type = 'edition' AND q.error_message IS NULL
			AND NOT EXISTS (SELECT FROM enriched_editions e WHERE e.isbn = q.entity_key),
			'completed, but the edition does not exist')) AS s (bad, text)
	WHERE s.bad
	UNION ALL
	SELECT 'editions', 'error', format('edition %s', e.isbn),
		CASE WHEN e.work_key IS NULL THEN 'belongs to no work'
			ELSE format('its work %s does not exist', e.work_key) END
	FROM ours q JOIN enriched_editions e ON e.isbn = q.entity_key
	WHERE q.entity_type = 'edition' AND q.status = 'completed'
		AND NOT EXISTS (SELECT FROM enriched_works w WHERE w.work_key = e.work_key)
	UNION ALL
	SELECT 'editions', 'warning', format('edition %s', e.isbn), 'belongs to no work; it is not of our making'
	FROM enriched_editions e
	WHERE e.work_key IS NULL AND NOT EXISTS (
		SELECT FROM ours q WHERE q.entity_type = 'edition' AND q.status = 'completed'
			AND q.entity_key = e.isbn)
	UNION ALL
	SELECT 'quota', CASE WHEN provider IN ('gemini', 'xai', 'isbndb') THEN 'error' ELSE 'warning' END,
		format('%s %s', provider, day), format('used is %s, %s units are logged as sent',
			coalesce(used::text, '(no row)'), units)
	FROM quota WHERE left_over < 0
), checks (chk, checked, remedy) AS (
	VALUES ('queue', (SELECT count(*) FROM ours),
		'An item without its month: seed the month, or delete the item. One that lost its edition: set it to pending.'),
	('editions', (SELECT count(*) FROM ours WHERE entity_type = 'edition' AND status = 'completed'),
		'Set the edition''s item in enrichment_queue to pending: it is merged again and finds its work.'),
	('quota', (SELECT count(*) FROM quota),
		'Raise api_quota.used of that day to the units of api_usage; more was sent than the limit knows of.')
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, c.remedy
FROM checks c
-- use: findings

-- The catalogue: only works and authors that the years' books lead to, by index; all synthetic works, of
-- which there is an index; all authors while they are few.
-- name: verify_catalogue
WITH few AS MATERIALIZED (
	SELECT count(*) <= 50000 AS yes FROM (SELECT FROM enriched_authors LIMIT 50001) AS x
), synthetic AS MATERIALIZED (
	SELECT w.work_key, w.title FROM enriched_works w WHERE w.synthetic
), ours AS MATERIALIZED (
	SELECT DISTINCT l.author_key
	FROM (
		SELECT DISTINCT c.work_key FROM backfill_candidates c
		WHERE c.year BETWEEN $1::int AND $2::int) AS k
	JOIN work_authors_enriched l ON l.work_key = k.work_key
), authors AS MATERIALIZED (
	SELECT a.author_key, a.book_count, true AS ours
	FROM ours o JOIN enriched_authors a ON a.author_key = o.author_key
	UNION ALL
	SELECT a.author_key, a.book_count, false
	FROM enriched_authors a
	WHERE (SELECT yes FROM few) AND a.author_key NOT IN (SELECT author_key FROM ours)
), found AS MATERIALIZED (
	SELECT 'synthetic' AS chk, 'error' AS severity, format('work %s', s.work_key) AS subject,
		format('"%s" is synthetic, but has edition %s', left(s.title, 80), e.isbn) AS text
	FROM synthetic s CROSS JOIN LATERAL (
		SELECT isbn FROM enriched_editions WHERE work_key = s.work_key ORDER BY isbn LIMIT 1) AS e
	UNION ALL
	SELECT 'book_count', CASE WHEN a.ours OR a.author_key LIKE 'name:%' THEN 'error'
			ELSE 'warning' END, format('author %s', a.author_key),
		format('book_count says %s, has %s works', coalesce(a.book_count::text, 'nothing'), n.n)
	FROM authors a CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM work_authors_enriched l WHERE l.author_key = a.author_key) AS n
	WHERE coalesce(a.book_count, 0) <> n.n
), checks (chk, checked, remedy) AS (
	VALUES ('synthetic', (SELECT count(*) FROM synthetic),
		'Set the edition''s item in enrichment_queue to pending: the work becomes real when it is written again.'),
	('book_count', (SELECT count(*) FROM authors),
		'Set the column to the number of the author''s rows in work_authors_enriched.')
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, c.remedy
FROM checks c
-- use: findings

-- Transitions as they come, for those who follow them, and the record of who asked for what.

-- The last event there is, and up to which id events have been pruned.
-- name: events_mark
SELECT greatest(c.events_pruned, coalesce((SELECT max(id) FROM backfill_events), 0)) AS last,
	c.events_pruned AS pruned
FROM backfill_control c

-- What a page of events e shows of each, within $4 bytes.
-- part: event_lines
	CROSS JOIN LATERAL (
		SELECT json_build_object('id', e.id, 'at', to_char(e.at AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'year', e.year, 'month', e.month,
			'from', e.from_stage, 'to', e.to_stage, 'event', e.event, 'instance',
			e.instance, 'job_id', e.job_id, 'fence', e.fence, 'step', e.step, 'detail',
			CASE WHEN octet_length(e.detail::text) > 32768 THEN jsonb_build_object(
				'omitted_bytes', octet_length(e.detail::text))
				ELSE e.detail END)::text AS json) AS j) AS p
WHERE bytes < $4::bigint
ORDER BY id

-- Events after $1 up to $2, in order: at most $3 of them and not many more than $4 bytes. `found` is
-- how many there were before the bytes were counted.
-- name: events_page
SELECT id, year, month, event, json, found
FROM (
	SELECT e.id, e.year, e.month, e.event, j.json, count(*) OVER () AS found,
		sum(octet_length(j.json)) OVER (ORDER BY e.id) - octet_length(j.json) AS bytes
	FROM (
		SELECT * FROM backfill_events WHERE id > $1::bigint AND id <= $2::bigint
		ORDER BY id LIMIT $3::int) AS e
	-- use: event_lines

-- The same for one year ($5), and the months $6 to $7 of it.
-- name: events_page_of
SELECT id, year, month, event, json, found
FROM (
	SELECT e.id, e.year, e.month, e.event, j.json, count(*) OVER () AS found,
		sum(octet_length(j.json)) OVER (ORDER BY e.id) - octet_length(j.json) AS bytes
	FROM (
		SELECT * FROM backfill_events WHERE id > $1::bigint AND id <= $2::bigint
			AND year = $5::int AND month BETWEEN $6::int AND $7::int
		ORDER BY id LIMIT $3::int) AS e
	-- use: event_lines

-- The time of a call is told by its age: rows may have waited while the database was away, and the
-- clock that counts is the database's.
-- name: audit_write
WITH written AS (
	INSERT INTO backfill_audit (call_id, at, operator, address, user_agent, method, path, body,
		status, outcome, instance, duration_ms)
	SELECT c.call_id, now() - c.age_ms * interval '1 ms', c.operator, c.address, c.user_agent,
		c.method, c.path, c.body, c.status, c.outcome, $1::text, c.duration_ms
	FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
		$8::text[], $9::jsonb[], $10::int[], $11::text[], $12::bigint[])
		WITH ORDINALITY AS c (call_id, age_ms, operator, address, user_agent, method, path,
			body, status, outcome, duration_ms, ord)
	ORDER BY c.ord
	ON CONFLICT (call_id) DO NOTHING
)
SELECT 'done' AS outcome

-- Newest first; one more than asked for tells whether there is another page.
-- name: audit_json
WITH found AS MATERIALIZED (
	SELECT * FROM backfill_audit
	WHERE id < $1::bigint AND ($2::text IS NULL OR operator = $2::text)
		AND ($3::text IS NULL OR starts_with(path, $3::text))
	ORDER BY id DESC
	LIMIT $4::int + 1
), page AS MATERIALIZED (
	SELECT * FROM found ORDER BY id DESC LIMIT $4::int
)
SELECT json_build_object('audit', coalesce((
		SELECT json_agg(json_build_object('id', id, 'at', to_char(at AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'operator', operator, 'address',
			address, 'user_agent', user_agent, 'method', method, 'path', path, 'body',
			body, 'status', status, 'outcome', outcome, 'instance', instance,
			'duration_ms', duration_ms) ORDER BY id DESC)
		FROM page), '[]'),
	'next', CASE WHEN (SELECT count(*) FROM found) > $4::int
		THEN (SELECT min(id) FROM page) END) AS json

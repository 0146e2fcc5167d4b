-- Instances, locks, timers and the questions that stand to be asked all the time. Advisory locks
-- have two ints: class 1112949069 for months, 1112949070 for instances. Statements on locks run on
-- the lock session.

-- The former session of this very instance may still hold its lock, on a host that has lost sight
-- of it: it is ended, and the caller asks again. Rehearsals of instances that are gone will never
-- end by themselves.
-- name: hello
WITH made AS (
	INSERT INTO backfill_instances (instance, host, pid, version)
	SELECT $2::text, $3::text, $4::int, $5::text WHERE $1::int = 0
	RETURNING id
), me AS MATERIALIZED (
	SELECT id FROM made UNION ALL SELECT $1::int WHERE $1::int > 0
), got AS MATERIALIZED (
	SELECT id, pg_try_advisory_lock(1112949070, id) AS ok FROM me
), others AS MATERIALIZED (
	SELECT l.objid::bigint AS id, l.pid FROM got g, LATERAL (
		SELECT objid, pid, g.id AS after FROM pg_locks
		WHERE locktype = 'advisory' AND classid = 1112949070 AND objsubid = 2 AND granted
			AND database = (SELECT oid FROM pg_database
				WHERE datname = current_database())
			AND pid <> pg_backend_pid() OFFSET 0) AS l
), ended AS MATERIALIZED (
	SELECT pg_terminate_backend(o.pid) FROM others o JOIN got g ON g.id = o.id AND NOT g.ok
), dead AS (
	UPDATE backfill_jobs j
	SET status = 'failed', error = 'daemon restarted', progress = 'failed', updated_at = now(),
		completed_at = now()
	FROM got g
	WHERE j.dry_run AND j.status NOT IN ('complete', 'failed')
		AND j.instance_id IS DISTINCT FROM g.id
			AND j.instance_id NOT IN (SELECT id FROM others)
	RETURNING 1
)
SELECT g.id, g.ok, NOT EXISTS (SELECT FROM others) AS alone,
	(extract(epoch FROM clock_timestamp()
		- pg_postmaster_start_time()) * 1000)::bigint AS up_ms,
	set_config('backfill.session', $6::text, false) AS token,
	(SELECT count(*) FROM ended) AS ended, (SELECT count(*) FROM dead) AS dead
FROM got g

-- The answer is read from the locks that were tried: what only stood beside it would not be done
-- when there is nothing to tell.
-- name: relock
WITH asked AS MATERIALIZED (
	SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[]) AS t (year, month, fence)
), own AS MATERIALIZED (
	SELECT objid::bigint AS key FROM pg_locks
	WHERE locktype = 'advisory' AND classid = 1112949069 AND objsubid = 2 AND granted
		AND pid = pg_backend_pid()
), mine AS MATERIALIZED (
	SELECT a.*, CASE WHEN a.year * 12 + a.month - 1 IN (SELECT key FROM own) THEN true
		ELSE pg_try_advisory_lock(1112949069, a.year * 12 + a.month - 1) END AS locked
	FROM asked a JOIN backfill_log b
		ON b.year = a.year AND b.month = a.month AND b.fence = a.fence
			AND b.status = 'processing'
)
SELECT a.year, a.month, a.fence FROM asked a LEFT JOIN mine m
	ON m.year = a.year AND m.month = a.month AND m.fence = a.fence
WHERE m.locked IS NULL

-- A month that this instance has meanwhile claimed anew keeps its lock.
-- name: unlock
SELECT count(pg_advisory_unlock(1112949069, a.year * 12 + a.month - 1)) AS count
FROM unnest($1::int[], $2::int[], $3::bigint[]) AS a (year, month, fence)
WHERE NOT EXISTS (
		SELECT FROM backfill_log b WHERE b.year = a.year AND b.month = a.month
			AND b.status = 'processing'
			AND b.owner_id = $4::int AND b.fence > a.fence)
	AND EXISTS (
		SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1112949069
			AND objsubid = 2 AND granted
			AND objid::bigint = a.year * 12 + a.month - 1 AND pid = pg_backend_pid())

-- Everything at once. Locks of mine that are missing are taken; locks I hold for nothing (a claim
-- whose answer was lost) are let go. On a server that has once been promoted the age of the own
-- session stands in for the time since the promotion, which the server does not tell: no session is
-- older. The queue's figures stop at 100000, so that a long queue does not make every pulse long.
-- name: pulse
WITH mine AS MATERIALIZED (
	SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[]) AS t (year, month, fence)
), held AS MATERIALIZED (
	SELECT classid::bigint AS class, objid::bigint AS key, pid = pg_backend_pid() AS own
		FROM pg_locks
	WHERE locktype = 'advisory' AND classid IN (1112949069, 1112949070) AND objsubid = 2
		AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), busy AS MATERIALIZED (
	SELECT b.year, b.month, b.fence, b.year * 12 + b.month - 1 AS key, b.job_id, b.owner_id,
		coalesce(b.progressed_at, b.started_at, b.created_at) <= now()
			- $4::bigint * interval '1 ms' AS stuck,
		EXISTS (SELECT FROM mine m WHERE m.year = b.year AND m.month = b.month
			AND m.fence = b.fence) AS mine
	FROM backfill_log b WHERE b.status = 'processing'
), locked AS MATERIALIZED (
	SELECT pg_try_advisory_lock(1112949069, b.key) FROM busy b
	WHERE b.mine AND NOT EXISTS (SELECT FROM held h WHERE h.class = 1112949069 AND h.key = b.key
		AND h.own)
), dropped AS MATERIALIZED (
	SELECT pg_advisory_unlock(1112949069, h.key::int) FROM held h
	WHERE h.class = 1112949069 AND h.own AND $5::int > 0
		AND NOT EXISTS (SELECT FROM mine m WHERE m.year * 12 + m.month - 1 = h.key)
		AND NOT EXISTS (SELECT FROM busy b WHERE b.key = h.key AND b.owner_id = $5::int)
)
SELECT 'clock' AS kind, (extract(epoch FROM now()) * 1000000)::bigint AS a,
	(extract(epoch FROM now() - CASE WHEN pg_walfile_name(pg_current_wal_lsn()) LIKE '00000001%'
		THEN pg_postmaster_start_time()
		ELSE greatest(pg_postmaster_start_time(), (
			SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())))
				END) * 1000)::bigint AS b,
	(SELECT count(*) FROM locked) AS c, (SELECT count(*) FROM dropped) AS d,
	current_setting('backfill.session', true) AS s, NULL::text AS t
UNION ALL
SELECT 'instance', * FROM (SELECT key, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text,
	NULL::text
	FROM held WHERE class = 1112949070 ORDER BY key) AS x
UNION ALL
SELECT 'orphan', b.year, b.month, b.fence, b.stuck::int, NULL, NULL FROM busy b
WHERE NOT b.mine AND (b.stuck OR (b.job_id IS NOT NULL
	AND NOT EXISTS (SELECT FROM held h WHERE h.class = 1112949069 AND h.key = b.key)))
UNION ALL
SELECT 'lost', m.year, m.month, m.fence, NULL, NULL, NULL FROM mine m
WHERE NOT EXISTS (SELECT FROM busy b WHERE b.year = m.year AND b.month = m.month
	AND b.fence = m.fence)
UNION ALL
SELECT 'retry', count(*) FILTER (WHERE next_attempt_at IS NULL OR next_attempt_at <= now()),
	ceil(extract(epoch FROM min(next_attempt_at) FILTER (WHERE next_attempt_at > now())
		- now()) * 1000)::bigint,
	NULL, NULL, NULL, NULL
FROM backfill_log WHERE status = 'retry'
UNION ALL
SELECT 'pause', NULL, NULL, NULL, NULL, coalesce(note, ''), NULL FROM backfill_control
WHERE paused AND (until IS NULL OR until > now())
UNION ALL
SELECT 'closure', ceil(extract(epoch FROM closed_until - now()) * 1000)::bigint, failures, NULL,
	NULL, provider || ' ' || kind, reason
FROM provider_state WHERE closed_until > now() AND kind <> 'none'
UNION ALL
SELECT 'total', count(*), sum(books_generated), sum(isbns_resolved), sum(isbns_queued), status, NULL
FROM backfill_log GROUP BY status
UNION ALL
SELECT 'queue', (SELECT count(*) FROM (
		SELECT FROM enrichment_queue WHERE status = 'pending' AND queued_by = 'backfilld'
		LIMIT 100000) AS q), (SELECT count(*) FROM (
		SELECT FROM enrichment_queue WHERE status = 'pending' AND queued_by = 'backfilld'
			AND next_attempt_at > now()
		LIMIT 100000) AS q), (SELECT count(*) FROM (
		SELECT FROM enrichment_queue WHERE status = 'processing'
			AND queued_by = 'backfilld'
		LIMIT 100000) AS q), (SELECT count(*) FROM (
		SELECT FROM enrichment_queue WHERE status = 'failed' AND queued_by = 'backfilld'
		LIMIT 100000) AS q), (
	SELECT greatest(0, extract(epoch FROM now() - created_at))::bigint::text
	FROM enrichment_queue
	WHERE status = 'pending' AND queued_by = 'backfilld'
	ORDER BY created_at
	LIMIT 1), NULL
UNION ALL
SELECT 'quota', used, daily_limit, NULL, NULL, NULL, NULL FROM api_quota
WHERE provider = 'isbndb' AND day = backfill_provider_day('isbndb', now())

-- $3 names the claimer, so that a claim repeated after a lost acknowledgement is still ours.
-- name: timer_claim
WITH taken AS (
	INSERT INTO backfill_timers AS t (name, last_run, instance)
	VALUES ($1::text, to_timestamp($2::bigint), $3::text)
	ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run, instance = excluded.instance
	WHERE t.last_run < excluded.last_run
		OR (t.last_run = excluded.last_run AND t.instance = excluded.instance)
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 'done' ELSE 'refused' END AS outcome

-- name: timer_last
WITH made AS (
	INSERT INTO backfill_timers (name, last_run) SELECT $1::text, now()
	WHERE NOT EXISTS (SELECT FROM backfill_timers WHERE name = $1::text)
	ON CONFLICT (name) DO NOTHING
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM made) THEN -1
	ELSE extract(epoch FROM coalesce((SELECT last_run FROM backfill_timers
		WHERE name = $1::text), now()))::bigint
	END AS last_run

-- name: pause
INSERT INTO backfill_control (one, paused, note, until) VALUES (true, $1::bool, $2::text,
	$3::timestamptz)
ON CONFLICT (one) DO UPDATE
SET paused = excluded.paused, note = excluded.note, until = excluded.until, updated_at = now()
RETURNING 'done' AS outcome

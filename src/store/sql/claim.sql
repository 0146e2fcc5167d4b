-- Claiming: how a month comes into somebody's hands. All of these run on the lock session, because
-- the advisory lock of a month (class 1112949069, key year * 12 + month - 1) must live as long as
-- its owner. The lock is tried in a materialised CTE, after the LIMIT: in a WHERE it would be taken
-- on every row looked at. Events come last (they read from every other write), since numbering them
-- serialises all writers. `outages`: how often in a row the month could ask nobody, since its books
-- were stored, it failed otherwise, or an operator touched it; each wait is longer than the last.

-- part: claimed_month
m.year, m.month, m.fence, m.job_id, m.stage, m.claimed_from, m.retry_count, m.round,
	m.isbndb_calls, (
		SELECT count(*) FROM backfill_events e
		WHERE e.year = m.year AND e.month = m.month AND e.event = 'outage' AND e.id > (
			SELECT coalesce(max(o.id), 0) FROM backfill_events o
			WHERE o.year = m.year AND o.month = m.month AND (o.event LIKE 'operator_%'
				OR o.event IN ('merged', 'failure', 'attempts_spent')))) AS outages,
	coalesce(j.batch_size, m.batch_size, 20) AS batch_size,
	coalesce(j.prompt_variant, m.prompt_variant, 'baseline') AS prompt_variant,
	j.model_override, coalesce(j.max_quota, 0) AS max_quota, false AS dry_run, 1 AS last_step

-- name: claim
WITH pause AS MATERIALIZED (
	SELECT coalesce(note, '') AS note FROM backfill_control
	WHERE paused AND (until IS NULL OR until > now())
), counts AS MATERIALIZED (
	SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
		count(*) FILTER (WHERE status = 'processing') AS processing,
		count(*) FILTER (WHERE status = 'completed') AS completed,
		count(*) FILTER (WHERE status = 'failed') AS failed,
		count(*) FILTER (WHERE status = 'retry') AS retry,
		count(*) AS total
	FROM backfill_log
), matching AS MATERIALIZED (
	SELECT id FROM backfill_log
	WHERE year BETWEEN $2::int AND $3::int
		AND (($4::bool AND status = 'pending')
			OR (status = 'retry' AND coalesce(next_attempt_at, now()) <= now())
			OR ($5::bool AND status = 'failed' AND coalesce(retry_count, 0) < 5))
	ORDER BY year DESC, month DESC
	LIMIT $1::int
), picked AS MATERIALIZED (
	SELECT id, year, month, status FROM backfill_log
	WHERE year BETWEEN $2::int AND $3::int
		AND (($4::bool AND status = 'pending')
			OR (status = 'retry' AND coalesce(next_attempt_at, now()) <= now())
			OR ($5::bool AND status = 'failed' AND coalesce(retry_count, 0) < 5))
		AND NOT EXISTS (SELECT FROM pause)
	ORDER BY year DESC, month DESC
	LIMIT $1::int
	FOR UPDATE SKIP LOCKED
), locked AS MATERIALIZED (
	SELECT id, status, pg_try_advisory_lock(1112949069, year * 12 + month - 1) AS ok FROM picked
), moved AS (
	UPDATE backfill_log b
	SET status = 'processing', claimed_from = l.status, fence = b.fence + 1,
		job_id = CASE WHEN b.job_id IS NOT NULL AND (l.status = 'retry' OR EXISTS (
				SELECT FROM backfill_jobs j
				WHERE j.job_id = b.job_id
					AND j.status NOT IN ('complete', 'failed')))
			THEN b.job_id ELSE gen_random_uuid() END,
		owner = $6::text, owner_id = $7::int, started_at = now(), completed_at = NULL,
		-- a spent month that is asked for again runs its last attempt; hand-written SQL may add one to it
		retry_count = least(b.retry_count, 4),
		progressed_at = now(), error_message = NULL, next_attempt_at = NULL
	FROM locked l
	WHERE b.id = l.id AND l.ok
	RETURNING b.*
), jobs AS (
	INSERT INTO backfill_jobs AS j (job_id, year, month, fence, status, progress, instance,
		instance_id)
	SELECT job_id, year, month, fence, 'queued', 'waiting for a free slot', owner, owner_id
		FROM moved
	ON CONFLICT (job_id) DO UPDATE
	SET fence = excluded.fence, status = 'queued', progress = excluded.progress, error = NULL,
		instance = excluded.instance, instance_id = excluded.instance_id,
		updated_at = now(), completed_at = NULL
	RETURNING j.job_id, j.batch_size, j.prompt_variant, j.model_override, j.max_quota
), events AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT m.year, m.month, m.fence, 1, $6::text, m.job_id, m.claimed_from,
		coalesce(m.stage, 'claimed'), 'claimed',
		jsonb_build_object('retry_count', m.retry_count)
	FROM moved m, (SELECT count(*) FROM jobs) AS before
	ORDER BY m.year DESC, m.month DESC
	RETURNING 1
)
SELECT m.status, m.books_generated, m.isbns_resolved, m.isbns_queued, m.resolution_rate,
	m.error_message, m.gemini_calls, m.xai_calls, m.cost_usd, m.owner,
	m.prompt_variant AS own_variant, backfill_time(m.started_at) AS started_at,
	backfill_time(m.completed_at) AS completed_at,
	backfill_time(m.next_attempt_at) AS next_attempt_at, c.pending - f.pending AS total_pending,
	c.processing + f.n AS total_processing, c.completed AS total_completed,
	c.failed - f.failed AS total_failed, c.retry - f.retry AS total_retry, c.total AS total_all,
	(SELECT count(*) FROM matching x WHERE x.id NOT IN (SELECT id FROM moved)) AS skipped,
	(SELECT note FROM pause) AS paused,
	-- use: claimed_month
FROM counts c
CROSS JOIN (
	SELECT count(*) AS n, count(*) FILTER (WHERE claimed_from = 'pending') AS pending,
		count(*) FILTER (WHERE claimed_from = 'failed') AS failed,
		count(*) FILTER (WHERE claimed_from = 'retry') AS retry
	FROM moved) AS f
LEFT JOIN (moved m JOIN jobs j ON j.job_id = m.job_id) ON true
ORDER BY m.year DESC, m.month DESC

-- name: preview
WITH counts AS MATERIALIZED (
	SELECT count(*) FILTER (WHERE status = 'pending') AS total_pending,
		count(*) FILTER (WHERE status = 'processing') AS total_processing,
		count(*) FILTER (WHERE status = 'completed') AS total_completed,
		count(*) FILTER (WHERE status = 'failed') AS total_failed,
		count(*) FILTER (WHERE status = 'retry') AS total_retry,
		count(*) AS total_all
	FROM backfill_log
), m AS MATERIALIZED (
	SELECT * FROM backfill_log
	WHERE year BETWEEN $2::int AND $3::int
		AND (status = 'pending'
			OR (status = 'retry' AND coalesce(next_attempt_at, now()) <= now())
			OR ($4::bool AND status = 'failed' AND coalesce(retry_count, 0) < 5))
	ORDER BY year DESC, month DESC
	LIMIT $1::int
)
SELECT m.year, m.month, m.stage, m.retry_count, m.batch_size, m.isbndb_calls, m.status,
	m.books_generated, m.isbns_resolved, m.isbns_queued, m.resolution_rate, m.error_message, m.gemini_calls,
	m.xai_calls, m.cost_usd, m.owner, m.prompt_variant AS own_variant,
	backfill_time(m.started_at) AS started_at, backfill_time(m.completed_at) AS completed_at,
	backfill_time(m.next_attempt_at) AS next_attempt_at, c.*, 0 AS skipped, NULL::text AS paused
FROM counts c LEFT JOIN m ON true
ORDER BY m.year DESC, m.month DESC

-- name: rescue
WITH pause AS MATERIALIZED (
	SELECT coalesce(note, '') AS note FROM backfill_control
	WHERE paused AND (until IS NULL OR until > now())
), counts AS MATERIALIZED (
	SELECT count(*) FILTER (WHERE status = 'pending') AS total_pending,
		count(*) FILTER (WHERE status = 'processing') AS total_processing,
		count(*) FILTER (WHERE status = 'completed') AS total_completed,
		count(*) FILTER (WHERE status = 'failed') AS total_failed,
		count(*) FILTER (WHERE status = 'retry') AS total_retry,
		count(*) AS total_all
	FROM backfill_log
), asked AS MATERIALIZED (
	SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[]) AS t (year, month, fence)
), picked AS MATERIALIZED (
	SELECT b.id, b.year, b.month, b.job_id,
		coalesce(b.progressed_at, b.started_at, b.created_at) <= now()
			- $4::bigint * interval '1 ms' AS stuck
	FROM asked a JOIN backfill_log b ON b.year = a.year AND b.month = a.month
		AND b.fence = a.fence
	WHERE b.status = 'processing' AND NOT EXISTS (SELECT FROM pause)
	ORDER BY b.year DESC, b.month DESC
	FOR UPDATE OF b SKIP LOCKED
), locked AS MATERIALIZED (
	SELECT id, stuck, pg_try_advisory_lock(1112949069, year * 12 + month - 1) AS ok FROM picked
	WHERE stuck OR job_id IS NOT NULL
), moved AS (
	UPDATE backfill_log b
	SET fence = b.fence + 1, job_id = coalesce(b.job_id, gen_random_uuid()), owner = $5::text,
		owner_id = $6::int, started_at = coalesce(b.started_at, now()),
		progressed_at = now(), claimed_from = coalesce(b.claimed_from, 'pending')
	FROM locked l
	WHERE b.id = l.id AND (l.ok OR l.stuck)
	RETURNING b.*, l.stuck
), jobs AS (
	INSERT INTO backfill_jobs AS j (job_id, year, month, fence, status, progress, instance,
		instance_id)
	SELECT job_id, year, month, fence, 'queued', 'taken up again', owner, owner_id FROM moved
	ON CONFLICT (job_id) DO UPDATE
	SET fence = excluded.fence, progress = excluded.progress, instance = excluded.instance,
		instance_id = excluded.instance_id, updated_at = now()
	RETURNING j.job_id, j.batch_size, j.prompt_variant, j.model_override, j.max_quota
), events AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT m.year, m.month, m.fence, 1, $5::text, m.job_id, coalesce(m.stage, 'claimed'),
		coalesce(m.stage, 'claimed'), 'rescued', jsonb_build_object('stuck', m.stuck)
	FROM moved m, (SELECT count(*) FROM jobs) AS before
	ORDER BY m.year DESC, m.month DESC
	RETURNING 1
)
SELECT m.status, m.books_generated, m.isbns_resolved, m.isbns_queued, m.resolution_rate,
	m.error_message, m.gemini_calls, m.xai_calls, m.cost_usd, m.owner,
	m.prompt_variant AS own_variant, backfill_time(m.started_at) AS started_at,
	backfill_time(m.completed_at) AS completed_at,
	backfill_time(m.next_attempt_at) AS next_attempt_at, c.*,
	(SELECT count(*) FROM asked) - (SELECT count(*) FROM moved) AS skipped,
	(SELECT note FROM pause) AS paused,
	-- use: claimed_month
FROM counts c
LEFT JOIN (moved m JOIN jobs j ON j.job_id = m.job_id) ON true
ORDER BY m.year DESC, m.month DESC

-- The row of a month that nobody seeded; goes before harvest in one transaction.
-- name: harvest_row
INSERT INTO backfill_log (year, month, status, batch_size, prompt_variant)
SELECT $1::int, $2::int, 'pending', $3::int, CASE WHEN $1::int >= $4::int THEN $5::text
	ELSE $6::text END
WHERE NOT EXISTS (SELECT FROM backfill_log WHERE year = $1::int AND month = $2::int)
	AND NOT EXISTS (SELECT FROM backfill_control WHERE paused
		AND (until IS NULL OR until > now()))
ON CONFLICT (year, month) DO NOTHING

-- A month by name ($1 > 0) whatever its count and wait, or the next in order. An older job that
-- still waits for the month is superseded: it could never end by itself.
-- name: harvest
WITH pause AS MATERIALIZED (
	SELECT coalesce(note, '') AS note FROM backfill_control
	WHERE paused AND (until IS NULL OR until > now())
), picked AS MATERIALIZED (
	SELECT id, year, month, status, job_id AS old_job FROM backfill_log
	WHERE CASE WHEN $1::int > 0
			THEN year = $1::int AND month = $2::int
				AND status IN ('pending', 'retry', 'failed')
			ELSE year BETWEEN $3::int AND $4::int AND (status = 'pending'
				OR (status = 'retry' AND coalesce(next_attempt_at, now()) <= now()))
					END
		AND NOT EXISTS (SELECT FROM pause)
	ORDER BY year DESC, month DESC
	LIMIT 1
	FOR UPDATE SKIP LOCKED
), locked AS MATERIALIZED (
	SELECT id, status, old_job, pg_try_advisory_lock(1112949069, year * 12 + month - 1) AS ok
		FROM picked
), moved AS (
	UPDATE backfill_log b
	SET status = 'processing', claimed_from = l.status, fence = b.fence + 1,
		job_id = gen_random_uuid(), owner = $5::text, owner_id = $6::int,
		started_at = now(), completed_at = NULL,
		-- a spent month that is asked for again runs its last attempt; hand-written SQL may add one to it
		retry_count = least(b.retry_count, 4), progressed_at = now(),
		error_message = NULL, next_attempt_at = NULL
	FROM locked l
	WHERE b.id = l.id AND l.ok
	RETURNING b.*, l.old_job
), superseded AS (
	UPDATE backfill_jobs j
	SET status = 'failed', error = 'superseded by job ' || m.job_id, updated_at = now(),
		completed_at = now()
	FROM moved m
	WHERE j.job_id = m.old_job AND j.status NOT IN ('complete', 'failed')
	RETURNING 1
), jobs AS (
	INSERT INTO backfill_jobs AS j (job_id, year, month, fence, status, progress, instance,
		instance_id, batch_size, prompt_variant, model_override, experiment_id, max_quota)
	SELECT job_id, year, month, fence, 'queued', 'waiting for a free slot', owner, owner_id,
		nullif($7::int, 0), $8::text, $9::text, $10::text, nullif($11::int, 0)
	FROM moved
	RETURNING j.*
), events AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT m.year, m.month, m.fence, 1, $5::text, m.job_id, m.claimed_from,
		coalesce(m.stage, 'claimed'),
		'claimed', jsonb_strip_nulls(jsonb_build_object('by', 'harvest', 'batch_size',
			nullif($7::int, 0),
			'prompt_variant', $8::text, 'model_override', $9::text, 'experiment_id',
				$10::text,
			'max_quota', nullif($11::int, 0)))
	FROM moved m, (SELECT count(*) FROM jobs) AS before,
		(SELECT count(*) FROM superseded) AS first
	RETURNING 1
)
SELECT CASE
		WHEN m.id IS NOT NULL THEN 'ok'
		WHEN p.note IS NOT NULL THEN 'paused'
		WHEN (SELECT status FROM backfill_log WHERE year = $1::int
			AND month = $2::int) = 'completed'
			THEN 'completed'
		WHEN $1::int = 0 AND NOT EXISTS (SELECT FROM picked) THEN 'nothing'
		ELSE 'in_flight' END AS result,
	p.note,
	-- use: claimed_month
FROM (VALUES (1)) AS one (x)
LEFT JOIN pause p ON true
LEFT JOIN (moved m JOIN jobs j ON j.job_id = m.job_id) ON true

-- A rehearsal: a job row and nothing else; completed months may be rehearsed, those in flight not.
-- name: harvest_dry
WITH pause AS MATERIALIZED (
	SELECT coalesce(note, '') AS note FROM backfill_control
	WHERE paused AND (until IS NULL OR until > now())
), month AS MATERIALIZED (
	SELECT year, month, status, retry_count, isbndb_calls, batch_size, prompt_variant
		FROM backfill_log
	WHERE CASE WHEN $1::int > 0 THEN year = $1::int AND month = $2::int
			ELSE year BETWEEN $3::int AND $4::int AND (status = 'pending'
				OR (status = 'retry' AND coalesce(next_attempt_at, now()) <= now()))
					END
	ORDER BY year DESC, month DESC
	LIMIT 1
), target AS MATERIALIZED (
	SELECT * FROM month
	UNION ALL
	SELECT $1::int, $2::int, 'pending', 0, 0, $12::int,
		CASE WHEN $1::int >= $13::int THEN $14::text ELSE $15::text END
	WHERE $1::int > 0 AND NOT EXISTS (SELECT FROM month)
), jobs AS (
	INSERT INTO backfill_jobs AS j (job_id, year, month, status, dry_run, progress, instance,
		instance_id, batch_size, prompt_variant, model_override, experiment_id, max_quota)
	SELECT gen_random_uuid(), year, month, 'queued', true, 'waiting for a free slot', $5::text,
		$6::int, nullif($7::int, 0), $8::text, $9::text, $10::text, nullif($11::int, 0)
	FROM target
	WHERE status <> 'processing' AND NOT EXISTS (SELECT FROM pause)
	RETURNING j.*
)
SELECT CASE
		WHEN j.job_id IS NOT NULL THEN 'ok'
		WHEN p.note IS NOT NULL THEN 'paused'
		WHEN t.year IS NULL THEN 'nothing'
		ELSE 'in_flight' END AS result,
	p.note, t.year, t.month, 0 AS fence, j.job_id, NULL::text AS stage,
	t.status AS claimed_from, t.retry_count, 0 AS round, 0 AS isbndb_calls,
	coalesce(j.batch_size, t.batch_size, 20) AS batch_size,
	coalesce(j.prompt_variant, t.prompt_variant, 'baseline') AS prompt_variant,
	j.model_override, coalesce(j.max_quota, 0) AS max_quota, true AS dry_run, 0 AS last_step
FROM (VALUES (1)) AS one (x)
LEFT JOIN pause p ON true
LEFT JOIN target t ON true
LEFT JOIN jobs j ON true

-- name: seed
WITH made AS (
	INSERT INTO backfill_log (year, month, status, batch_size, prompt_variant)
	SELECT y, m, 'pending', $3::int, CASE WHEN y >= $4::int THEN $5::text ELSE $6::text END
	FROM generate_series($1::int, $2::int) AS y, generate_series(1, 12) AS m
	WHERE NOT EXISTS (SELECT FROM backfill_log b WHERE b.year = y AND b.month = m)
	ORDER BY y DESC, m DESC
	ON CONFLICT (year, month) DO NOTHING
	RETURNING 1
)
SELECT count(*) AS count FROM made

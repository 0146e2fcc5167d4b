-- What operators do to months. The fence is raised, so that an owner loses the month and the event has a
-- step.

-- name: operator_cancel
WITH month AS MATERIALIZED (
	SELECT id, status FROM backfill_log WHERE year = $1::int AND month = $2::int FOR UPDATE
), moved AS (
	UPDATE backfill_log b
	SET status = 'failed', error_message = 'cancelled',
		completed_at = greatest(now(), b.started_at), next_attempt_at = NULL, owner = NULL,
		owner_id = NULL, fence = b.fence + 1
	FROM month m WHERE b.id = m.id AND m.status IN ('processing', 'retry')
	RETURNING b.*, m.status AS was
), job AS (
	UPDATE backfill_jobs j
	SET status = 'failed', error = 'cancelled', progress = 'cancelled', updated_at = now(),
		completed_at = now()
	FROM moved m WHERE j.job_id = m.job_id
	RETURNING 1
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT m.year, m.month, m.fence, 1, $3::text, m.job_id, CASE m.was WHEN 'processing'
		THEN coalesce(m.stage, 'claimed') ELSE m.was END, 'failed', 'operator_cancel', NULL
	FROM moved m, (SELECT count(*) FROM job) AS before
	RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM event) THEN 'done' WHEN EXISTS (SELECT FROM month)
	THEN 'refused'
	ELSE 'not_mine' END AS outcome

-- Months are asked for once more. $3 says how: 'retry' makes those due that wait or have failed, 'reset'
-- begins any anew that is not in flight; NULL begins those anew that are completed, and makes due what waits
-- or has failed. $2: nothing is written. Which ones: of the years $4 to $5, of the month $6, of the status $7,
-- completed ones with a rate below $8 or none, those for which the AI $9 gave no list of books when it was last
-- asked; the $10 newest. NULL: any. What is found is locked in the order in which everybody locks, and must
-- still be so then.
-- part: again_state
CASE $3::text WHEN 'retry' THEN b.status IN ('retry', 'failed') WHEN 'reset'
	THEN b.status <> 'processing' ELSE b.status IN ('retry', 'failed', 'completed') END

-- name: operator_again
WITH picked AS MATERIALIZED (
	SELECT b.id, b.year, b.month, b.status, b.job_id, b.resolution_rate, b.batch_size,
		coalesce($3::text, CASE b.status WHEN 'completed' THEN 'reset' ELSE 'retry' END) AS action
	FROM backfill_log b
	WHERE b.year BETWEEN $4::int AND $5::int AND ($6::int IS NULL OR b.month = $6::int)
		AND ($3::text IS NOT NULL OR
			-- use: again_state
		)
		AND ($7::text IS NULL OR b.status = $7::text)
		AND ($8::int IS NULL OR (b.status = 'completed'
			AND (b.resolution_rate IS NULL OR b.resolution_rate < $8::int)))
		AND ($9::text IS NULL OR (
			SELECT a.outcome FROM backfill_answers a
			WHERE a.year = b.year AND a.month = b.month AND a.provider = $9::text
			ORDER BY a.round DESC LIMIT 1) <> 'ok')
	ORDER BY b.year DESC, b.month DESC
	LIMIT $10::int
), locked AS MATERIALIZED (
	SELECT b.id, b.status, b.job_id, p.action
	FROM picked p JOIN backfill_log b ON b.id = p.id
	WHERE NOT $2::bool AND ($3::text IS NOT NULL OR b.status = p.status) AND
		-- use: again_state
	ORDER BY b.year, b.month
	FOR UPDATE OF b
), due AS (
	UPDATE backfill_log b
	SET status = 'retry', retry_count = least(coalesce(b.retry_count, 0), 4),
		next_attempt_at = now(), completed_at = NULL, fence = b.fence + 1
	FROM locked m WHERE b.id = m.id AND m.action = 'retry'
	RETURNING b.*, m.status AS was
), begun AS (
	UPDATE backfill_log b
	SET status = 'pending', stage = NULL, job_id = NULL, fence = b.fence + 1, owner = NULL,
		owner_id = NULL, claimed_from = NULL, progressed_at = NULL, next_attempt_at = NULL,
		cost_usd = 0, round = 0, free_calls = 0, synthetic_works = NULL,
		already_enriched = NULL, books_agreed = NULL, books_generated = 0,
		isbns_resolved = 0, isbns_queued = 0, resolution_rate = NULL, gemini_calls = 0,
		xai_calls = 0, isbndb_calls = 0, started_at = NULL, completed_at = NULL,
		error_message = NULL, retry_count = 0, last_retry_at = NULL
	FROM locked m WHERE b.id = m.id AND m.action = 'reset'
	RETURNING b.*, m.status AS was, m.job_id AS old_job
), answers AS (
	DELETE FROM backfill_answers a USING begun m WHERE a.year = m.year AND a.month = m.month
	RETURNING a.year, a.month
), candidates AS (
	DELETE FROM backfill_candidates c USING begun m WHERE c.year = m.year AND c.month = m.month
	RETURNING c.year, c.month
), job AS (
	UPDATE backfill_jobs j
	SET status = CASE x.action WHEN 'retry' THEN 'queued' ELSE 'failed' END,
		error = CASE x.action WHEN 'retry' THEN j.error ELSE 'the month was reset' END,
		progress = CASE x.action WHEN 'retry' THEN 'waiting for the next attempt' ELSE 'failed' END,
		updated_at = now(), completed_at = CASE x.action WHEN 'reset' THEN now() END
	FROM locked x
	WHERE j.job_id = x.job_id AND (x.action = 'retry' OR j.status NOT IN ('complete', 'failed'))
	RETURNING 1
), told AS MATERIALIZED (
	SELECT d.year, d.month, d.fence, d.job_id, d.was, d.status, 'operator_retry' AS event,
		jsonb_build_object('retry_count', d.retry_count) AS detail
	FROM due d
	UNION ALL
	SELECT m.year, m.month, m.fence, m.old_job, m.was, m.status, 'operator_reset',
		jsonb_build_object('answers', coalesce(a.n, 0), 'candidates', coalesce(c.n, 0))
	FROM begun m
	LEFT JOIN (SELECT year, month, count(*) AS n FROM answers GROUP BY 1, 2) AS a
		ON a.year = m.year AND a.month = m.month
	LEFT JOIN (SELECT year, month, count(*) AS n FROM candidates GROUP BY 1, 2) AS c
		ON c.year = m.year AND c.month = m.month
), event AS (
	INSERT INTO backfill_events (year, month, fence, step, instance, job_id, from_stage,
		to_stage, event, detail)
	SELECT t.year, t.month, t.fence, 1, $1::text, t.job_id, t.was, t.status, t.event, t.detail
	FROM told t, (SELECT count(*) FROM job) AS before
	ORDER BY t.year DESC, t.month DESC
	RETURNING year, month
), chosen AS MATERIALIZED (
	SELECT p.* FROM picked p
	WHERE $2::bool OR EXISTS (SELECT FROM event e WHERE e.year = p.year AND e.month = p.month)
)
SELECT CASE WHEN EXISTS (SELECT FROM chosen) THEN 'done' WHEN EXISTS (SELECT FROM picked)
		THEN 'refused' ELSE 'not_mine' END AS outcome,
	count(*) AS matched, count(*) FILTER (WHERE action = 'retry') AS retried,
	count(*) FILTER (WHERE action = 'reset') AS reset, avg(batch_size) AS batch_size,
	json_agg(json_build_object('year', year, 'month', month, 'status', status, 'action', action,
		'resolution_rate', resolution_rate) ORDER BY year DESC, month DESC) AS months
FROM chosen

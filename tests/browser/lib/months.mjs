/*
 * months: puts many months of every state into the database, with figures like those of real ones.
 */

/* Fills every seeded month: most completed, some failed, waiting or pending. */
export function mixed(stand) {
	return stand.sql(`UPDATE backfill_log SET
		status = s.status, stage = CASE s.status WHEN 'completed' THEN 'completed' END, round = 1,
		started_at = now() - interval '40 days', completed_at = CASE s.status WHEN 'completed' THEN
			now() - ((year * 12 + month) % 900) * interval '1 hour' END,
		books_generated = CASE s.status WHEN 'completed' THEN 20 + (year * 7 + month * 3) % 17 ELSE 0 END,
		isbns_resolved = CASE s.status WHEN 'completed' THEN 12 + (year * 5 + month) % 8 ELSE 0 END,
		resolution_rate = CASE s.status WHEN 'completed' THEN
			round(100.0 * (12 + (year * 5 + month) % 8) / (20 + (year * 7 + month * 3) % 17), 2) END,
		books_agreed = CASE s.status WHEN 'completed' THEN (year + month) % 12 END,
		cost_usd = CASE s.status WHEN 'completed' THEN 0.008 + 0.000123 * ((year + month) % 31) ELSE 0 END,
		retry_count = CASE s.status WHEN 'failed' THEN 5 WHEN 'retry' THEN 2 ELSE (year + month) % 2 END,
		error_message = CASE WHEN s.status IN ('failed', 'retry') THEN 'The AIs did not answer' END,
		last_retry_at = CASE WHEN s.status IN ('failed', 'retry') THEN now() - interval '1 hour' END,
		next_attempt_at = CASE s.status WHEN 'retry' THEN now() + interval '5 hours' END,
		prompt_variant = CASE s.status WHEN 'pending' THEN 'baseline' ELSE 'contemporary-notable' END
		FROM (SELECT id, CASE WHEN (year * 12 + month) % 17 = 0 THEN 'failed' WHEN (year * 12 + month) % 13 = 0 THEN 'retry'
			WHEN (year * 12 + month) % 5 = 0 THEN 'pending' ELSE 'completed' END AS status FROM backfill_log) AS s
		WHERE s.id = backfill_log.id`);
}

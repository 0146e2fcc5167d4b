-- Four months of 2024 were spoilt by an error handler that stamped completed_at on attempts that
-- were to be repeated: two used up their attempts, two were left in processing with nobody at work
-- on them. They start afresh.

UPDATE backfill_log
SET status = 'pending', retry_count = 0, error_message = NULL,
	started_at = NULL, completed_at = NULL, last_retry_at = NULL
WHERE year = 2024
	AND ((month IN (11, 12) AND status = 'failed')
		OR (month IN (9, 10) AND status = 'processing'));

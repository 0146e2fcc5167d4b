-- Of a month's books those that both AIs named: NULL where nobody kept the books.

ALTER TABLE backfill_log
	ADD COLUMN IF NOT EXISTS books_agreed integer CHECK (books_agreed >= 0);

UPDATE backfill_log b SET books_agreed = c.agreed
FROM (
	SELECT year, month, count(*) FILTER (WHERE state <> 'merged'
		AND cardinality(generated_by) > 1) AS agreed
	FROM backfill_candidates GROUP BY year, month) AS c
WHERE c.year = b.year AND c.month = b.month AND b.status = 'completed'
	AND b.books_agreed IS DISTINCT FROM c.agreed;

-- One row per month to backfill: where it stands and what it has cost.

CREATE TABLE IF NOT EXISTS backfill_log (
	id serial PRIMARY KEY,
	year integer NOT NULL CHECK (year >= 1900 AND year <= 2100),
	month integer NOT NULL CHECK (month >= 1 AND month <= 12),
	status text NOT NULL DEFAULT 'pending'
		CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'retry')),
	books_generated integer DEFAULT 0 CHECK (books_generated >= 0),
	isbns_resolved integer DEFAULT 0 CHECK (isbns_resolved >= 0),
	resolution_rate numeric(5,2) CHECK (resolution_rate >= 0 AND resolution_rate <= 100),
	isbns_queued integer DEFAULT 0 CHECK (isbns_queued >= 0),
	gemini_calls integer DEFAULT 0 CHECK (gemini_calls >= 0),
	xai_calls integer DEFAULT 0 CHECK (xai_calls >= 0),
	isbndb_calls integer DEFAULT 0 CHECK (isbndb_calls >= 0),
	started_at timestamptz,
	completed_at timestamptz,
	error_message text,
	retry_count integer NOT NULL DEFAULT 0 CHECK (retry_count >= 0 AND retry_count <= 5),
	last_retry_at timestamptz,
	prompt_variant text DEFAULT 'baseline',
	batch_size integer DEFAULT 20 CHECK (batch_size >= 1 AND batch_size <= 100),
	UNIQUE (year, month),
	CHECK (isbns_resolved <= books_generated),
	CHECK (isbns_queued <= isbns_resolved),
	CHECK (completed_at IS NULL OR completed_at >= started_at)
);

-- what the scheduler may pick, in the order it picks
CREATE INDEX IF NOT EXISTS idx_backfill_log_scheduler
	ON backfill_log (status, year DESC, month DESC) WHERE status IN ('pending', 'retry',
		'failed');
CREATE INDEX IF NOT EXISTS idx_backfill_log_year_month ON backfill_log (year DESC, month DESC);
CREATE INDEX IF NOT EXISTS idx_backfill_log_completed
	ON backfill_log (completed_at DESC) WHERE completed_at IS NOT NULL;

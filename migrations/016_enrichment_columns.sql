-- Columns that an older set of enrichment tables may lack, and the two that tell our own queue items
-- from those of others. Nothing is rewritten; rows that were there keep NULL in the new columns.

ALTER TABLE enriched_works
	ADD COLUMN IF NOT EXISTS synthetic boolean DEFAULT false,
	ADD COLUMN IF NOT EXISTS primary_provider text,
	ADD COLUMN IF NOT EXISTS contributors text[],
	ADD COLUMN IF NOT EXISTS completeness_score integer DEFAULT 0,
	ADD COLUMN IF NOT EXISTS isbndb_quality integer DEFAULT 0,
	ADD COLUMN IF NOT EXISTS last_isbndb_sync timestamptz,
	ADD COLUMN IF NOT EXISTS last_google_books_sync timestamptz,
	ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}'::jsonb;

ALTER TABLE enriched_editions
	ADD COLUMN IF NOT EXISTS alternate_isbns text[],
	ADD COLUMN IF NOT EXISTS related_isbns jsonb,
	ADD COLUMN IF NOT EXISTS work_match_confidence integer,
	ADD COLUMN IF NOT EXISTS work_match_source text,
	ADD COLUMN IF NOT EXISTS isbndb_quality integer DEFAULT 0,
	ADD COLUMN IF NOT EXISTS completeness_score integer DEFAULT 0,
	ADD COLUMN IF NOT EXISTS last_isbndb_sync timestamptz,
	ADD COLUMN IF NOT EXISTS last_google_books_sync timestamptz,
	ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}'::jsonb;

ALTER TABLE enriched_authors
	ADD COLUMN IF NOT EXISTS primary_provider text,
	ADD COLUMN IF NOT EXISTS contributors text[],
	ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}'::jsonb;

ALTER TABLE enrichment_queue
	ADD COLUMN IF NOT EXISTS queued_by text,
	ADD COLUMN IF NOT EXISTS job_id uuid;

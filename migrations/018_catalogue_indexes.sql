-- Indexes of the catalogue, which may hold tens of millions of rows: built without locking writers
-- out.
-- no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_works_title_trgm ON enriched_works
	USING gin (title gin_trgm_ops);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_works_synthetic ON enriched_works (created_at)
	WHERE synthetic;
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_works_subjects ON enriched_works
	USING gin (subject_tags);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_editions_title_trgm
	ON enriched_editions USING gin (title gin_trgm_ops);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_editions_alternates
	ON enriched_editions USING gin (alternate_isbns);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_editions_work ON enriched_editions (work_key);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_authors_name_trgm
	ON enriched_authors USING gin (name gin_trgm_ops);
CREATE INDEX CONCURRENTLY IF NOT EXISTS work_authors_enriched_author
	ON work_authors_enriched (author_key);

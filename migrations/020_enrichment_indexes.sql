-- Indexes of the queue's items, of the log and of the authors' names: built without locking writers
-- out. enrichment_queue_due and _waiting take the place of _next, which mixed what is due with what
-- waits for a time. Names and titles are hashed, for they may be longer than a page of a tree takes.
-- no-transaction

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_our_works
	ON enrichment_queue (entity_key) WHERE queued_by = 'backfilld' AND entity_type = 'work';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_due
	ON enrichment_queue (entity_type, priority, created_at)
	WHERE queued_by = 'backfilld' AND status = 'pending' AND next_attempt_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_waiting
	ON enrichment_queue (entity_type, next_attempt_at)
	WHERE queued_by = 'backfilld' AND status = 'pending' AND next_attempt_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS enrichment_queue_next;
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_held
	ON enrichment_queue (entity_type, owner_id)
	WHERE queued_by = 'backfilld' AND status = 'processing';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_status
	ON enrichment_queue (status, created_at, id) WHERE queued_by = 'backfilld';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_ended
	ON enrichment_queue (completed_at)
	WHERE queued_by = 'backfilld' AND status = 'completed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_former
	ON enrichment_queue (created_at, id)
	WHERE queued_by IS NULL AND entity_type = 'edition'
		AND status IN ('pending', 'processing', 'failed');
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_work
	ON enrichment_queue (work_key) WHERE work_key IS NOT NULL;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS enrichment_log_call
	ON enrichment_log (call_id, item_id, provider) WHERE call_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_works_updated ON enriched_works (updated_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_authors_lower_name ON enriched_authors
	USING hash (lower(name));
CREATE INDEX CONCURRENTLY IF NOT EXISTS enriched_works_lower_title ON enriched_works
	USING hash (lower(title));
-- A pending list makes writes cheap and every look read it to its end: with books written all the time
-- a look would take the longer the more are written.
ALTER INDEX IF EXISTS enriched_works_title_trgm SET (fastupdate = off);
ALTER INDEX IF EXISTS enriched_works_subjects SET (fastupdate = off);
ALTER INDEX IF EXISTS enriched_editions_title_trgm SET (fastupdate = off);
ALTER INDEX IF EXISTS enriched_editions_alternates SET (fastupdate = off);
ALTER INDEX IF EXISTS enriched_authors_name_trgm SET (fastupdate = off);

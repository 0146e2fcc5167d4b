-- Indexes of the queue, which may hold many rows of others: built without locking writers out.
-- no-transaction

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_ours
	ON enrichment_queue (entity_key) WHERE queued_by = 'backfilld' AND entity_type = 'edition';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_entity ON enrichment_queue (entity_type,
	entity_key);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_queue_next
	ON enrichment_queue (priority, created_at) WHERE status = 'pending'
		AND queued_by = 'backfilld';
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_log_entity ON enrichment_log (entity_type,
	entity_key);
CREATE INDEX CONCURRENTLY IF NOT EXISTS enrichment_log_created ON enrichment_log (created_at);

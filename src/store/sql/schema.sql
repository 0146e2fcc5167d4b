-- The start's checks, and what migrating asks.

-- Sets this session's mark; a session behind a pooler in transaction mode shows somebody else's.
-- name: session_mark
SELECT current_setting('backfill.session', true) AS before,
	set_config('backfill.session', $1::text, false) AS now

-- name: schema_facts
SELECT current_setting('server_encoding') AS encoding,
	current_setting('backfill.session', true) AS mark, current_user AS role,
	to_regclass('schema_migrations') IS NOT NULL AS migrated

-- What this role may not do, as the words of a GRANT. Tables that do not exist are the migrations'
-- business.
-- name: schema_rights
SELECT format('%s ON %s', n.need, n.object) AS missing
FROM (VALUES ('backfill_log'), ('backfill_jobs'), ('backfill_answers'), ('backfill_candidates'),
	('backfill_events'),
		('api_usage'), ('api_quota'), ('provider_state'), ('isbn_resolutions'),
		('backfill_instances'), ('backfill_timers'), ('backfill_control'),
		('backfill_flushes'), ('enriched_works'), ('enriched_editions'),
		('enriched_authors'), ('work_authors_enriched'), ('enrichment_queue'),
		('enrichment_log'), ('provider_records'), ('backfill_audit')) AS t (name)
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS r (need)
CROSS JOIN LATERAL (SELECT r.need, t.name AS object) AS n
WHERE to_regclass(t.name) IS NOT NULL AND NOT has_table_privilege(to_regclass(t.name), r.need)
	AND NOT (r.need = 'DELETE' AND t.name IN ('backfill_log', 'enriched_editions',
		'enriched_authors', 'enrichment_queue'))
	AND NOT (r.need = 'UPDATE' AND t.name = 'backfill_audit')
UNION ALL
SELECT format('USAGE ON SEQUENCE %s', s.name)
FROM (VALUES ('backfill_log_id_seq'), ('backfill_events_id_seq')) AS s (name)
WHERE to_regclass(s.name) IS NOT NULL AND NOT has_sequence_privilege(to_regclass(s.name), 'USAGE')
ORDER BY 1

-- name: schema_applied
SELECT number, checksum FROM schema_migrations ORDER BY number

-- name: migrate_lock
SELECT pg_try_advisory_lock(1112949072, 1) AS ok

-- name: migrate_facts
SELECT to_regclass('schema_migrations') IS NOT NULL AS migrated,
	current_setting('server_encoding') AS encoding

-- Indexes that an interrupted concurrent build has left half made; IF NOT EXISTS would take them
-- for whole.
-- name: migrate_invalid
SELECT i.indexrelid::regclass::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND position(' ' || c.relname || ' ' IN replace($1::text, chr(10), ' ')) > 0

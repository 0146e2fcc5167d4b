-- What is wrong around the program: the server's settings, its sessions, the objects of the schema.

-- $1: names of all indexes that the migrations make; $2: this program's version; $3: connections of one
-- instance; $4: all columns, as table.column. Rows have the form of verify's.
-- name: doctor
WITH wanted AS MATERIALIZED (
	SELECT unnest($1::text[]) AS name
), found AS MATERIALIZED (
	SELECT 'indexes' AS chk, 'error' AS severity, name AS subject, 'the index is missing' AS text,
		'As the owner: build it as its migration does (grep for its name in migrations/), with CREATE INDEX CONCURRENTLY.' AS remedy
	FROM wanted WHERE to_regclass(quote_ident(name)) IS NULL
	UNION ALL
	SELECT 'indexes', 'error', c.relname, 'the index is not valid: a build of it was broken off',
		format('As the owner, with nobody building it: DROP INDEX CONCURRENTLY %s; then build it as its migration does.',
			quote_ident(c.relname))
	FROM wanted w
	JOIN pg_class c ON c.oid = to_regclass(quote_ident(w.name))
	JOIN pg_index i ON i.indexrelid = c.oid AND NOT (i.indisvalid AND i.indisready)
	UNION ALL
	SELECT 'columns', 'error', name, 'the column is missing',
		'As the owner: add it as its migration does (grep for its name in migrations/); what stood in it is in a backup.'
	FROM unnest($4::text[]) AS name
	WHERE NOT EXISTS (
		SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(split_part(name, '.', 1))
			AND a.attname = split_part(name, '.', 2) AND NOT a.attisdropped)
	UNION ALL
	SELECT 'extension', 'error', 'pg_trgm', 'the extension is missing: titles and names are not found by similarity',
		'As a superuser in this database: CREATE EXTENSION pg_trgm; then run: backfilld migrate'
	WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')
	UNION ALL
	SELECT 'locale', 'warning', d.datcollate, format('the database''s character type is %s: only ASCII letters have a lower case'
			' and trigrams', d.datctype),
		'Make a new database with LOCALE ''C.UTF-8'' (TEMPLATE template0), dump this one and restore it there.'
	FROM pg_database d WHERE d.datname = current_database() AND d.datctype IN ('C', 'POSIX')
	UNION ALL
	-- synchronous_commit = off is not among them: the program's sessions turn it on
	SELECT 'server', s.severity, s.name, format('%s is off: %s', s.name, s.what), format('ALTER SYSTEM SET %s = on; SELECT pg_reload_conf();', s.name)
	FROM (VALUES
		('fsync', 'error', 'a crash of the server may destroy the database'),
		('full_page_writes', 'error', 'a crash of the server may destroy pages'),
		('autovacuum', 'error', 'tables grow without end and plans get worse'),
		('track_counts', 'error', 'autovacuum does not work without it')) AS s (name, severity, what)
	WHERE current_setting(s.name) = 'off'
	UNION ALL
	SELECT 'server', 'warning', 'client_connection_check_interval',
		'it is 0: the locks of a host that vanished are held until TCP gives up',
		'ALTER SYSTEM SET client_connection_check_interval = ''5s''; SELECT pg_reload_conf();'
	WHERE current_setting('client_connection_check_interval') IN ('0', '0ms')
		AND inet_server_addr() IS NOT NULL AND NOT inet_server_addr() <<= inet '127.0.0.0/8'
		AND NOT inet_server_addr() <<= inet '::1/128'
	UNION ALL
	SELECT 'server', 'warning', 'max_connections', format('%s of %s connections are in use', a.n,
			current_setting('max_connections')),
		'Raise max_connections (a restart of the server), or find out who holds them: SELECT usename, count(*) FROM pg_stat_activity GROUP BY 1;'
	FROM (SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend') AS a
	WHERE a.n + $3::int > (current_setting('max_connections')::int
		- current_setting('superuser_reserved_connections')::int) * 0.9
	UNION ALL
	SELECT 'autovacuum', 'warning', c.relname, 'autovacuum is turned off for this table',
		format('As the owner: ALTER TABLE %s RESET (autovacuum_enabled);', quote_ident(c.relname))
	FROM pg_class c
	WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class
			WHERE oid = to_regclass('backfill_log'))
		AND EXISTS (SELECT FROM unnest(c.reloptions) AS o
			WHERE o IN ('autovacuum_enabled=false', 'autovacuum_enabled=off',
				'autovacuum_enabled=0', 'autovacuum_enabled=no'))
	UNION ALL
	-- others' states are hidden from a role without pg_monitor, the age of their snapshots is not
	SELECT 'transactions', 'warning', format('pid %s', a.pid), format('a transaction%s%s is open for %s:'
			' vacuum cannot remove what was deleted since', coalesce(' of ' || a.usename, ''),
			coalesce(' (' || nullif(a.application_name, '') || ')', ''),
			date_trunc('second', now() - a.xact_start)),
		format('Let it end; if nobody knows it: SELECT pg_terminate_backend(%s);', a.pid)
	FROM pg_stat_activity a
	WHERE a.datname = current_database() AND a.xact_start < now() - interval '1 hour'
		AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
	UNION ALL
	SELECT 'transactions', 'warning', coalesce(gid, ''), format('a prepared transaction waits since %s', backfill_time(prepared)),
		format('COMMIT PREPARED or ROLLBACK PREPARED %L;', gid)
	FROM pg_prepared_xacts
	WHERE database = current_database() AND prepared < now() - interval '1 hour'
	UNION ALL
	SELECT 'instances', 'warning', i.instance, format('runs version %s on %s (pid %s); this is %s',
			coalesce(i.version, '(unknown)'), coalesce(i.host, '?'), i.pid, $2::text),
		'Upgrade it and restart it: systemctl restart backfilld on that host.'
	FROM backfill_instances i
	JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = 1112949070 AND l.objsubid = 2
		AND l.granted AND l.objid::bigint = i.id
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	WHERE i.version IS DISTINCT FROM $2::text
	UNION ALL
	SELECT 'circuits', CASE kind WHEN 'ban' THEN 'error' ELSE 'warning' END, provider,
		format('closed (%s) until %s: %s', kind, backfill_time(closed_until),
			coalesce(left(reason, 200), 'no reason given')),
		CASE kind WHEN 'quota' THEN 'Nothing to do: it opens by itself. If it comes every day, lower daily_limit to what the plan allows.'
			ELSE 'It opens by itself, after one request that succeeds. If it lasts, ask the provider''s address with curl from this host.' END
	FROM provider_state WHERE closed_until > now() AND kind <> 'none'
), checks (chk, checked) AS (
	VALUES ('indexes', (SELECT count(*) FROM wanted)), ('columns', cardinality($4::text[])), ('extension', 1), ('locale', 1), ('server', 6),
		('autovacuum', (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = (
			SELECT relnamespace FROM pg_class WHERE oid = to_regclass('backfill_log')))),
		('transactions', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())),
		('instances', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
			AND classid = 1112949070 AND objsubid = 2 AND granted)),
		('circuits', (SELECT count(*) FROM provider_state))
)
SELECT c.chk, c.checked, t.errors, t.warnings, f.severity, f.subject, f.text, f.remedy,
	(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS db_wall_us
FROM checks c
-- use: findings

-- What enrichment adds: who works on an item of the queue and until when, what providers have said of
-- an ISBN, and lines of the log that tell which item and instance they are about. Columns are added
-- without rewriting a table; the indexes are built in 020.

ALTER TABLE enrichment_queue
	ADD COLUMN IF NOT EXISTS fence bigint NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS owner text,
	ADD COLUMN IF NOT EXISTS owner_id integer,
	ADD COLUMN IF NOT EXISTS lease_until timestamptz,
	ADD COLUMN IF NOT EXISTS orphaned_at timestamptz,	-- first seen without its owner's lock
	ADD COLUMN IF NOT EXISTS next_attempt_at timestamptz,
	ADD COLUMN IF NOT EXISTS waiting_for text,		-- a provider
	ADD COLUMN IF NOT EXISTS work_key text,
	ADD COLUMN IF NOT EXISTS year integer,			-- of the month that queued it
	ADD COLUMN IF NOT EXISTS month integer;

ALTER TABLE enrichment_log
	ADD COLUMN IF NOT EXISTS item_id uuid,
	ADD COLUMN IF NOT EXISTS instance text,
	ADD COLUMN IF NOT EXISTS detail jsonb,
	ADD COLUMN IF NOT EXISTS call_id uuid;

-- Every answer about an ISBN, so that none is bought twice. for_isbn: the ISBN of the book that was
-- asked for, when the record came along with that one's answer.
CREATE TABLE IF NOT EXISTS provider_records (
	provider text NOT NULL,
	isbn13 text NOT NULL,
	found boolean NOT NULL,					-- false: asked, and definitely not there
	record jsonb,
	for_isbn text NOT NULL,
	received_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (isbn13, provider)
);
CREATE INDEX IF NOT EXISTS provider_records_for ON provider_records (for_isbn);
CREATE INDEX IF NOT EXISTS provider_records_received ON provider_records (received_at);

-- metadata as an object, whatever some older program made of it: the objects of an array are united,
-- text that holds JSON is read, and what is left over is kept under "former".
CREATE OR REPLACE FUNCTION backfill_metadata(m jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	united jsonb := '{}';
	former jsonb := '[]';
	part jsonb;
BEGIN
	IF m IS NULL OR jsonb_typeof(m) = 'null' THEN
		RETURN united;
	ELSIF jsonb_typeof(m) = 'object' THEN
		RETURN m;
	ELSIF jsonb_typeof(m) = 'string' THEN
		BEGIN
			part := (m #>> '{}')::jsonb;
		EXCEPTION WHEN OTHERS THEN
			RETURN jsonb_build_object('former', m);
		END;
		IF jsonb_typeof(part) IN ('object', 'array', 'string') THEN
			RETURN backfill_metadata(part);
		END IF;
		RETURN jsonb_build_object('former', m);
	ELSIF jsonb_typeof(m) <> 'array' THEN
		RETURN jsonb_build_object('former', m);
	END IF;
	FOR part IN SELECT value FROM jsonb_array_elements(m) LOOP
		part := backfill_metadata(part);
		IF part ? 'former' THEN
			former := former || (part -> 'former');
		END IF;
		united := united || (part - 'former');
	END LOOP;
	IF former <> '[]' THEN
		united := united || jsonb_build_object('former', former);
	END IF;
	RETURN united;
END
$$;

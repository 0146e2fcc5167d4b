-- The catalogue: works, editions, authors, the links between works and authors, the queue of
-- editions to be enriched and the log of what enrichment did. A database that already has these
-- tables keeps them as they are; their secondary indexes are built in 018, without locking writers
-- out.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE IF NOT EXISTS enriched_works (
	work_key text PRIMARY KEY,
	title text NOT NULL,
	subtitle text,
	description text,
	original_language text,
	first_publication_year integer,
	subject_tags text[],
	cover_url_large text,
	cover_url_medium text,
	cover_url_small text,
	cover_source text,
	openlibrary_work_id text,
	goodreads_work_ids text[],
	amazon_asins text[],
	librarything_ids text[],
	google_books_volume_ids text[],
	isbndb_id text,
	primary_provider text,
	contributors text[],
	synthetic boolean DEFAULT false,
	isbndb_quality integer DEFAULT 0,
	completeness_score integer DEFAULT 0,
	review_status text DEFAULT 'verified',
	created_at timestamptz DEFAULT now(),
	updated_at timestamptz DEFAULT now(),
	last_isbndb_sync timestamptz,
	last_google_books_sync timestamptz,
	metadata jsonb DEFAULT '{}'::jsonb
);

CREATE TABLE IF NOT EXISTS enriched_editions (
	isbn text PRIMARY KEY,
	alternate_isbns text[],
	work_key text REFERENCES enriched_works (work_key),
	edition_key text,
	title text,
	subtitle text,
	publisher text,
	publication_date text,
	page_count integer,
	format text,
	language text,
	edition_description text,
	cover_url_large text,
	cover_url_medium text,
	cover_url_small text,
	cover_source text,
	openlibrary_edition_id text,
	amazon_asins text[],
	google_books_volume_ids text[],
	librarything_ids text[],
	goodreads_edition_ids text[],
	primary_provider text,
	contributors text[],
	isbndb_quality integer DEFAULT 0,
	completeness_score integer DEFAULT 0,
	work_match_confidence integer,
	work_match_source text,
	related_isbns jsonb,
	created_at timestamptz DEFAULT now(),
	updated_at timestamptz DEFAULT now(),
	last_isbndb_sync timestamptz,
	last_google_books_sync timestamptz,
	metadata jsonb DEFAULT '{}'::jsonb
);

CREATE TABLE IF NOT EXISTS enriched_authors (
	author_key text PRIMARY KEY,
	name text NOT NULL,
	gender text,
	cultural_region text,
	nationality text,
	birth_year integer,
	death_year integer,
	bio text,
	bio_source text,
	author_photo_url text,
	openlibrary_author_id text,
	goodreads_author_ids text[],
	librarything_ids text[],
	google_books_ids text[],
	wikidata_id text,
	book_count integer DEFAULT 0,
	primary_provider text,
	contributors text[],
	created_at timestamptz DEFAULT now(),
	updated_at timestamptz DEFAULT now(),
	last_wikidata_sync timestamptz,
	metadata jsonb DEFAULT '{}'::jsonb
);

CREATE TABLE IF NOT EXISTS work_authors_enriched (
	work_key text NOT NULL REFERENCES enriched_works (work_key) ON DELETE CASCADE,
	author_key text NOT NULL REFERENCES enriched_authors (author_key) ON DELETE CASCADE,
	author_order integer DEFAULT 0,
	PRIMARY KEY (work_key, author_key)
);

CREATE TABLE IF NOT EXISTS enrichment_queue (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	entity_type text NOT NULL,
	entity_key text NOT NULL,
	providers_to_try text[] DEFAULT '{}',
	providers_attempted text[] DEFAULT '{}',
	providers_succeeded text[] DEFAULT '{}',
	priority integer DEFAULT 5,
	status text DEFAULT 'pending',
	created_at timestamptz DEFAULT now(),
	started_at timestamptz,
	completed_at timestamptz,
	error_message text,
	retry_count integer DEFAULT 0,
	max_retries integer DEFAULT 3
);

CREATE TABLE IF NOT EXISTS enrichment_log (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	entity_type text NOT NULL,
	entity_key text NOT NULL,
	provider text,
	operation text,
	success boolean,
	fields_updated text[],
	error_message text,
	response_time_ms integer,
	created_at timestamptz DEFAULT now()
);

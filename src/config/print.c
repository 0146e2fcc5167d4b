/* print: the table for people: the commented sample, and the values in force. */
#include "keys.h"
#include "value.h"
#include <string.h>

enum { PRINT_COLUMNS = 98 };

/* A word about a section. */
static const struct { const char *section, *text;
} print_sections[] = {
	{ "daemon", "The process." },
	{ "database", "PostgreSQL 15 or newer. Changes need a restart." },
	{ "admin", "The HTTP interface." },
	{ "scheduler", "Which months are worked on, and when." },
	{ "generation", "What the AI providers are asked for." },
	{ "resolution", "How books get their ISBNs." },
	{ "enrichment", "How ISBNs get their records." },
	{ "enhancement", "A second timer, which tries synthetic works again." },
	{ "provider.gemini", "Google Gemini, an AI. The other providers have the same keys." },
	{ "provider.xai", "xAI Grok, an AI." },
	{ "provider.isbndb", "ISBNdb. A bulk call costs one unit for each ISBN." },
	{ "provider.google_books", "Google Books. Without a key this provider is off." },
	{ "provider.open_library",
	  "Open Library. With daemon.contact set, and no rate here, it is 3/s." },
	{ "provider.archive_org", "Archive.org." },
	{ "provider.wikidata",
	  "Wikidata's query service, which bans clients that ask too much at once." },
	{ "alerts", "When somebody should be told." },
	{ "retention", "How long rows are kept." }
};

/* Writes a comment, wrapped. */
static void print_wrapped(FILE *out, const char *text)
{
	int column = 0;

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column && column + 1 + word > PRINT_COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%s%.*s", column ? " " : "; ", word, text);
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* Begins a section. */
static void print_section(FILE *out, const char *section)
{
	fputc('\n', out);
	for (size_t i = 0; i < BF_COUNT(print_sections); i++)
		if (strcmp(print_sections[i].section, section) == 0)
			print_wrapped(out, print_sections[i].text);
	fprintf(out, "[%s]\n", section);
}

/* Writes a key in each of its forms, commented out; its help is not repeated for each provider. */
static void print_key(FILE *out, struct config_place at)
{
	const struct config_key *k = config_key(at);
	char name[60];

	if (at.provider == 0) {
		print_wrapped(out, k->help);
		if (k->restart && strcmp(k->section, "database") != 0)
			print_wrapped(out, "A change needs a restart.");
	}
	for (int slot = 0; slot < config_slots(at); slot++) {
		const char *value = slot ? "" : config_fallback(at);

		fprintf(out, ";%s =%s%s\n", config_slot_name(at, slot, name), *value ? " " : "",
			value);
	}
}

/* Writes the sample. */
void bf_config_print_sample(FILE *out)
{
	struct config_place at = config_first();
	char buf[40], last[40] = "";

	print_wrapped(
		out,
		"backfilld: the configuration, with every key at its default. Remove the "
		"semicolon in front of a key to set it; `backfilld -c FILE check` tells what is "
		"wrong with a file, SIGHUP makes a running daemon read it again.");
	fputs(";\n", out);
	print_wrapped(
		out,
		"Durations take ms s m h d, sizes B KiB MiB. A comment begins with a "
		"semicolon at the start of a line or behind a blank. A line has at most 199 "
		"bytes. Secrets never stand in this file: each is given as NAME_env or NAME_file.");
	do {
		const char *section = config_section(at, buf);

		if (strcmp(section, last) != 0) {
			print_section(out, section);
			snprintf(last, sizeof(last), "%s", section);
		}
		if (config_offered(at))
			print_key(out, at);
	} while (config_next(&at));
}

/* Shows each value in force. */
void bf_config_each(const struct bf_config *c, bf_config_visit *visit, void *ctx)
{
	struct config_place at = config_first();
	struct bf_buf text;
	char section[40];

	bf_buf_init(&text, 65536);
	do {
		if (!config_offered(at))
			continue;
		bf_buf_clear(&text);
		value_show(c, at, &text);
		visit(ctx, config_section(at, section), config_key(at)->name, text.data,
		      !config_key(at)->restart);
	} while (config_next(&at));
	bf_buf_release(&text);
}

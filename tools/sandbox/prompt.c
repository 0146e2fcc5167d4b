/* prompt: finds in a prompt what month is meant and how many books, and in a schema which
 * fields. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define DEFAULT_BOOKS 20

static const char *const months[] = {
	"January", "February", "March", "April", "May", "June", "July", "August", "September",
	"October", "November", "December"
};

/* A year from 1900 to 2100 at the text, or 0. */
static int year_at(const char *p)
{
	long year;

	if (strspn(p, "0123456789") != 4)
		return 0;
	year = strtol(p, NULL, 10);
	return year >= 1900 && year <= 2100 ? (int)year : 0;
}

/* The first "Month YYYY" of the text. */
static void find_month(struct ask *ask, const char *text)
{
	const char *best = NULL;

	for (int m = 0; m < 12; m++) {
		size_t len = strlen(months[m]);

		for (const char *at = text; (at = strstr(at, months[m])) != NULL; at += len) {
			const char *after = at + len + strspn(at + len, " ,\t\n");

			if ((best && at > best) || after == at + len || !year_at(after))
				continue;
			best = at;
			ask->month = m + 1;
			ask->year = year_at(after);
			break;
		}
	}
}

/* The number after "up to", or before "books". */
static void find_count(struct ask *ask, const char *text)
{
	static const char *const leads[] = { "up to ", "Up to ", "at most " };
	const char *at;

	ask->n = DEFAULT_BOOKS;
	for (size_t i = 0; i < BF_COUNT(leads); i++)
		for (at = text; (at = strstr(at, leads[i])) != NULL; at++)
			if (isdigit((unsigned char)at[strlen(leads[i])])) {
				ask->n = (uint32_t)strtoul(at + strlen(leads[i]), NULL, 10);
				return;
			}
	at = strstr(text, " books");
	while (at && at > text && isdigit((unsigned char)at[-1]))
		at--;
	if (at && isdigit((unsigned char)*at))
		ask->n = (uint32_t)strtoul(at, NULL, 10);
}

/* Reads month, year and number from the user's text. */
void prompt_read(struct ask *ask, const char *text)
{
	ask->prompt = text;
	find_month(ask, text);
	find_count(ask, text);
	if (ask->n > NAMED_MAX / 2)
		ask->n = NAMED_MAX / 2;
}

/* Which fields the schema of one book lists, and whether the books stand in a bare array. */
void prompt_schema(struct ask *ask, struct bf_jval schema, struct bf_arena *arena)
{
	struct bf_jval items, properties;
	const char *type = bf_json_str(bf_json_get(schema, "type"), arena);

	if (bf_json_type(schema) != BF_J_OBJECT)
		return;
	ask->array = type && !strcasecmp(type, "array");
	items = bf_json_path(schema, ask->array ? "items" : "properties.books.items");
	properties = bf_json_get(items, "properties");
	if (bf_json_type(properties) != BF_J_OBJECT)
		return;
	ask->fields = " ";
	for (struct bf_jval v = bf_json_first(properties); bf_json_type(v); v = bf_json_next(v))
		ask->fields = bf_arena_printf(arena, "%s%s ", ask->fields, bf_json_key(v, arena));
}

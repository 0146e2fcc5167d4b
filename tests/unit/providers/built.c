/* built: see built.h. */
#include "built.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct built build(enum bf_provider_id id, const struct provider_ask *ask)
{
	static char base[] = "http://127.0.0.1:9/base", key[] = KEY, empty[] = "";
	struct bf_provider_config config = { .enabled = true,
		.base_url = base,
		.model = empty,
		.api_key = key,
		.timeout_ms = 120000,
		.proxy = empty };
	struct built b = { .arena = bf_arena_new() };

	b.ok = provider_table[id]->build(ask, &config, b.arena, &b.request, &b.err);
	return b;
}

void done(struct built *b)
{
	bf_arena_free(b->arena);
}

struct built build_search(enum bf_provider_id id, const char *title, const char *author)
{
	struct bf_book book = { .title = title, .author = author };
	struct provider_ask ask = { .kind = PROVIDER_SEARCH, .book = &book };

	return build(id, &ask);
}

const char *header(const struct built *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->request.n_headers; i++) {
		if (strcmp(b->request.headers[i].name, name) == 0)
			return b->request.headers[i].value;
	}
	return NULL;
}

/* How often the key occurs in URL, headers and body. */
int keys_in(const struct built *b, int *url, int *headers, int *body)
{
	size_t i;

	*url = strstr(b->request.url, KEY) != NULL;
	*body = b->request.body != NULL && strstr(b->request.body, KEY) != NULL;
	*headers = 0;
	for (i = 0; i < b->request.n_headers; i++)
		*headers += strstr(b->request.headers[i].value, KEY) != NULL;
	return *url + *headers + *body;
}

/* The query parameter of a URL or form, decoded; the caller frees it. */
char *parameter(const char *text, const char *name)
{
	char *out = calloc(1, strlen(text) + 1), *p = out, hex[3] = "";
	size_t n = strlen(name);

	for (; *text; text++) {
		if ((text[0] == '?' || text[0] == '&') && strncmp(text + 1, name, n) == 0 &&
			text[n + 1] == '=') {
			text += n + 2;
			break;
		}
	}
	while (*text && *text != '&') {
		if (*text == '%') {
			memcpy(hex, text + 1, 2);
			*p++ = (char)strtol(hex, NULL, 16);
			text += 3;
		} else {
			assert_true(*text != '+' && *text != ' ' && *text != '"');
			*p++ = *text++;
		}
	}
	return out;
}

void assert_parameter(const char *text, const char *name, const char *value)
{
	char *got = parameter(text, name);

	assert_string_equal(got, value);
	free(got);
}

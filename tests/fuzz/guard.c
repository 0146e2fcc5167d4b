/*
 * guard: a request's head as lines: method, path, then `Name: value`. Only a request with the secret, framed as RFC 9112
 * allows, gets past the guard; a path leads to at most one route, and never by a way that decoding opens.
 */
#include "fuzz.h"
#include "guard.h"
#include "query.h"
#include "refusals.h"
#include "routes.h"
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static const enum evhttp_cmd_type methods[] = { EVHTTP_REQ_GET, EVHTTP_REQ_POST, EVHTTP_REQ_HEAD, EVHTTP_REQ_PUT,
	EVHTTP_REQ_DELETE, EVHTTP_REQ_OPTIONS, EVHTTP_REQ_TRACE, EVHTTP_REQ_CONNECT, EVHTTP_REQ_PATCH };

/* Headers as evhttp hands them over; those it refuses itself are left out. */
static void read_headers(struct fuzz_in *in, struct evkeyvalq *ret, int *ret_secrets)
{
	while (in->left > 0) {
		char *line = fuzz_line(in), *colon = strchr(line, ':');

		if (colon != NULL) {
			*colon = '\0';
			colon += 1 + strspn(colon + 1, " ");
			if (evhttp_add_header(ret, line, colon) == 0)
				*ret_secrets += strcasecmp(line, "X-Cron-Secret") == 0;
		}
		free(line);
	}
}

static void check_path(const char *path, enum evhttp_cmd_type method)
{
	struct route_match match;

	routes_match(path, method, &match);
	FUZZ_CHECK(match.route == NULL || match.path_known);
	if (match.route == NULL)
		return;
	FUZZ_CHECK(match.params.year == 0 || (match.params.year >= 1900 && match.params.year <= 2100));
	FUZZ_CHECK(match.params.month >= 0 && match.params.month <= 12);
	FUZZ_CHECK(strchr(path, '%') == NULL || match.params.key != NULL);
	FUZZ_CHECK(!match.route->mutates || !match.open);
}

/* Any text may stand for an address; nobody has to wait longer than one is back. */
static void check_refusals(const char *address)
{
	static struct refusals refusals;
	static uint64_t now_us;
	int wait_s;

	if (now_us == 0) {
		bf_log_setup(BF_ERROR, false);
		refusals_init(&refusals);
	}
	now_us += REFUSALS_EVERY_US / 4096;
	wait_s = refusals_add(&refusals, address, true, now_us);
	FUZZ_CHECK(wait_s == 0 || wait_s == 1);
	FUZZ_CHECK(refusals_add(&refusals, address, false, now_us) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	enum evhttp_cmd_type method = methods[fuzz_byte(&in) % BF_COUNT(methods)];
	struct evkeyvalq headers = TAILQ_HEAD_INITIALIZER(headers);
	struct bf_arena *arena = bf_arena_new();
	const char *why, *name;
	char *path = fuzz_line(&in), *question = strchr(path, '?');
	int secrets = 0;
	bool close = false;

	if (question != NULL) {
		*question++ = '\0';
		name = query_decode(question, strlen(question), true, arena, &why);
		fuzz_check_text(name);
	}
	read_headers(&in, &headers, &secrets);
	check_path(path, method);
	why = guard_framing(&headers, method, NULL, &close);
	if (why == NULL) {
		FUZZ_CHECK(evhttp_find_header(&headers, "Transfer-Encoding") == NULL || close ||
			method == EVHTTP_REQ_POST || method == EVHTTP_REQ_PUT || method == EVHTTP_REQ_PATCH ||
			method == EVHTTP_REQ_DELETE || method == EVHTTP_REQ_OPTIONS);
	}
	if (guard_secret(&headers, SECRET)) {
		FUZZ_CHECK(secrets == 1);
		FUZZ_CHECK(strcmp(evhttp_find_header(&headers, "X-Cron-Secret"), SECRET) == 0);
	}
	name = guard_operator(&headers, 80);
	fuzz_check_text(name);
	FUZZ_CHECK(name == NULL || strpbrk(name, "\r\n\t") == NULL);
	why = evhttp_find_header(&headers, "Sec-Fetch-Site");
	if (guard_same_origin(&headers) && why != NULL)
		FUZZ_CHECK(strcmp(why, "same-origin") == 0 || strcmp(why, "none") == 0);
	check_refusals(path);
	evhttp_clear_headers(&headers);
	bf_arena_free(arena);
	free(path);
	return 0;
}

/*
 * api: what an answer means for the exit status, and values out of it as people read them.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_MAX_BYTES 65536

/* The server's own words; NULL when the body has none. */
static const char *error_of(struct ctl *ctl, const struct client_reply *reply)
{
	struct bf_error err;
	struct bf_json *doc = bf_json_parse(
		reply->body.data, reply->body.len, &bf_json_limits_default, false, &err);
	const char *text;

	if (doc == NULL)
		return NULL;
	text = bf_json_str(bf_json_get(bf_json_root(doc), "error"), ctl->arena);
	bf_json_free(doc);
	return text;
}

/* A path that the server does not have at all, as opposed to one whose month or book it does not know. */
static bool is_unknown_path(const char *error)
{
	return error == NULL || strncmp(error, "Not found: /", 12) == 0;
}

/* Prints the reason of an answer that is no success. */
int api_explain(struct ctl *ctl, const char *path, const struct client_reply *reply)
{
	const char *error = reply->status != 0 ? error_of(ctl, reply) : NULL;

	if (ctl->args.json && error != NULL)
		out_json(&ctl->out, reply->body.data);
	switch (reply->status) {
	case 0: out_complain("%s: %s", client_url(ctl->client), reply->problem); return CTL_REFUSED;
	case 400:
		out_complain("%s", error != NULL ? error : "the server refuses the request (400)");
		return CTL_USAGE;
	case 401:
	case 403:
		out_complain("%s", error != NULL ? error : "the server refuses the secret");
		return CTL_REFUSED;
	case 404:
		if (is_unknown_path(error))
			out_complain("the server has no %.*s: there is no such thing, or it is "
				     "older than this program (%s)",
				(int)strcspn(path, "?"), path, BF_VERSION);
		else
			out_complain("%s", error);
		return CTL_FAILED;
	case 502:
	case 503:
	case 504:
		out_complain("%s", error != NULL ? error : "the server can't answer now");
		return CTL_REFUSED;
	default: break;
	}
	if (reply->status >= 300 && reply->status < 400)
		out_complain("%s answers %d: it leads elsewhere; give --url the right address",
			client_url(ctl->client), reply->status);
	else if (error != NULL)
		out_complain("%s", error);
	else
		out_complain("the server answers %d", reply->status);
	return CTL_FAILED;
}

/* One call to its end. */
int api_call(struct ctl *ctl, const char *path, const char *body, struct bf_json **ret)
{
	struct client_reply reply;
	struct bf_error err;
	int rc;

	*ret = NULL;
	client_call(ctl->client, path, body, &reply);
	if (reply.status < 200 || reply.status >= 300) {
		rc = api_explain(ctl, path, &reply);
	} else {
		*ret = bf_json_parse(
			reply.body.data, reply.body.len, &bf_json_limits_default, false, &err);
		if (*ret == NULL)
			out_complain("%s does not answer in JSON; is it a backfilld? (%s)",
				client_url(ctl->client), err.text);
		else if (ctl->args.json)
			out_json(&ctl->out, reply.body.data);
		rc = *ret != NULL ? CTL_OK : CTL_FAILED;
	}
	client_reply_release(&reply);
	return rc;
}

/* A text, or the digits of a number. */
const char *api_text(struct ctl *ctl, struct bf_jval v, const char *dotted)
{
	const char *text = bf_json_str(bf_json_path(v, dotted), ctl->arena);

	return text != NULL ? text : "";
}

/* A whole number. */
int64_t api_int(struct bf_jval v, const char *dotted)
{
	int64_t n = 0;

	return bf_json_int(bf_json_path(v, dotted), &n) ? n : 0;
}

/* Any number. */
double api_dbl(struct bf_jval v, const char *dotted)
{
	double x = 0;

	return bf_json_dbl(bf_json_path(v, dotted), &x) ? x : 0;
}

/* Only true is true. */
bool api_true(struct bf_jval v, const char *dotted)
{
	bool b = false;

	return bf_json_bool(bf_json_path(v, dotted), &b) && b;
}

/* Year and month as one word. */
const char *api_month(struct ctl *ctl, struct bf_jval v)
{
	int64_t year = api_int(v, "year");

	if (year == 0)
		return "";
	return bf_arena_printf(ctl->arena, "%" PRId64 "-%02" PRId64, year, api_int(v, "month"));
}

/* An array of texts as one. */
const char *api_list(struct ctl *ctl, struct bf_jval array)
{
	struct bf_buf buf;
	const char *text;

	bf_buf_init(&buf, LIST_MAX_BYTES);
	for (struct bf_jval v = bf_json_first(array); bf_json_type(v); v = bf_json_next(v)) {
		text = bf_json_str(v, ctl->arena);
		bf_buf_addf(&buf, "%s%s", buf.len > 0 ? ", " : "", text != NULL ? text : "?");
	}
	text = bf_arena_strdup(ctl->arena, buf.data);
	bf_buf_release(&buf);
	return text;
}

/* RFC 3339 in UTC without its letters and fractions; another spelling stays as it is. */
const char *api_time(struct ctl *ctl, struct bf_jval v, const char *dotted)
{
	const char *text = api_text(ctl, v, dotted);

	if (strlen(text) < 20 || text[10] != 'T')
		return text;
	return bf_arena_printf(ctl->arena, "%.10s %.8s", text, text + 11);
}

/* In the arena. */
const char *api_count(struct ctl *ctl, int64_t n)
{
	char text[32];

	text_count(text, n);
	return bf_arena_strdup(ctl->arena, text);
}

/* Adds "name=value", percent-encoded but for what RFC 3986 leaves free. */
void api_query(struct bf_buf *buf, const char *name, const char *value)
{
	static const char free_chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	if (value == NULL)
		return;
	bf_buf_addf(buf, "%s%s=", strchr(buf->data, '?') != NULL ? "&" : "?", name);
	for (; *value != '\0'; value++) {
		if (strchr(free_chars, *value) != NULL)
			bf_buf_add(buf, value, 1);
		else
			bf_buf_addf(buf, "%%%02X", (unsigned char)*value);
	}
}

/* The same for a number; 0 is left out. */
void api_query_int(struct bf_buf *buf, const char *name, int value)
{
	char digits[16];

	snprintf(digits, sizeof(digits), "%d", value);
	api_query(buf, name, value != 0 ? digits : NULL);
}

/* Somebody has to read the question and answer it. */
bool api_has_terminal(void)
{
	return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

/* Without anybody it has to be said on the command line. */
int api_can_ask(struct ctl *ctl)
{
	if (api_has_terminal())
		return CTL_OK;
	out_complain(
		"%s: give --yes; without a terminal nobody can be asked", ctl->args.command->name);
	return CTL_USAGE;
}

/* A yes has to be typed. */
int api_confirm(struct ctl *ctl, const char *question)
{
	struct bf_buf safe;
	char line[16];
	bool yes;

	if (ctl->args.yes)
		return CTL_OK;
	if (api_can_ask(ctl) != CTL_OK)
		return CTL_USAGE;
	bf_buf_init(&safe, LIST_MAX_BYTES);
	text_safe(&safe, question, strlen(question));
	fflush(ctl->out.file);
	fprintf(stderr, "%s [y/N] ", safe.data);
	bf_buf_release(&safe);
	yes = fgets(line, sizeof(line), stdin) != NULL &&
		(strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0);
	if (!yes)
		out_complain("nothing was changed");
	return yes ? CTL_OK : CTL_FAILED;
}

/*
 * load: one pass over the table turns what the file gives, or the default, into fields; then the
 * checks that look at more than one key. Nothing of a file with a problem is ever used.
 */
#include "load.h"
#include "conninfo.h"
#include "files.h"
#include "problems.h"
#include "url.h"
#include "value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD_OPEN_LISTEN_SECRET_BYTES = 32 };

struct loading {
	struct config_loaded *c;
	const struct config_loaded *previous;
	struct config_input *input;
	struct bf_config_problems *problems;
};

/* The line in which a key is given, 0 if it is not. */
static int load_line(struct loading *l, const char *section, const char *name)
{
	struct config_place at;
	int slot;

	return config_find(section, name, &at, &slot) ? input_at(l->input, at)->line[slot] : 0;
}

/* database.conninfo, or the first line of conninfo_file. */
static void load_conninfo(struct loading *l, struct config_place at,
			  const struct config_given *given)
{
	const char *file = given->value[1], *wrong;
	struct bf_error err;
	char *line;

	if (given->value[0] && given->value[0][0]) {
		config_problem(l->problems, given->line[1],
			       "conninfo and conninfo_file are both given: keep one");
		return;
	}
	line = files_first_line(file, &err);
	if (line)
		l->c->files[1] = files_expand(file, &err);
	wrong = line ? conninfo_check(line, true) : NULL;
	if (!line)
		config_problem(l->problems, given->line[1], "conninfo_file: %s", err.text);
	else if (wrong)
		config_problem(l->problems, given->line[1],
			       "conninfo_file: the first line of %s %s", file, wrong);
	value_take(&l->c->pub, at, line);
}

/* One key. */
static void load_key(struct loading *l, struct config_place at)
{
	const struct config_given *given = input_at(l->input, at);
	const struct config_key *k = config_key(at);
	const char *text = given->value[0];
	char why[320];

	if (!config_offered(at)) {
		value_take(&l->c->pub, at, bf_xstrdup(""));
		return;
	}
	if (k->type == CONFIG_SECRET) {
		secrets_load(l->c, at, given, l->previous, l->problems);
		return;
	}
	if (k->type == CONFIG_CONNINFO && given->value[1] && given->value[1][0]) {
		load_conninfo(l, at, given);
		return;
	}
	if (!value_set(&l->c->pub, at, text ? text : config_fallback(at), why, sizeof(why)))
		config_problem(l->problems, given->line[0], "%s %s", k->name, why);
}

/* The name of an instance that was given none. */
static void load_instance(struct bf_config *c)
{
	char host[65] = "";

	if (c->daemon.instance && c->daemon.instance[0])
		return;
	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		snprintf(host, sizeof(host), "localhost");
	for (char *p = host; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
			*p = '-';
	free(c->daemon.instance);
	c->daemon.instance = bf_xasprintf("%s:%ld", host, (long)getpid());
}

/* What providers need beside their keys. */
static void load_check_provider(struct loading *l, int id)
{
	struct bf_provider_config *p = &l->c->pub.provider[id];
	int line_limit, line_reserve;
	char section[40];

	snprintf(section, sizeof(section), "provider.%s", bf_provider_names[id]);
	line_limit = load_line(l, section, "daily_limit");
	line_reserve = load_line(l, section, "reserve");
	p->needs_key = BF_IS_AI(id) || id == BF_ISBNDB || id == BF_GOOGLE_BOOKS;
	if (p->daily_limit > 0 && p->reserve >= p->daily_limit)
		config_problem(l->problems, line_reserve ? line_reserve : line_limit,
			       "[%s] reserve (%d%s) must be below daily_limit (%d%s)", section,
			       p->reserve, line_reserve ? "" : ", the default", p->daily_limit,
			       line_limit ? "" : ", the default");
	if (BF_IS_AI(id) && p->model && !p->model[0])
		config_problem(l->problems, load_line(l, section, "model"),
			       "[%s] model must not be empty", section);
}

/* Open Library allows more to those who say who they are. */
static void load_contact_rate(struct loading *l)
{
	struct bf_config *c = &l->c->pub;

	if (c->daemon.contact && c->daemon.contact[0] &&
	    !load_line(l, "provider.open_library", "rate"))
		c->provider[BF_OPEN_LIBRARY].rate_per_s = 3;
}

/* Pairs of keys that must agree. */
static void load_check_pairs(struct loading *l)
{
	const struct bf_config *c = &l->c->pub;
	int line;

	line = load_line(l, "scheduler", "year_end");
	if (c->scheduler.year_start > c->scheduler.year_end)
		config_problem(l->problems, line ? line : load_line(l, "scheduler", "year_start"),
			       "year_start (%d) must not be after year_end (%d)",
			       c->scheduler.year_start, c->scheduler.year_end);
	line = load_line(l, "scheduler", "retry_cap");
	if (c->scheduler.retry_base_ms > c->scheduler.retry_cap_ms)
		config_problem(l->problems, line ? line : load_line(l, "scheduler", "retry_base"),
			       "retry_base must not be longer than retry_cap");
	line = load_line(l, "alerts", "resolution_rate_critical");
	if (c->alerts.resolution_rate_critical > c->alerts.resolution_rate_warn)
		config_problem(l->problems,
			       line ? line : load_line(l, "alerts", "resolution_rate_warn"),
			       "resolution_rate_critical must not be above resolution_rate_warn");
}

/* Without a secret nothing is served; beyond loopback a long one is needed. */
static void load_check_admin_secret(struct loading *l)
{
	const struct bf_config *c = &l->c->pub;
	int line = load_line(l, "admin", "secret_file");
	const char *variable = l->c->env[BF_NPROVIDERS];

	if (!line)
		line = load_line(l, "admin", "secret_env");
	if (!c->admin.secret && variable)
		config_problem(
			l->problems, line,
			"[admin] no secret configured: the environment variable %s is empty; set "
			"it, or name a file in secret_file",
			variable);
	else if (!c->admin.secret && !line)
		config_problem(l->problems, line,
			       "[admin] no secret configured: set secret_env or secret_file");
	else if (!c->admin.secret && l->problems->n == 0)
		config_problem(
			l->problems, line,
			"[admin] no secret configured: name a variable in secret_env or a file "
			"in secret_file");
	if (c->admin.secret && c->admin.listen && !url_listens_on_loopback(c->admin.listen) &&
	    strlen(c->admin.secret) < LOAD_OPEN_LISTEN_SECRET_BYTES)
		config_problem(
			l->problems, load_line(l, "admin", "listen"),
			"listen: an address that is not loopback needs a secret of %d bytes or "
			"more",
			LOAD_OPEN_LISTEN_SECRET_BYTES);
}

/* Reads, sets and checks; the result may have problems. */
static struct config_loaded *load_all(const char *path, const struct config_loaded *previous,
				      bool needs_secret, struct bf_config_problems *problems)
{
	struct loading l = { .previous = previous, .problems = problems };
	struct config_place at = config_first();

	l.c = bf_xcalloc(1, sizeof(*l.c));
	l.input = bf_xcalloc(1, sizeof(*l.input));
	if (path) {
		l.c->files[0] = bf_xstrdup(path);
		ini_read(path, l.input, problems);
	}
	do {
		load_key(&l, at);
	} while (config_next(&at));
	load_instance(&l.c->pub);
	load_contact_rate(&l);
	for (int id = 0; id < BF_NPROVIDERS; id++)
		load_check_provider(&l, id);
	load_check_pairs(&l);
	if (needs_secret)
		load_check_admin_secret(&l);
	input_release(l.input);
	free(l.input);
	return l.c;
}

/* Loads for the daemon: a secret is required. */
struct bf_config *bf_config_load(const char *path, const struct bf_config *previous,
				 struct bf_config_problems *ret)
{
	const struct config_loaded *was = (const struct config_loaded *)(const void *)previous;
	struct config_loaded *c;

	*ret = (struct bf_config_problems){ 0 };
	c = load_all(path, was, path != NULL, ret);
	if (ret->n == 0)
		return &c->pub;
	bf_config_free(&c->pub);
	return NULL;
}

/* Loads for a command that serves nobody. */
struct bf_config *bf_config_load_offline(const char *path, struct bf_config_problems *ret)
{
	struct config_loaded *c;

	*ret = (struct bf_config_problems){ 0 };
	c = load_all(path, NULL, false, ret);
	if (ret->n == 0)
		return &c->pub;
	bf_config_free(&c->pub);
	return NULL;
}

/* Wipes and frees; for structs that came from here. */
void bf_config_free(struct bf_config *pub)
{
	struct config_loaded *c = (struct config_loaded *)(void *)pub;
	struct config_place at = config_first();

	if (!c)
		return;
	do {
		if (config_is_string(config_key(at)->type))
			value_take(pub, at, NULL);
	} while (config_next(&at));
	for (size_t i = 0; i < BF_COUNT(c->env); i++)
		free(c->env[i]);
	for (size_t i = 0; i < BF_COUNT(c->files); i++)
		free(c->files[i]);
	free(c);
}

/* Looks at each file that was read. */
int bf_config_files(const struct bf_config *pub, bf_config_file_visit *visit, void *ctx)
{
	const struct config_loaded *c = (const struct config_loaded *)(const void *)pub;
	char what[60], problem[200];
	int n = 0;

	for (size_t i = 0; i < BF_COUNT(c->files); i++) {
		if (!c->files[i])
			continue;
		if (i >= 2 && i < BF_NPROVIDERS + 2)
			snprintf(what, sizeof(what), "provider.%s.api_key_file",
				 bf_provider_names[i - 2]);
		else
			snprintf(what, sizeof(what), "%s",
				 i == 0 ? "configuration"
				 : i == 1 ? "database.conninfo_file"
				 : i == BF_NPROVIDERS + 2 ? "admin.secret_file"
							  : "alerts.webhook_secret_file");
		visit(ctx, what, c->files[i], i > 0,
		      files_exposed(c->files[i], i > 0, problem, sizeof(problem)) ? problem
										  : NULL);
		n++;
	}
	return n;
}

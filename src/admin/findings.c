/*
 * findings: a list of checks and of what they found, as JSON. Errors come first; `ok` means that there is none.
 */
#include "findings.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct bf_check *findings_check(struct findings *f, const char *name, int64_t n)
{
	int i = 0;

	while (i < f->n_checks && strcmp(f->checks[i].name, name) != 0)
		i++;
	if (i == f->n_checks && i < FINDINGS_CHECKS) {
		f->checks[i].name = bf_arena_strdup(f->arena, name);
		f->n_checks++;
	}
	if (i == FINDINGS_CHECKS)
		return NULL;
	f->checks[i].checked += n;
	return &f->checks[i];
}

/* Keeps one that is counted already, while there is room. */
static void keep(struct findings *f, const struct bf_finding *v)
{
	if (f->n == FINDINGS_MAX)
		return;
	f->v[f->n++] = (struct bf_finding){
		.check = bf_arena_strdup(f->arena, v->check),
		.error = v->error,
		.subject = bf_arena_strdup(f->arena, v->subject),
		.text = bf_arena_strdup(f->arena, v->text),
		.remedy = bf_arena_strdup(f->arena, v->remedy),
	};
}

void findings_add(struct findings *f, const char *check, bool error, const char *subject,
	const char *remedy, const char *fmt, ...)
{
	struct bf_check *c = findings_check(f, check, 0);
	struct bf_buf text;
	va_list ap;
	char line[600];

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	bf_buf_init(&text, sizeof(line) + 1);
	bf_buf_add(&text, line, bf_utf8_cut(line, strlen(line), sizeof(line) - 1));
	keep(f, &(struct bf_finding){ check, error, subject, text.data, remedy });
	bf_buf_release(&text);
	if (c != NULL && error)
		c->errors++;
	else if (c != NULL)
		c->warnings++;
	if (error)
		f->errors++;
	else
		f->warnings++;
}

void findings_take(struct findings *f, const struct bf_findings *from)
{
	for (int i = 0; i < from->n_checks; i++) {
		struct bf_check *c = findings_check(f, from->checks[i].name, from->checks[i].checked);

		if (c != NULL) {
			c->errors += from->checks[i].errors;
			c->warnings += from->checks[i].warnings;
		}
		f->errors += from->checks[i].errors;
		f->warnings += from->checks[i].warnings;
	}
	for (int i = 0; i < from->n; i++)
		keep(f, &from->v[i]);
}

/* One finding. */
static void write_finding(struct bf_jw *jw, const struct bf_finding *v)
{
	bf_jw_obj(jw);
	bf_jw_key(jw, "check");
	bf_jw_str(jw, v->check);
	bf_jw_key(jw, "severity");
	bf_jw_str(jw, v->error ? "error" : "warning");
	bf_jw_key(jw, "subject");
	bf_jw_str(jw, v->subject);
	bf_jw_key(jw, "text");
	bf_jw_str(jw, v->text);
	bf_jw_key(jw, "remedy");
	bf_jw_str(jw, v->remedy);
	bf_jw_end_obj(jw);
}

/* A number under each check's name. */
static void write_checks(struct bf_jw *jw, const struct findings *f)
{
	bf_jw_key(jw, "checked");
	bf_jw_obj(jw);
	for (int i = 0; i < f->n_checks; i++) {
		bf_jw_key(jw, f->checks[i].name);
		bf_jw_int(jw, f->checks[i].checked);
	}
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "found");
	bf_jw_obj(jw);
	for (int i = 0; i < f->n_checks; i++) {
		if (f->checks[i].errors + f->checks[i].warnings == 0)
			continue;
		bf_jw_key(jw, f->checks[i].name);
		bf_jw_int(jw, f->checks[i].errors + f->checks[i].warnings);
	}
	bf_jw_end_obj(jw);
}

void findings_reply(struct request *rq, struct findings *f, const int years[2])
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, REPLY_MAX_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "ok");
	bf_jw_bool(&jw, f->errors == 0);
	if (years != NULL) {
		bf_jw_key(&jw, "years");
		bf_jw_arr(&jw);
		bf_jw_int(&jw, years[0]);
		bf_jw_int(&jw, years[1]);
		bf_jw_end_arr(&jw);
	}
	write_checks(&jw, f);
	bf_jw_key(&jw, "errors");
	bf_jw_int(&jw, f->errors);
	bf_jw_key(&jw, "warnings");
	bf_jw_int(&jw, f->warnings);
	bf_jw_key(&jw, "findings");
	bf_jw_arr(&jw);
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < f->n; i++)
			if (f->v[i].error == (pass == 0))
				write_finding(&jw, &f->v[i]);
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

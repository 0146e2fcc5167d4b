/*
 * sparql: reads just enough of a query. Literals are taken wherever they stand; a variable's
 * role follows from the property that it is the object of (P212 is ISBN-13, P50 the author,
 * ...), so any names do.
 */
#include <ctype.h>
#include <string.h>
#include "sparql.h"

/* The literal at p (behind its quote), unescaped; *ret_end is behind the closing quote. */
static char *read_literal(const char *p, const char **ret_end, struct bf_arena *arena)
{
	size_t len = strcspn(p, "\""), n = 0;
	char *out;

	/* an escaped quote, or a quote behind an escaped backslash */
	while (len && p[len] && p[len - 1] == '\\')
		len += 1 + strcspn(p + len + 1, "\"");
	out = bf_arena_alloc(arena, len + 2);
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			out[n++] = *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p == 't' ? '\t' : *p;
		} else {
			out[n++] = *p;
		}
	}
	if (*p != '"')
		return NULL;
	*ret_end = p + 1;
	return out;
}

/* Takes all literals out; what is left has `""` in their place. NULL when one does not end. */
static char *take_literals(struct sparql *s, const char *query, struct bf_arena *arena)
{
	char *rest = bf_arena_alloc(arena, strlen(query) + 1);
	size_t n = 0, quotes = 0;

	for (const char *p = query; *p; p++)
		quotes += *p == '"';
	s->literals = bf_arena_alloc(arena, (quotes / 2 + 1) * sizeof(*s->literals));
	while (*query) {
		struct sparql_literal l = { .tag = "" };
		size_t len;

		if (*query != '"') {
			rest[n++] = *query++;
			continue;
		}
		l.text = read_literal(query + 1, &query, arena);
		if (!l.text)
			return NULL;
		if (*query == '@') {
			len = 1 +
				strspn(query + 1,
					"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
			l.tag = bf_arena_strndup(arena, query + 1, len - 1);
			query += len;
		}
		rest[n++] = '"';	/* shorter than what it replaces */
		rest[n++] = '"';
		s->literals[s->n_literals++] = l;
	}
	return rest;
}

/* The variable of this name, made when it is new; NULL when there are too many. */
static struct sparql_var *variable(struct sparql *s, const char *name)
{
	for (size_t i = 0; i < s->n_vars; i++)
		if (!strcmp(s->vars[i].name, name))
			return &s->vars[i];
	if (s->n_vars == SPARQL_VARS)
		return NULL;
	s->vars[s->n_vars] = (struct sparql_var){ .name = name };
	return &s->vars[s->n_vars++];
}

/* Next token: a variable, a punctuation mark, or a run of other characters. NULL at the end. */
static const char *token(const char **text, struct bf_arena *arena)
{
	const char *p = *text;
	size_t len;

	p += strspn(p, " \t\r\n");
	if (!*p)
		return NULL;
	if (*p == '?' || *p == '$') {
		len = 1;
		while (isalnum((unsigned char)p[len]) || p[len] == '_')
			len++;
	} else if (strchr("{}().;,", *p)) {
		len = 1;
	} else {
		len = strcspn(p, " \t\r\n{};?$");
		if (strncmp(p, "wdt:", 4) && strncmp(p, "rdfs:", 5) && strncmp(p, "skos:", 5))
			len = strcspn(p, " \t\r\n{}();?$.,");
	}
	*text = p + (len ? len : 1);
	return bf_arena_strndup(arena, p, len ? len : 1);
}

/* What the object of a property is; the subject may learn something too. */
static enum sparql_role role_of(const char *property, struct sparql_var *subject, bool person_known)
{
	static const struct { const char *id; enum sparql_role role; } known[] = {
		{ "P212", SPARQL_ISBN13 }, { "P957", SPARQL_ISBN10 }, { "P577", SPARQL_DATE },
		{ "P218", SPARQL_LANGUAGE }, { "P407", SPARQL_LANGUAGE },
		{ "P123", SPARQL_PUBLISHER }, { "P1476", SPARQL_TITLE },
		{ "P1104", SPARQL_PAGES }, { "P648", SPARQL_OPEN_LIBRARY },
		{ "P2969", SPARQL_GOODREADS }
	};
	for (size_t i = 0; i < BF_COUNT(known); i++)
		if (strstr(property, known[i].id)) {
			if (subject &&
				(known[i].role == SPARQL_ISBN13 || known[i].role == SPARQL_ISBN10))
				subject->role = SPARQL_EDITION;
			return known[i].role;
		}
	if (strstr(property, "P50"))
		return strstr(property, "label") ? SPARQL_AUTHOR : SPARQL_PERSON;
	if (strstr(property, "P747")) {
		if (subject)
			subject->role = SPARQL_WORK;
		return SPARQL_EDITION;
	}
	if (strstr(property, "P629"))
		return SPARQL_WORK;
	if (strstr(property, "label") || strstr(property, "altLabel"))
		return person_known && subject && subject->role == SPARQL_PERSON ? SPARQL_AUTHOR
										 : SPARQL_TITLE;
	return SPARQL_UNKNOWN;
}

/* Walks the triples once; the second pass knows who is a person. */
static void find_roles(struct sparql *s, const char *text, bool second, struct bf_arena *arena)
{
	struct sparql_var *subject = NULL, *v, *inner = NULL;
	const char *property = NULL, *t;
	bool values = false, as = false;

	while ((t = token(&text, arena)) != NULL) {
		if (*t == '?' || *t == '$') {
			v = variable(s, t + 1);
			if (!v)
				continue;
			v->given |= values;
			if (as && inner && !v->role)
				v->role = inner->role;
			if (property) {
				enum sparql_role role = role_of(property, subject, second);

				if (role && (!v->role || v->role == SPARQL_TITLE))
					v->role = role;
			} else if (!values) {
				subject = v;
			}
			if (v->role)
				inner = v;
			property = NULL;
			values = as = false;
		} else if (strstr(t, "wdt:") || strstr(t, "rdfs:label") || strstr(t, "skos:")) {
			property = property ? bf_arena_printf(arena, "%s%s", property, t) : t;
		} else if (property && (!strcmp(t, ")") || !strcmp(t, "(") || *t == '/')) {
			property = bf_arena_printf(arena, "%s%s", property, t);
		} else {
			values = !strcasecmp(t, "VALUES") || (values && *t == '(');
			as = !strcasecmp(t, "AS");
			property = NULL;
		}
	}
}

/* The variables between SELECT and WHERE; `*` selects all. */
static void find_selected(struct sparql *s, const char *text, struct bf_arena *arena)
{
	const char *t;

	while ((t = token(&text, arena)) != NULL && *t != '{' && strcasecmp(t, "WHERE")) {
		if (*t == '*')
			for (size_t i = 0; i < s->n_vars; i++)
				s->selected[s->n_selected++] = s->vars[i].name;
		if (*t == '?' && s->n_selected < SPARQL_VARS)
			s->selected[s->n_selected++] = bf_arena_strdup(arena, t + 1);
	}
}

/* Reads a query. */
bool sparql_read(struct sparql *s, const char *query, struct bf_arena *arena)
{
	char *rest;
	const char *select;
	int depth = 0;

	*s = (struct sparql){ 0 };
	rest = take_literals(s, query, arena);
	select = rest ? strcasestr(rest, "SELECT") : NULL;
	if (!select)
		return false;
	for (const char *p = rest; *p && depth >= 0; p++)
		depth += (*p == '{') - (*p == '}');
	if (depth || !strchr(rest, '{'))
		return false;
	select += strlen("SELECT");
	find_roles(s, strchr(select, '{') ? strchr(select, '{') : select, false, arena);
	find_roles(s, strchr(select, '{') ? strchr(select, '{') : select, true, arena);
	find_selected(s, select, arena);
	return true;
}

/* What a variable stands for. */
enum sparql_role sparql_role_of(const struct sparql *s, const char *name)
{
	for (size_t i = 0; i < s->n_vars; i++)
		if (!strcmp(s->vars[i].name, name))
			return s->vars[i].role;
	return SPARQL_UNKNOWN;
}

/* Does a variable of this role stand in a VALUES clause? */
bool sparql_is_given(const struct sparql *s, enum sparql_role role)
{
	for (size_t i = 0; i < s->n_vars; i++)
		if (s->vars[i].role == role && s->vars[i].given)
			return true;
	return false;
}

/* Is there a variable of this role? */
bool sparql_has(const struct sparql *s, enum sparql_role role)
{
	for (size_t i = 0; i < s->n_vars; i++)
		if (s->vars[i].role == role)
			return true;
	return false;
}

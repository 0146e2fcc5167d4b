/*
 * wikidata_query: exact, language-tagged literals only. Those are indexed and take a second; a
 * filter over labels scans them all and dies at the service's limit. So spellings go into VALUES
 * lists instead: titles with and without subtitle and article, names with their initials written in
 * each of the usual ways.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "wikidata_query.h"

#define VARIANTS  12
#define TERM_MAX  250 /* the longest label that Wikidata stores */
#define QUERY_MAX (256 * 1024)

struct variants {
	const char *v[VARIANTS];
	size_t n;
};

/* Adds a spelling that is not there yet. */
static void variant(struct variants *set, struct bf_arena *arena, const char *text)
{
	size_t i;

	text = text != NULL ? terms_cut(arena, text, TERM_MAX) : NULL;
	if (text == NULL || set->n == VARIANTS)
		return;
	for (i = 0; i < set->n; i++) {
		if (strcmp(set->v[i], text) == 0)
			return;
	}
	set->v[set->n++] = text;
}

/* All occurrences replaced. */
static const char *replaced(
	struct bf_arena *arena, const char *text, const char *from, const char *to)
{
	struct bf_buf out;
	const char *at;

	bf_buf_init(&out, strlen(text) * 3 + 1);
	while ((at = strstr(text, from)) != NULL) {
		bf_buf_add(&out, text, (size_t)(at - text));
		bf_buf_adds(&out, to);
		text = at + strlen(from);
	}
	bf_buf_adds(&out, text);
	return provider_arena_buf(arena, &out);
}

/* The title without its leading article; NULL when it has none. */
static const char *without_article(const char *title)
{
	static const char *const articles[] = { "The ", "A ", "An " };
	size_t i;

	for (i = 0; i < BF_COUNT(articles); i++) {
		if (strncasecmp(title, articles[i], strlen(articles[i])) == 0)
			return title + strlen(articles[i]);
	}
	return NULL;
}

/* A title with and without its article. */
static void title_and_article(struct variants *set, struct bf_arena *arena, const char *title)
{
	const char *bare = without_article(title);

	variant(set, arena, title);
	variant(set, arena, bare != NULL ? bare : bf_arena_printf(arena, "The %s", title));
}

/* As it is, without subtitle (at any colon, too: what is exact cannot be too wide), each with and
 * without article, and with the other apostrophe. */
static void title_variants(struct variants *set, const struct terms *terms, struct bf_arena *arena)
{
	const char *colon = strchr(terms->full, ':');
	size_t i, n;

	variant(set, arena, terms->full);
	title_and_article(set, arena, terms->title);
	if (colon != NULL && colon > terms->full)
		title_and_article(set, arena,
			bf_arena_strndup(arena, terms->full, (size_t)(colon - terms->full)));
	n = set->n;
	for (i = 0; i < n; i++) {
		if (strstr(set->v[i], "\xe2\x80\x99") != NULL)
			variant(set, arena, replaced(arena, set->v[i], "\xe2\x80\x99", "'"));
		else if (strchr(set->v[i], '\'') != NULL)
			variant(set, arena, replaced(arena, set->v[i], "'", "\xe2\x80\x99"));
	}
}

/* Whether p begins an initial: one capital letter, with its period or at the end of a word. */
static bool is_initial(const char *name, const char *p)
{
	return isupper((unsigned char)*p) && (p == name || p[-1] == ' ' || p[-1] == '.') &&
		(p[1] == '.' || p[1] == ' ');
}

/* The name with its initials joined by `after` ("J. K. Rowling", "J.K. Rowling", "J K Rowling", "JK
 * Rowling"). */
static const char *initials(
	struct bf_arena *arena, const char *name, const char *period, const char *gap)
{
	struct bf_buf out;
	const char *p = name;

	bf_buf_init(&out, strlen(name) * 3 + 1);
	while (*p) {
		if (!is_initial(name, p)) {
			bf_buf_add(&out, p++, 1);
			continue;
		}
		bf_buf_add(&out, p, 1);
		bf_buf_adds(&out, period);
		p++;
		p += *p == '.' ? 1 : 0;
		p += strspn(p, " ");
		if (*p != '\0')
			bf_buf_adds(&out, is_initial(name, p) ? gap : " ");
	}
	return provider_arena_buf(arena, &out);
}

/* The person's name in each of the usual ways. */
static void name_variants(struct variants *set, const char *name, struct bf_arena *arena)
{
	variant(set, arena, name);
	variant(set, arena, initials(arena, name, ".", " "));
	variant(set, arena, initials(arena, name, ".", ""));
	variant(set, arena, initials(arena, name, "", " "));
	variant(set, arena, initials(arena, name, "", ""));
	if (strchr(name, '\'') != NULL)
		variant(set, arena, replaced(arena, name, "'", "\xe2\x80\x99"));
	if (strstr(name, "\xe2\x80\x99") != NULL)
		variant(set, arena, replaced(arena, name, "\xe2\x80\x99", "'"));
}

/* A literal's content: the escapes of SPARQL 1.1, section 19.7; other control characters have no
 * place in a label. */
static void literal(struct bf_buf *out, const char *text)
{
	bf_buf_adds(out, "\"");
	for (; *text; text++) {
		switch (*text) {
		case '"': bf_buf_adds(out, "\\\""); break;
		case '\\': bf_buf_adds(out, "\\\\"); break;
		case '\n': bf_buf_adds(out, "\\n"); break;
		case '\r': bf_buf_adds(out, "\\r"); break;
		case '\t': bf_buf_adds(out, "\\t"); break;
		default:
			if ((unsigned char)*text >= ' ' && *text != 0x7f)
				bf_buf_add(out, text, 1);
			break;
		}
	}
	bf_buf_adds(out, "\"");
}

/* VALUES ?x { ... }: names stand under English or under the default for all languages. */
static void values(struct bf_buf *out, const char *variable, const struct variants *set)
{
	size_t i;

	bf_buf_addf(out, "  VALUES ?%s {", variable);
	for (i = 0; i < set->n; i++) {
		bf_buf_adds(out, " ");
		literal(out, set->v[i]);
		bf_buf_adds(out, "@en ");
		literal(out, set->v[i]);
		bf_buf_adds(out, "@mul");
	}
	bf_buf_adds(out, " }\n");
}

/* Editions with an ISBN, of works with this title by this author. The matched title and name are
 * selected, so that a result can be compared like any other provider's. Without an author the
 * work's own is asked for. */
const char *wikidata_query_search(const struct terms *terms, struct bf_arena *arena)
{
	struct variants titles = { .n = 0 }, names = { .n = 0 };
	struct bf_buf q;

	bf_buf_init(&q, QUERY_MAX);
	title_variants(&titles, terms, arena);
	bf_buf_adds(&q, "SELECT ?work ?ed ?i13 ?i10 ?date ?lang ?pub ?t ?n WHERE {\n");
	values(&q, "t", &titles);
	if (terms->author != NULL) {
		name_variants(&names, terms->author, arena);
		values(&q, "n", &names);
		bf_buf_adds(&q, "  ?a rdfs:label ?n .\n  ?work wdt:P50 ?a ; rdfs:label ?t .\n");
	} else {
		bf_buf_adds(&q,
			"  ?work rdfs:label ?t .\n"
			"  OPTIONAL { ?work wdt:P50/rdfs:label ?n . FILTER(LANG(?n) IN (\"en\", "
			"\"mul\")) }\n");
	}
	bf_buf_adds(&q,
		"  { BIND(?work AS ?ed) } UNION { ?ed wdt:P629 ?work } UNION { ?work wdt:P747 ?ed "
		"}\n"
		"  OPTIONAL { ?ed wdt:P212 ?i13 } OPTIONAL { ?ed wdt:P957 ?i10 }\n"
		"  FILTER(BOUND(?i13) || BOUND(?i10))\n"
		"  OPTIONAL { ?ed wdt:P577 ?date } OPTIONAL { ?ed wdt:P407/wdt:P218 ?lang }\n"
		"  OPTIONAL { ?ed wdt:P123/rdfs:label ?pub . FILTER(LANG(?pub) = \"en\") }\n"
		"} LIMIT 50");
	return provider_arena_buf(arena, &q);
}

/* Editions by ISBN. They are stored hyphenated, mostly, and where the hyphens stand is not known
 * here: all spellings are asked for. */
const char *wikidata_query_isbns(const char *const *isbns, size_t n, struct bf_arena *arena)
{
	char spellings[BF_ISBN_SPELLINGS][18];
	struct bf_buf q;
	size_t i, k;

	bf_buf_init(&q, QUERY_MAX);
	bf_buf_adds(
		&q, "SELECT ?work ?ed ?i13 ?i10 ?date ?lang ?pub ?t ?n WHERE {\n  VALUES ?i13 {");
	for (i = 0; i < n; i++) {
		bf_isbn_spellings(isbns[i], spellings);
		for (k = 0; k < BF_ISBN_SPELLINGS; k++)
			bf_buf_addf(&q, " \"%s\"", spellings[k]);
	}
	bf_buf_addf(&q,
		" }\n"
		"  ?ed wdt:P212 ?i13 .\n"
		"  OPTIONAL { ?ed wdt:P957 ?i10 } OPTIONAL { ?ed wdt:P629 ?work }\n"
		"  OPTIONAL { ?ed rdfs:label ?el . FILTER(LANG(?el) = \"en\") }\n"
		"  OPTIONAL { ?ed rdfs:label ?ml . FILTER(LANG(?ml) = \"mul\") }\n"
		"  OPTIONAL { ?ed wdt:P1476 ?own }\n"
		"  BIND(COALESCE(?own, ?el, ?ml) AS ?t)\n"
		"  OPTIONAL { ?ed (wdt:P50|(wdt:P629/wdt:P50))/rdfs:label ?n . FILTER(LANG(?n) IN "
		"(\"en\", \"mul\")) }\n"
		"  OPTIONAL { ?ed wdt:P577 ?date } OPTIONAL { ?ed wdt:P407/wdt:P218 ?lang }\n"
		"  OPTIONAL { ?ed wdt:P123/rdfs:label ?pub . FILTER(LANG(?pub) = \"en\") }\n"
		"} LIMIT %zu",
		n * 20);
	return provider_arena_buf(arena, &q);
}

/* catalogue: books out of syllables, and answers about them as the seven services would give them. */
#include "catalogue.h"
#include <stdio.h>
#include <string.h>
#include "plan.h"

#define SYLLABLES 20
static const char *const syllables[SYLLABLES] = { "ka", "lo", "min", "ren", "tu", "sar", "vel",
	"dor", "nim", "pax", "qui", "zor", "bel", "fen", "gar", "hul", "jos", "wyn", "yal", "cir" };
struct catalogue catalogue;

void catalogue_month(int index, int *year, int *month)
{
	int n = plan.years_from * 12 + plan.months - 1 - index;

	*year = n / 12;
	*month = n % 12 + 1;
}

int catalogue_month_index(int year, int month)
{
	int index = plan.years_from * 12 + plan.months - 1 - (year * 12 + month - 1);

	return index >= 0 && index < plan.months ? index : -1;
}

/* ---- making ---- */
/* A word of three syllables that begins with a capital; distinct for distinct numbers below 8000. */
static void word(char *out, size_t size, int number)
{
	snprintf(out, size, "%s%s%s", syllables[number % SYLLABLES],
		syllables[number / SYLLABLES % SYLLABLES],
		syllables[number / SYLLABLES / SYLLABLES % SYLLABLES]);
	out[0] = (char)(out[0] - 'a' + 'A');
}

static void isbn(char out[14], int number)
{
	int sum = 0;

	snprintf(out, 14, "9781%08d", number % 100000000);
	for (int i = 0; i < 12; i++)
		sum += (out[i] - '0') * (i % 2 ? 3 : 1);
	out[12] = (char)('0' + (10 - sum % 10) % 10);
	out[13] = '\0';
}

static void make_book(struct cat_book *b, int number, int month)
{
	char one[16], two[16];

	memset(b, 0, sizeof *b);
	word(one, sizeof one, (number * 7 + 11) % 8000);
	word(two, sizeof two, (int)rnd_below(8000));
	snprintf(b->title, sizeof b->title, "%s %s", one, two);
	word(one, sizeof one, (int)rnd_below(8000));
	word(two, sizeof two, (number * 13 + 5) % 8000);
	snprintf(b->author, sizeof b->author, "%s %s", one, two);
	isbn(b->isbn13, 10000000 + number * 37 + (int)rnd_below(30));
	b->month = month;
	b->also = -1;
	b->named_by = 1 + (unsigned)rnd_below(3);
	for (int p = BF_ISBNDB; p < BF_NPROVIDERS; p++)
		if (chance(p == BF_ISBNDB ? 600 : 300))
			b->known_by |= 1u << p;
}

void catalogue_make(void)
{
	int number = 0;

	catalogue.n = catalogue.shared = 0;
	for (int month = 0; month < plan.months; month++) {
		int n = chance(30) ? 0 : plan.books;
		char before[14] = "";

		for (int i = 0; i < n && catalogue.n < CATALOGUE_BOOKS_MAX; i++) {
			struct cat_book *b = &catalogue.v[catalogue.n++];

			make_book(b, number++, month);
			if (i > 0 && chance(60)) /* two titles of one edition */
				memcpy(b->isbn13, before, sizeof before);
			memcpy(before, b->isbn13, sizeof before);
			if (plan.months > 1 && chance(plan.shared)) {
				b->also = (month + 1) % plan.months;
				catalogue.shared++;
			}
		}
	}
}

int catalogue_find(const char *text)
{
	for (int i = 0; i < catalogue.n; i++)
		if (strstr(text, catalogue.v[i].title))
			return i;
	return -1;
}

const char *catalogue_isbn(const char *title)
{
	for (int i = 0; i < catalogue.n; i++)
		if (!strcmp(catalogue.v[i].title, title))
			return catalogue.v[i].isbn13;
	return NULL;
}

/* ---- the AIs ---- */
static void list_books(
	enum bf_provider_id p, int index, int up_to_n, bool cut, struct bf_buf *out)
{
	int year, month, n = 0;

	catalogue_month(index, &year, &month);
	bf_buf_adds(out, p == BF_XAI ? "{\"books\":[" : "[");
	for (int i = 0; i < catalogue.n && n < up_to_n; i++) {
		const struct cat_book *b = &catalogue.v[i];

		if ((b->month != index && b->also != index) || !(b->named_by >> p & 1))
			continue;
		bf_buf_addf(out,
			"%s{\"title\":\"%s\",\"author\":\"%s\",\"publisher\":\"Quill\","
			"\"format\":\"hardcover\",\"publication_year\":%d,\"significance\":\"x\"}",
			n++ ? "," : "", b->title, b->author, year);
	}
	if (cut)
		bf_buf_adds(out, n ? ",{\"title\":\"Half a bo" : "{\"title\":\"Half");
	else
		bf_buf_adds(out, p == BF_XAI ? "]}" : "]");
}

static void wrap(enum bf_provider_id p, const char *text, bool cut, struct bf_buf *out)
{
	struct bf_jw jw;

	bf_buf_adds(out, p == BF_GEMINI
			? "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":"
			: "{\"model\":\"grok-4.3\",\"choices\":[{\"index\":0,\"message\":"
			  "{\"role\":\"assistant\",\"refusal\":null,\"content\":");
	bf_jw_init(&jw, out);
	bf_jw_str(&jw, text);
	if (p == BF_GEMINI)
		bf_buf_addf(out,
			"}]},\"finishReason\":\"%s\"}],\"usageMetadata\":{\"promptTokenCount\":300,"
			"\"candidatesTokenCount\":900,\"totalTokenCount\":1200},"
			"\"modelVersion\":\"gemini-3.5-flash-lite\"}",
			cut ? "MAX_TOKENS" : "STOP");
	else
		bf_buf_addf(out,
			"},\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":300,"
			"\"completion_tokens\":900,\"total_tokens\":1200}}",
			cut ? "length" : "stop");
}

void catalogue_ai(enum bf_provider_id p, int year, int month, int up_to_n, bool cut, struct bf_buf *out)
{
	int index = catalogue_month_index(year, month);
	struct bf_buf list;

	bf_buf_init(&list, 65536);
	list_books(p, index, index < 0 ? 0 : up_to_n, cut, &list);
	wrap(p, list.data, cut, out);
	bf_buf_release(&list);
}

void catalogue_ai_text(enum bf_provider_id p, const char *text, struct bf_buf *out)
{
	wrap(p, text, false, out);
}

/* ---- the others ---- */
static void nothing(enum bf_provider_id p, struct bf_buf *out, int *status)
{
	switch (p) {
	case BF_ISBNDB:
		*status = 404;
		bf_buf_adds(out, "{\"errorMessage\":\"Not Found\"}");
		return;
	case BF_GOOGLE_BOOKS:
		bf_buf_adds(out, "{\"kind\":\"books#volumes\",\"totalItems\":0}");
		return;
	case BF_OPEN_LIBRARY: bf_buf_adds(out, "{\"numFound\":0,\"docs\":[]}"); return;
	case BF_ARCHIVE_ORG:
		bf_buf_adds(out, "{\"response\":{\"numFound\":0,\"start\":0,\"docs\":[]}}");
		return;
	case BF_WIKIDATA:
		bf_buf_adds(out, "{\"head\":{\"vars\":[\"work\",\"ed\",\"i13\",\"i10\",\"date\","
				 "\"lang\",\"pub\",\"t\",\"n\"]},\"results\":{\"bindings\":[]}}");
		return;
	case BF_GEMINI:
	case BF_XAI:
	case BF_NPROVIDERS: return;
	}
}

static void hit(enum bf_provider_id p, const struct cat_book *b, int year, struct bf_buf *out)
{
	switch (p) {
	case BF_ISBNDB:
		bf_buf_addf(out,
			"{\"total\":1,\"data\":[{\"title\":\"%s\",\"authors\":[\"%s\"],"
			"\"isbn13\":\"%s\",\"date_published\":\"%d\",\"language\":\"en\"}]}",
			b->title, b->author, b->isbn13, year);
		return;
	case BF_GOOGLE_BOOKS:
		bf_buf_addf(out,
			"{\"kind\":\"books#volumes\",\"totalItems\":1,\"items\":[{\"id\":\"g1\","
			"\"volumeInfo\":{\"title\":\"%s\",\"authors\":[\"%s\"],"
			"\"publishedDate\":\"%d\",\"industryIdentifiers\":[{\"type\":\"ISBN_13\","
			"\"identifier\":\"%s\"}],\"language\":\"en\"}}]}",
			b->title, b->author, year, b->isbn13);
		return;
	case BF_OPEN_LIBRARY:
		bf_buf_addf(out,
			"{\"numFound\":1,\"docs\":[{\"key\":\"/works/OL1W\",\"title\":\"%s\","
			"\"author_name\":[\"%s\"],\"first_publish_year\":%d,\"editions\":{\"docs\":"
			"[{\"key\":\"/books/OL1M\",\"title\":\"%s\",\"isbn\":[\"%s\"],"
			"\"language\":[\"eng\"]}]}}]}",
			b->title, b->author, year, b->title, b->isbn13);
		return;
	case BF_ARCHIVE_ORG:
		bf_buf_addf(out,
			"{\"response\":{\"numFound\":1,\"start\":0,\"docs\":[{\"identifier\":\"a1\","
			"\"title\":\"%s\",\"creator\":\"%s\",\"isbn\":[\"%s\"],\"year\":%d,"
			"\"language\":\"eng\"}]}}",
			b->title, b->author, b->isbn13, year);
		return;
	case BF_WIKIDATA:
		bf_buf_addf(out,
			"{\"head\":{\"vars\":[\"ed\",\"i13\",\"t\",\"n\"]},\"results\":"
			"{\"bindings\":[{\"ed\":{\"type\":\"uri\",\"value\":"
			"\"http://www.wikidata.org/entity/Q1\"},\"i13\":{\"type\":\"literal\","
			"\"value\":\"%s\"},\"t\":{\"type\":\"literal\",\"xml:lang\":\"en\","
			"\"value\":\"%s\"},\"n\":{\"type\":\"literal\",\"xml:lang\":\"en\","
			"\"value\":\"%s\"}}]}}",
			b->isbn13, b->title, b->author);
		return;
	case BF_GEMINI:
	case BF_XAI:
	case BF_NPROVIDERS: return;
	}
}

void catalogue_search(enum bf_provider_id p, int book, struct bf_buf *out, int *status)
{
	int year, month;

	if (book < 0 || !(catalogue.v[book].known_by >> p & 1)) {
		nothing(p, out, status);
		return;
	}
	catalogue_month(catalogue.v[book].month, &year, &month);
	hit(p, &catalogue.v[book], year, out);
}

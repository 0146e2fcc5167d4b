/* normal: dates, languages, subjects, and the texts, formats and covers of an offer. */
#include "backfill/books.h"
#include "cmocka_all.h"

struct pair {
	const char *in, *out;
};

static const struct pair dates[] = {
	{ "2020-10-06", "2020-10-06" },
	{ "October 2020", "2020-10" },
	{ "2020", "2020" },
	{ "c2004", "2004" },
	{ "\u00a9 2004", "2004" },
	{ "[2004?]", "2004" },
	{ "2004-00-00", "2004" },
	{ "2004-13-01", "2004" },
	{ "2004-02-30", "2004-02" },
	{ "2004-02-29", "2004-02-29" },
	{ "1900-02-29", "1900-02" },
	{ "2004-01-01T00:00:00Z", "2004-01-01" },
	{ "2015-03-01t00:00:01z", "2015-03-01" },
	{ "2015-03", "2015-03" },
	{ "2015/3/1", "2015-03-01" },
	{ "20201006", "2020-10-06" },
	{ "20209906", NULL },
	{ "October 6, 2020", "2020-10-06" },
	{ "Oct. 6th, 2020", "2020-10-06" },
	{ "6 October 2020", "2020-10-06" },
	{ "6th of October, 2020", "2020-10-06" },
	{ "06-Oct-2020", "2020-10-06" },
	{ "2020 October 6", "2020-10-06" },
	{ "2020-Oct-06", "2020-10-06" },
	{ "Tue Oct 06 2020", "2020-10-06" },
	{ "octobre 2020", "2020-10" },
	{ "6. Oktober 2020", "2020-10-06" },
	{ "6 de marzo de 2020", "2020-03-06" },
	{ "10/2020", "2020-10" },
	{ "13/10/2020", "2020-10-13" },
	{ "10/13/2020", "2020-10-13" },
	{ "10/10/2020", "2020-10-10" },
	{ "10/6/2020", "2020" }, /* sixth of October or tenth of June */
	{ "6.10.2020", "2020-10-06" },
	{ "2020\u5e7410\u67086\u65e5", "2020-10-06" },
	{ "1998-2004", "1998" },
	{ "Spring 2004", "2004" },
	{ "Vol 2. 2004", "2004" },
	{ "2004. 2nd edition", "2004" },
	{ "  1965 ", "1965" },
	{ "1965 (reprinted 2003)", "1965" },
	{ "12345 1965", "1965" },
	{ "0000", NULL },
	{ "0000-00-00", NULL },
	{ "-1200-01-01T00:00:00Z", NULL },
	{ "-0044-03-15T00:00:00Z", NULL },
	{ "999", NULL },
	{ "2101", NULL },
	{ "Oct 20", NULL },
	{ "n.d.", NULL },
	{ "", NULL },
	{ "99999999999999999999", NULL },
};

/* A date is as precise as its text, and nothing is guessed. */
static void test_dates(void **state)
{
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(dates); i++) {
		const char *got = bf_date_normal(dates[i].in, arena);

		if (strcmp(got ? got : "-", dates[i].out ? dates[i].out : "-") != 0)
			fail_msg("%s: %s, not %s", dates[i].in, got ? got : "NULL",
				dates[i].out ? dates[i].out : "NULL");
	}
	assert_null(bf_date_normal(NULL, arena));
	bf_arena_free(arena);
}

static const struct pair languages[] = {
	{ "en", "en" },
	{ "EN", "en" },
	{ "eng", "en" },
	{ "English", "en" },
	{ "en_US", "en" },
	{ "en-GB", "en" },
	{ "en-US-x-twain", "en" },
	{ "English (US)", "en" },
	{ "American English", "en" },
	{ "In English", "en" },
	{ "/languages/eng", "en" },
	{ "https://openlibrary.org/languages/fre", "fr" },
	{ "eng;spa;fre", "en" },
	{ "und;ger", "de" },
	{ "english, french", "en" },
	{ "ger German", "de" },
	{ "ger", "de" },
	{ "deu", "de" },
	{ "Deutsch", "de" },
	{ "fre", "fr" },
	{ "fra", "fr" },
	{ "Fran\u00e7ais", "fr" },
	{ "spa", "es" },
	{ "Spanish; Castilian", "es" },
	{ "Espa\u00f1ol", "es" },
	{ "es-419", "es" },
	{ "Latin American Spanish", "es" },
	{ "chi", "zh" },
	{ "zho", "zh" },
	{ "cmn", "zh" },
	{ "zh-Hans", "zh" },
	{ "zh-Hant-TW", "zh" },
	{ "Simplified Chinese", "zh" },
	{ "Chinese (Traditional)", "zh" },
	{ "\u4e2d\u6587", "zh" },
	{ "\u65e5\u672c\u8a9e", "ja" },
	{ "jpn", "ja" },
	{ "pt-BR", "pt" },
	{ "Brazilian Portuguese", "pt" },
	{ "dut", "nl" },
	{ "nld", "nl" },
	{ "Dutch; Flemish", "nl" },
	{ "cze", "cs" },
	{ "ces", "cs" },
	{ "slo", "sk" },
	{ "slk", "sk" },
	{ "rum", "ro" },
	{ "ron", "ro" },
	{ "mol", "ro" },
	{ "alb", "sq" },
	{ "arm", "hy" },
	{ "baq", "eu" },
	{ "bur", "my" },
	{ "gre", "el" },
	{ "ell", "el" },
	{ "Greek, Modern (1453-)", "el" },
	{ "Modern Greek", "el" },
	{ "ice", "is" },
	{ "geo", "ka" },
	{ "mac", "mk" },
	{ "mao", "mi" },
	{ "may", "ms" },
	{ "per", "fa" },
	{ "Farsi", "fa" },
	{ "tib", "bo" },
	{ "wel", "cy" },
	{ "nob", "nb" },
	{ "nno", "nn" },
	{ "nor", "no" },
	{ "Norwegian Bokm\u00e5l", "nb" },
	{ "iw", "he" },
	{ "heb", "he" },
	{ "scr", "hr" },
	{ "scc", "sr" },
	{ "fri", "fy" },
	{ "iri", "ga" },
	{ "tag", "tl" },
	{ "grc", "grc" },
	{ "Ancient Greek", "grc" },
	{ "Greek, Ancient (to 1453)", "grc" },
	{ "ang", "ang" },
	{ "Old English", "ang" },
	{ "English, Old (ca. 450-1100)", "ang" },
	{ "Middle English", "enm" },
	{ "la", "la" },
	{ "Latin", "la" },
	{ "sux", "sux" },
	{ "akk", "akk" },
	{ "haw", "haw" },
	{ "Cantonese", "yue" },
	{ "fil", "fil" },
	{ "Swiss German", "gsw" },
	{ "esperanto", "eo" },
	{ "yi", "yi" },
	{ "zu", "zu" },
	{ "\u0440\u0443\u0441\u0441\u043a\u0438\u0439", "ru" },
	{ "Catalan; Valencian", "ca" },
	{ "Gaelic; Scottish Gaelic", "gd" },
	{ "Church Slavic", "cu" },
	{ "sme", "se" },
	{ "und", NULL },
	{ "un", NULL },
	{ "mul", NULL },
	{ "zxx", NULL },
	{ "mis", NULL },
	{ "No language", NULL },
	{ "No linguistic content", NULL },
	{ "Multiple languages", NULL },
	{ "unknown", NULL },
	{ "xx", NULL },
	{ "", NULL },
	{ " ; ", NULL },
	{ "/", NULL },
	{ "42", NULL },
	{ "is it", "is" /* a code and what may be a country */ },
};

/* Codes of all three kinds, names, locales and paths lead to ISO 639-1 or -3; others to nothing. */
static void test_languages(void **state)
{
	char longest[5000];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(languages); i++) {
		const char *got = bf_language_code(languages[i].in);

		if (strcmp(got ? got : "-", languages[i].out ? languages[i].out : "-") != 0)
			fail_msg("%s: %s, not %s", languages[i].in, got ? got : "NULL",
				languages[i].out ? languages[i].out : "NULL");
	}
	assert_null(bf_language_code(NULL));
	memset(longest, 'e', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_null(bf_language_code(longest));
}

/* Every code of ISO 639-1 is its own, and each has its code of three letters. */
static void test_two_letter_codes(void **state)
{
	static const char codes[] = "aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as "
				    "asm av ava ay aym az aze "
				    "ba bak be bel bg bul bi bis bm bam bn ben bo bod br bre bs "
				    "bos ca cat ce che ch cha "
				    "co cos cr cre cs ces cu chu cv chv cy cym da dan de deu dv "
				    "div dz dzo ee ewe el ell "
				    "en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj "
				    "fij fo fao fr fra fy fry "
				    "ga gle gd gla gl glg gn grn gu guj gv glv ha hau he heb hi "
				    "hin ho hmo hr hrv ht hat "
				    "hu hun hy hye hz her ia ina id ind ie ile ig ibo ii iii ik "
				    "ipk io ido is isl it ita "
				    "iu iku ja jpn jv jav ka kat kg kon ki kik kj kua kk kaz kl "
				    "kal km khm kn kan ko kor "
				    "kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg "
				    "lug li lim ln lin lo lao "
				    "lt lit lu lub lv lav mg mlg mh mah mi mri mk mkd ml mal mn "
				    "mon mr mar ms msa mt mlt "
				    "my mya na nau nb nob nd nde ne nep ng ndo nl nld nn nno no "
				    "nor nr nbl nv nav ny nya "
				    "oc oci oj oji om orm or ori os oss pa pan pi pli pl pol ps "
				    "pus pt por qu que rm roh "
				    "rn run ro ron ru rus rw kin sa san sc srd sd snd se sme sg "
				    "sag si sin sk slk sl slv "
				    "sm smo sn sna so som sq sqi sr srp ss ssw st sot su sun sv "
				    "swe sw swa ta tam te tel "
				    "tg tgk th tha ti tir tk tuk tl tgl tn tsn to ton tr tur ts "
				    "tso tt tat tw twi ty tah "
				    "ug uig uk ukr ur urd uz uzb ve ven vi vie vo vol wa wln wo "
				    "wol xh xho yi yid yo yor "
				    "za zha zh zho zu zul ";
	unsigned n = 0;

	(void)state;
	for (const char *p = codes; *p; p += 7, n++) {
		char two[3] = { p[0], p[1], '\0' }, three[4] = { p[3], p[4], p[5], '\0' };
		const char *a = bf_language_code(two), *b = bf_language_code(three);

		if (!a || strcmp(a, two) != 0 || !b || strcmp(b, two) != 0)
			fail_msg("%s %s: %s %s", two, three, a ? a : "NULL", b ? b : "NULL");
	}
	assert_int_equal(n, 183);
}

/* One list against another, joined by bars. */
static void assert_texts(const struct bf_texts *got, const char *expected)
{
	char text[2000] = "";

	for (size_t i = 0; i < got->n; i++) {
		if (i > 0)
			strncat(text, "|", sizeof(text) - strlen(text) - 1);
		strncat(text, got->v[i], sizeof(text) - strlen(text) - 1);
	}
	assert_string_equal(text, expected);
}

/* tags lower-cased, trimmed, distinct, in order, NFC, no more than asked; codes and empties go. */
static void test_subject_tags(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_texts tags;

	(void)state;
	bf_subject_tags("Fiction;  Science  Fiction ;fiction;;FICTION;813.54; ;Cafe\u0301", 30,
		arena, &tags);
	assert_texts(&tags, "fiction|science fiction|caf\u00e9");
	bf_subject_tags("Science &amp; Nature;\u00c4RZTE;<b>Bold</b>", 30, arena, &tags);
	assert_texts(&tags, "science & nature|\u00e4rzte|bold");
	bf_subject_tags("a;b;c;d", 2, arena, &tags);
	assert_texts(&tags, "a|b");
	bf_subject_tags("a;b", 0, arena, &tags);
	assert_int_equal(tags.n, 0);
	assert_null(tags.v);
	bf_subject_tags(NULL, 30, arena, &tags);
	assert_int_equal(tags.n, 0);
	bf_subject_tags("\u6587\u5b66;\u0394\u03a1\u0391\u039c\u0391", 30, arena, &tags);
	assert_texts(&tags, "\u6587\u5b66|\u03b4\u03c1\u03b1\u03bc\u03b1");
	bf_arena_free(arena);
}

/* What a record makes of an edition. */
static struct bf_edition edition_of(
	enum bf_provider_id provider, struct bf_record record, struct bf_arena *arena)
{
	struct bf_offer offer = { provider, "2026-01-01T00:00:00Z", record };
	struct bf_edition e;

	bf_edition_merge(NULL, "9780441172719", &offer, 1, arena, &e);
	return e;
}

static const struct pair titles[] = {
	{ "  Dune \t\n ", "Dune" },
	{ "Du\u200bne\ufeff", "Dune" },
	{ "Du\x01ne\x7f", "Dune" },
	{ "Rock &amp; Roll", "Rock & Roll" },
	{ "Rock &amp;amp; Roll", "Rock & Roll" },
	{ "Caf&eacute;", "Caf\u00e9" },
	{ "Cafe\u0301", "Caf\u00e9" },
	{ "The <i>Good</i> Book", "The Good Book" },
	{ "One<br/>Two", "One Two" },
	{ "&lt;b&gt;Bold&lt;/b&gt;", "Bold" },
	{ "1 < 2 and 3 > 2", "1 < 2 and 3 > 2" },
	{ "The <Untitled> Book", "The <Untitled> Book" },
	{ "A\u00a0B\u3000C", "A B C" },
	{ "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
		"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645" }, /* Persian spells with it */
	{ "\u202eDune\u202c", "Dune" },
	{ "\u200b", NULL },
	{ "   ", NULL },
	{ "\xff"
	  "Dune",
		"\ufffd"
		"Dune" },
};

/* Titles: entities, tags, controls, widthless characters, spaces and composition, nothing else. */
static void test_titles(void **state)
{
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(titles); i++) {
		struct bf_edition e =
			edition_of(BF_ISBNDB, (struct bf_record){ .title = titles[i].in }, arena);

		if (strcmp(e.title ? e.title : "-", titles[i].out ? titles[i].out : "-") != 0)
			fail_msg("%s: %s", titles[i].in, e.title ? e.title : "NULL");
	}
	bf_arena_free(arena);
}

static const struct {
	const char *title, *main, *subtitle;
} colons[] = {
	{ "Educated: A Memoir", "Educated", "A Memoir" },
	{ "It Ends with Us: A Novel", "It Ends with Us", "A Novel" },
	{ "Sapiens: A Brief History of Humankind", "Sapiens", "A Brief History of Humankind" },
	{ "Unbroken : A World War II Story of Survival", "Unbroken",
		"A World War II Story of Survival" },
	{ "2001: A Space Odyssey", "2001: A Space Odyssey", NULL },
	{ "1776: A Novel", "1776: A Novel", NULL },
	{ "Star Wars: A New Hope", "Star Wars: A New Hope", NULL },
	{ "Mission: Impossible", "Mission: Impossible", NULL },
	{ "Percy Jackson: The Last Olympian", "Percy Jackson: The Last Olympian", NULL },
	{ "Dune: Messiah", "Dune: Messiah", NULL },
	{ "Saga: Volume 2", "Saga: Volume 2", NULL },
	{ "Dune: A Novel (Dune, 1)", "Dune: A Novel (Dune, 1)", NULL },
	{ "Sapiens: A Graphic History", "Sapiens: A Graphic History", NULL },
	{ "Dune: A Study Guide", "Dune: A Study Guide", NULL },
	{ "One: Two: A Novel", "One: Two: A Novel", NULL },
	{ "Ratio 3:2", "Ratio 3:2", NULL },
	{ ": A Novel", ": A Novel", NULL },
	{ "The Long Way to a Small Angry Planet: A Novel",
		"The Long Way to a Small Angry Planet: A Novel", NULL },
	{ "Dune", "Dune", NULL },
};

/* A title is cut at its colon only where no title can be damaged. */
static void test_colons(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_edition e;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(colons); i++) {
		e = edition_of(BF_ISBNDB, (struct bf_record){ .title = colons[i].title }, arena);
		if (strcmp(e.title, colons[i].main) != 0 ||
			strcmp(e.subtitle ? e.subtitle : "-",
				colons[i].subtitle ? colons[i].subtitle : "-") != 0)
			fail_msg("%s: '%s' '%s'", colons[i].title, e.title,
				e.subtitle ? e.subtitle : "NULL");
	}
	/* a subtitle of its own leaves the title as it is; one that the title holds is none */
	e = edition_of(BF_ISBNDB,
		(struct bf_record){ .title = "Educated: A Memoir", .subtitle = "Updated" }, arena);
	assert_string_equal(e.title, "Educated: A Memoir");
	assert_string_equal(e.subtitle, "Updated");
	e = edition_of(BF_ISBNDB,
		(struct bf_record){ .title = "Educated: A Memoir", .subtitle = "a memoir" }, arena);
	assert_null(e.subtitle);
	bf_arena_free(arena);
}

static const struct pair formats[] = {
	{ "Hardcover", "hardcover" },
	{ "Hardback", "hardcover" },
	{ "hard cover", "hardcover" },
	{ "Gebundene Ausgabe", "hardcover" },
	{ "Paperback", "paperback" },
	{ "Trade Paperback", "paperback" },
	{ "Softcover", "paperback" },
	{ "pbk.", "paperback" },
	{ "Taschenbuch", "paperback" },
	{ "Broch\u00e9", "paperback" },
	{ "Mass Market Paperback", "mass market paperback" },
	{ "Kindle Edition", "ebook" },
	{ "eBook", "ebook" },
	{ "e-book", "ebook" },
	{ "EPUB", "ebook" },
	{ "Audio CD", "audiobook" },
	{ "Audible Audiobook", "audiobook" },
	{ "MP3 CD", "audiobook" },
	{ "Board book", "board book" },
	{ "School & Library Binding", "library binding" },
	{ "Turtleback", "library binding" },
	{ "Spiral-bound", "spiral-bound" },
	{ "Boxed Set", "box set" },
	{ "Large Print Paperback", "large print" },
	{ "  Papyrus  roll ", "Papyrus roll" },
	{ "Skateboarding map", "Skateboarding map" },
	{ "Unknown Binding", NULL },
	{ "N/A", NULL },
	{ "", NULL },
};

/* Bindings have one name each; what is not known stays. */
static void test_formats(void **state)
{
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(formats); i++) {
		struct bf_edition e = edition_of(
			BF_ISBNDB, (struct bf_record){ .binding = formats[i].in }, arena);

		if (strcmp(e.format ? e.format : "-", formats[i].out ? formats[i].out : "-") != 0)
			fail_msg("%s: %s", formats[i].in, e.format ? e.format : "NULL");
	}
	bf_arena_free(arena);
}

static const struct pair covers[] = {
	{ "https://images.isbndb.com/covers/1.jpg", "https://images.isbndb.com/covers/1.jpg" },
	{ "Https://images.isbndb.com/covers/1.jpg", "https://images.isbndb.com/covers/1.jpg" },
	{ "http://images.isbndb.com/covers/1.jpg", NULL },
	{ "ftp://images.isbndb.com/covers/1.jpg", NULL },
	{ "javascript:alert(1)//https://", NULL },
	{ "https://x/\"><script>", NULL },
	{ "https://x.example/a b.jpg", NULL },
	{ "https://", NULL },
	{ "", NULL },
};

/* Covers are https or none, large, and name their source; the other sizes are left alone. */
static void test_covers(void **state)
{
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(covers); i++) {
		struct bf_edition e = edition_of(
			BF_ISBNDB, (struct bf_record){ .cover_url = covers[i].in }, arena);

		if (strcmp(e.cover_large ? e.cover_large : "-",
			    covers[i].out ? covers[i].out : "-") != 0)
			fail_msg("%s: %s", covers[i].in, e.cover_large ? e.cover_large : "NULL");
		assert_string_equal(
			e.cover_source ? e.cover_source : "-", covers[i].out ? "isbndb" : "-");
		assert_null(e.cover_medium);
		assert_null(e.cover_small);
	}
	bf_arena_free(arena);
}

/* Long descriptions lose markup and what a cut left of it; every byte of the rest stays. */
static void test_descriptions(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	char text[1001];
	struct bf_edition e;

	(void)state;
	e = edition_of(BF_ISBNDB,
		(struct bf_record){ .description =
					    "<p>One.</p><p>Two &ndash; <b>th</b>ree.<br />"
					    "<a href=\"x\" title='y'>four</a><!-- 5 --></p>" },
		arena);
	assert_string_equal(e.description, "One. Two \u2013 three. four");
	memset(text, 'a', sizeof(text));
	text[1000] = '\0';
	memcpy(text + 996, " &am", 4);
	e = edition_of(BF_ISBNDB, (struct bf_record){ .description = text }, arena);
	assert_int_equal(strlen(e.description), 996);
	memcpy(text + 995, "a<br ", 5);
	text[999] = '\0';
	e = edition_of(BF_ISBNDB, (struct bf_record){ .description = text }, arena);
	assert_int_equal(strlen(e.description), 996);
	bf_arena_free(arena);
}

/* The two services that know only years write them as the first instant of January. */
static void test_year_only_dates(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_record first = { .date = "2004-01-01T00:00:00Z" };
	struct bf_record other = { .date = "2004-05-01T00:00:00Z" };

	(void)state;
	assert_string_equal(edition_of(BF_WIKIDATA, first, arena).publication_date, "2004");
	assert_string_equal(edition_of(BF_ARCHIVE_ORG, first, arena).publication_date, "2004");
	assert_string_equal(edition_of(BF_ISBNDB, first, arena).publication_date, "2004-01-01");
	assert_string_equal(edition_of(BF_WIKIDATA, other, arena).publication_date, "2004-05-01");
	bf_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_languages),
		cmocka_unit_test(test_two_letter_codes),
		cmocka_unit_test(test_subject_tags),
		cmocka_unit_test(test_titles),
		cmocka_unit_test(test_colons),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_year_only_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

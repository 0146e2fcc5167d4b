/*
 * normal: one form for the texts of records.
 *
 * Entities are decoded, tags of HTML taken out where they are expected, control characters and
 * characters of no width dropped (joiners stay where a script spells with them), every kind of
 * space is one space, and what is left is NFC and trimmed. A text of which nothing is left is not
 * known.
 */
#include "fold.h"
#include "merge.h"
#include "title.h"
#include "words.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#define COVER_URL_MAX 1000

/* Tags whose place a space takes, and tags inside words. All else in angle brackets is text. */
static const char block_tags[] = "p br div li ul ol dl dt dd h1 h2 h3 h4 h5 h6 hr table tr td th "
				 "tbody thead blockquote center pre section article img";
static const char inline_tags[] = "b i u em strong span a font small big sub sup s strike tt cite "
				  "code q abbr wbr del ins mark";

/* Decodes entities; room is for three times the length, since a bad byte becomes U+FFFD. */
static size_t decode(const char *s, size_t n, char *out)
{
	size_t at = 0, len = 0;

	while (at < n) {
		int32_t cp;
		size_t used = fold_entity(s + at, n - at, &cp);

		if (used == 0)
			used = fold_next(s + at, n - at, &cp);
		len += (size_t)utf8proc_encode_char(cp, (utf8proc_uint8_t *)out + len);
		at += used;
	}
	return len;
}

/* Bytes of the tag at s, 0 when it is none; *ret_space: it parts words. */
static size_t tag_at(const char *s, size_t n, bool *ret_space)
{
	char name[12];
	size_t at = 1, len = 0;
	const char *end;

	*ret_space = true;
	if (n >= 7 && memcmp(s, "<!--", 4) == 0) {
		end = memmem(s + 4, n - 4, "-->", 3);
		return end != NULL ? (size_t)(end - s) + 3 : 0;
	}
	at += n > 1 && s[1] == '/';
	while (at < n && len < sizeof(name) &&
		((s[at] >= '0' && s[at] <= '9') || ((s[at] | 32) >= 'a' && (s[at] | 32) <= 'z')))
		name[len++] = (char)(s[at++] | 32); /* digits have that bit already */
	if (len == 0 || at >= n || strchr(" />\t\r\n", s[at]) == NULL)
		return 0;
	*ret_space = words_in(name, len, block_tags);
	if (!*ret_space && !words_in(name, len, inline_tags))
		return 0;
	end = memchr(s + at, '>', n - at < 500 ? n - at : 500);
	return end != NULL ? (size_t)(end - s) + 1 : 0;
}

/* Takes the tags out, in place. */
static size_t drop_tags(char *s, size_t n)
{
	size_t at = 0, len = 0;

	while (at < n) {
		bool space;
		size_t used = s[at] == '<' ? tag_at(s + at, n - at, &space) : 0;

		if (used == 0) {
			s[len++] = s[at++];
			continue;
		}
		if (space)
			s[len++] = ' ';
		at += used;
	}
	return len;
}

/* Has no width and no meaning: marks of direction, soft hyphens, byte order marks, joiners where
 * letters do not join. */
static bool is_invisible(int32_t cp, int32_t before)
{
	if (cp == 0x200C || cp == 0x200D)
		return before < 0x0600;
	return cp == 0xAD || cp == 0x034F || cp == 0x061C || cp == 0x180E || cp == 0x200B ||
		cp == 0x200E || cp == 0x200F || (cp >= 0x202A && cp <= 0x202E) ||
		(cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || (cp >= 0xFFF9 && cp <= 0xFFFB) ||
		(cp & 0xFFFE) == 0xFFFE;
}

/* Spaces to one space, the unseen out, in place; neither begins nor ends with a space. */
static size_t squeeze(char *s, size_t n)
{
	size_t at = 0, len = 0;
	int32_t before = ' ', cp;
	bool gap = false;

	while (at < n) {
		size_t used = fold_next(s + at, n - at, &cp);
		utf8proc_category_t cat = utf8proc_category(cp);

		if (cat == UTF8PROC_CATEGORY_ZS || cat == UTF8PROC_CATEGORY_ZL ||
			cat == UTF8PROC_CATEGORY_ZP || (cp >= '\t' && cp <= '\r') || cp == 0x85) {
			gap = true;
		} else if (cat != UTF8PROC_CATEGORY_CC && !is_invisible(cp, before)) {
			if (gap && len > 0)
				s[len++] = ' ';
			gap = false;
			memmove(s + len, s + at, used);
			len += used;
			before = cp;
		}
		at += used;
	}
	while (len >= 3 &&
		(memcmp(s + len - 3, "\u200c", 3) == 0 || memcmp(s + len - 3, "\u200d", 3) == 0))
		len -= 3;
	return len;
}

/* A character cut in two by someone's limit leaves `&am` or `<a hr` behind. */
static size_t drop_torn_end(const char *s, size_t n)
{
	size_t back = 0;

	while (back < 12 && back < n) {
		char c = s[n - 1 - back];

		if (c == '&' || (c == '<' && back > 0 && s[n - back] != ' '))
			return n - 1 - back;
		if (c == ' ' || c == ';' || c == '>')
			return n;
		back++;
	}
	return n;
}

const char *normal_text(const char *text, size_t max, int markup, struct bf_arena *arena)
{
	size_t n = text != NULL ? strlen(text) : 0, len;
	utf8proc_uint8_t *nfc = NULL;
	const char *ret = NULL;
	char *buf;

	if (n == 0)
		return NULL;
	buf = bf_xmalloc(3 * n + 1);
	if (markup == NORMAL_MARKUP && n >= 900)
		n = drop_torn_end(text, n);
	len = decode(text, n, buf);
	if (markup == NORMAL_MARKUP)
		len = drop_tags(buf, len);
	len = squeeze(buf, len);
	buf[len] = '\0';
	if (len > 0 &&
		utf8proc_map((const utf8proc_uint8_t *)buf, (utf8proc_ssize_t)len, &nfc,
			UTF8PROC_STABLE | UTF8PROC_COMPOSE) > 0) {
		len = bf_utf8_cut((const char *)nfc, strlen((const char *)nfc), max);
		while (len > 0 && nfc[len - 1] == ' ')
			len--;
		ret = len > 0 ? bf_arena_strndup(arena, (const char *)nfc, len) : NULL;
	}
	free(nfc);
	free(buf);
	return ret;
}

/* Bindings by what is found in the folded text, the first that fits; "": words that say nothing. */
static const struct {
	const char *words;
	bool whole;
	const char *format;
} formats[] = {
	{ "unknown|unknown binding|n a|na|none|other|book|books|print|text|not specified|undefined",
		true, "" },
	{ "large print|large type", false, "large print" },
	{ "braille", false, "braille" },
	{ "mass market|mass paperback|mmpb", false, "mass market paperback" },
	{ "library binding|library bound|turtleback|bound for schools|prebound", false,
		"library binding" },
	{ "board book|board books|boardbook", false, "board book" },
	{ "board", true, "board book" },
	{ "box set|boxed set|boxset|box sets|slipcase", false, "box set" },
	{ "audiobook|audio book|audio cd|audio cassette|mp3 cd|audible|audio download|audiolibro|"
	  "horbuch|sound recording|preloaded digital audio player|livre audio",
		false, "audiobook" },
	{ "audio|cd|cassette|cd audio", true, "audiobook" },
	{ "ebook|e book|kindle|epub|nook|electronic|online resource|digital", false, "ebook" },
	{ "pdf|mobi|azw3", true, "ebook" },
	{ "spiral|wire bound|wire o|ring bound|comb bound", false, "spiral-bound" },
	{ "loose leaf|looseleaf", false, "loose-leaf" },
	{ "leather bound|leather|leatherbound|bonded leather", false, "leather bound" },
	{ "hardcover|hard cover|hardback|hard back|hardbound|hardcover with dust jacket|"
	  "gebundene ausgabe|gebundenes buch|gebunden|tapa dura|relie|copertina rigida|capa dura",
		false, "hardcover" },
	{ "cloth|hc|hbk|hb|hard|bound|cased", true, "hardcover" },
	{ "paperback|paper back|softcover|soft cover|softback|perfect bound|trade paper|"
	  "taschenbuch|broche|tapa blanda|brossura|copertina flessibile|capa mole|rustica",
		false, "paperback" },
	{ "pbk|pb|paper|soft|poche|trade|tp", true, "paperback" },
};

/* Do the words stand in the text, as whole words? */
static bool has_words(const char *text, const char *words, size_t len)
{
	for (const char *at = text; (at = memmem(at, strlen(at), words, len)) != NULL; at++)
		if ((at == text || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
			return true;
	return false;
}

const char *normal_format(const char *binding, struct bf_arena *arena)
{
	const char *text = normal_text(binding, 60, NORMAL_PLAIN, arena);
	char folded[128];

	if (text == NULL)
		return NULL;
	bf_fold(text, folded, sizeof(folded));
	if (folded[0] == '\0')
		return NULL;
	for (size_t i = 0; i < BF_COUNT(formats); i++) {
		for (const char *w = formats[i].words; *w != '\0';) {
			size_t len = strcspn(w, "|");

			if (formats[i].whole ? strlen(folded) == len && !memcmp(folded, w, len)
					     : has_words(folded, w, len))
				return formats[i].format[0] != '\0' ? formats[i].format : NULL;
			w += len + (w[len] == '|');
		}
	}
	return text;
}

const char *normal_cover(const char *url, struct bf_arena *arena)
{
	size_t n = url != NULL ? strlen(url) : 0;

	if (n < 12 || n > COVER_URL_MAX || strncasecmp(url, "https://", 8) != 0)
		return NULL;
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || strchr("\"<>\\^`{|}\177", *p) != NULL)
			return NULL;
	return bf_arena_printf(arena, "https://%s", url + 8);
}

/* What the services' addresses tell; a picture of unknown size counts as large: it stays. */
int normal_cover_size(const char *url)
{
	if (url == NULL || url[0] == '\0')
		return 0;
	if (strstr(url, "-S.jpg") != NULL || strstr(url, "zoom=1") != NULL ||
		strstr(url, "zoom=5") != NULL)
		return 1;
	if (strstr(url, "-M.jpg") != NULL || strstr(url, "/services/img/") != NULL)
		return 2;
	return 3;
}

/* Is the whole of main numbers, or a name under which the subtitles are the titles? */
static bool keeps_its_colon(const struct title *t)
{
	char main[BF_KEY_MAX];
	bool letters = false;

	title_join(t, 0, t->n_main, main, sizeof(main));
	for (const char *p = main; *p != '\0'; p++)
		letters = letters || (*p >= 'a' && *p <= 'z') || (unsigned char)*p >= 0x80;
	return !letters || kinds_is_franchise(main);
}

/*
 * The rule: one colon with a space behind it and no brackets; before it one to four words that are
 * not only numbers (`2001: A Space Odyssey` is one title) and no franchise (`Star Wars: ...`);
 * after it words that say no more than what kind of book it is (`A Novel`, `A Memoir`), or at least
 * two that begin with `A` or `An` (`Sapiens: A Brief History of Humankind`). All else stays whole,
 * and so does what is a summary, a set, a volume or the like: there the words behind the colon tell
 * it apart.
 */
const char *normal_split(const char *title, struct bf_arena *arena, const char **ret_subtitle)
{
	const char *colon = title != NULL ? strstr(title, ": ") : NULL, *tail;
	struct title whole, main, rest;
	char *head;
	bool generic, article;

	*ret_subtitle = NULL;
	if (colon == NULL || colon == title || strpbrk(title, "([{") != NULL ||
		strchr(colon + 1, ':') != NULL || strchr(title, ':') != colon)
		return title;
	title_parse(&whole, title, NULL);
	if (kinds_of_title(&whole) != 0 || whole.volume != 0)
		return title;
	tail = colon + 2;
	head = bf_arena_strndup(arena, title, (size_t)(colon - title));
	title_parse(&main, head, NULL);
	if (main.n_words < 1 || main.n_words > 5 || main.n_all < 1 || main.n_all > 4 ||
		main.n_parts != 1 || keeps_its_colon(&main))
		return title;
	title_parse(&rest, tail, NULL);
	article = strncasecmp(tail, "a ", 2) == 0 || strncasecmp(tail, "an ", 3) == 0;
	generic = rest.n_words > 0 && kinds_part_is_generic(&rest, 0, rest.n_words);
	if (!generic && !(article && rest.n_words >= 3))
		return title;
	while (head[0] != '\0' && head[strlen(head) - 1] == ' ')
		head[strlen(head) - 1] = '\0';
	*ret_subtitle = bf_arena_strdup(arena, tail);
	return head;
}

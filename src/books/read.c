/*
 * read: the books in an AI's answer.
 *
 * Models wrap what they were asked for: in a Markdown fence, in a sentence before and after, in an
 * object under any name, in a string once more, or the answer ends in mid-word. All that is
 * unwrapped; the items themselves are not: an item without a usable title, author and year is
 * dropped and counted. What is no list of books is a refusal when it reads like language, and
 * garbage otherwise.
 */
#include <string.h>
#include <strings.h>
#include <utf8proc.h>
#include "backfill/books.h"

#define BOOKS_MAX 500		/* far more than a month may ask for */
#define TRIES_MAX 24		/* places in a text at which JSON is looked for */
#define NESTING_MAX 4		/* objects around the list */

struct reader {
	struct bf_arena *arena;
	struct bf_book_list *list;
	int asked_year;
};

/* Text in one line: control characters and runs of spaces become one space, ends trimmed; NULL when
 * nothing is left. */
static char *one_line(struct bf_arena *arena, const char *s)
{
	char *out;
	size_t len = 0;

	if (s == NULL)
		return NULL;
	out = bf_arena_alloc(arena, strlen(s) + 1);
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s > ' ' && *s != 0x7F)
			out[len++] = *s;
		else if (len > 0 && out[len - 1] != ' ')
			out[len++] = ' ';
	}
	if (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
	return len > 0 ? out : NULL;
}

/* Code points, not bytes. */
static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

/* A string member under either name, in one line. */
static char *member_text(struct reader *r, struct bf_jval item, const char *name, const char *other)
{
	struct bf_jval v = bf_json_get(item, name);

	if (bf_json_type(v) != BF_J_STRING && other != NULL)
		v = bf_json_get(item, other);
	return bf_json_type(v) == BF_J_STRING ? one_line(r->arena, bf_json_str(v, r->arena)) : NULL;
}

/* The same, cut to so many bytes: for what is only kept, not compared. */
static const char *member_cut(struct reader *r, struct bf_jval item, const char *name,
			      const char *other, size_t max)
{
	char *s = member_text(r, item, name, other);

	if (s != NULL && strlen(s) > max)
		s[bf_utf8_cut(s, strlen(s), max)] = '\0';
	return s;
}

/* One author: a string, or an object with a name. */
static char *author_text(struct reader *r, struct bf_jval v)
{
	if (bf_json_type(v) == BF_J_OBJECT)
		return member_text(r, v, "name", "author");
	return bf_json_type(v) == BF_J_STRING ? one_line(r->arena, bf_json_str(v, r->arena)) : NULL;
}

/* author or authors, a string or a list; several are joined by ';'. */
static char *read_author(struct reader *r, struct bf_jval item)
{
	struct bf_jval v = bf_json_get(item, "author");
	char *all = NULL;

	if (bf_json_type(v) == BF_J_ABSENT || bf_json_type(v) == BF_J_NULL)
		v = bf_json_get(item, "authors");
	if (bf_json_type(v) != BF_J_ARRAY)
		return author_text(r, v);
	for (struct bf_jval a = bf_json_first(v); bf_json_type(a); a = bf_json_next(a)) {
		char *one = author_text(r, a);

		if (one != NULL && (all == NULL || strlen(all) < 2000))
			all = all != NULL ? bf_arena_printf(r->arena, "%s;%s", all, one) : one;
	}
	return all;
}

/* 1900..2100 as a number, as digits, or at the head of a date; 0 otherwise. */
static int read_year(struct reader *r, struct bf_jval item)
{
	struct bf_jval v = bf_json_get(item, "publication_year");
	int64_t year = 0;

	if (bf_json_type(v) == BF_J_ABSENT || bf_json_type(v) == BF_J_NULL)
		v = bf_json_get(item, "year");
	if (bf_json_type(v) == BF_J_STRING) {
		const char *s = one_line(r->arena, bf_json_str(v, r->arena));

		if (s == NULL || strspn(s, "0123456789") != 4 ||
		    (s[4] != '\0' && s[4] != '-' && s[4] != '/'))
			return 0;
		year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
	} else if (!bf_json_int(v, &year)) {
		return 0;
	}
	return year >= 1900 && year <= 2100 ? (int)year : 0;
}

/* The item's ISBN if it is one beyond doubt. */
static const char *read_isbn(struct reader *r, struct bf_jval item)
{
	static const char *const names[] = { "isbn13", "isbn_13", "isbn", "isbn10", "isbn_10" };
	char isbn[14];

	for (size_t i = 0; i < BF_COUNT(names); i++) {
		struct bf_jval v = bf_json_get(item, names[i]);
		const char *s = bf_json_str(v, r->arena);

		if (s != NULL && bf_isbn_canon(s, strlen(s), isbn) == BF_ISBN_OK &&
		    !bf_isbn_suspect(isbn))
			return bf_arena_strdup(r->arena, isbn);
	}
	return NULL;
}

/* Can the text be found again: a letter or digit in it, and no lost bytes? */
static bool has_letter(const char *s)
{
	char folded[64];

	bf_fold(s, folded, sizeof(folded));
	/* U+FFFD stands where bytes were lost: the title is not what was meant */
	return folded[0] != '\0' && strstr(s, "\xEF\xBF\xBD") == NULL;
}

/* Reads one item; false when it is not a usable book. */
static bool read_book(struct reader *r, struct bf_jval item, struct bf_book *book)
{
	char *title, *author;

	if (bf_json_type(item) != BF_J_OBJECT)
		return false;
	title = member_text(r, item, "title", NULL);
	author = read_author(r, item);
	if (title == NULL || author == NULL || characters(title) > 500 ||
	    characters(author) > 300 || !has_letter(title) || !has_letter(author))
		return false;
	*book = (struct bf_book){ .title = title, .author = author, .year = read_year(r, item) };
	if (book->year == 0)
		return false;
	book->year_differs = r->asked_year != 0 && book->year != r->asked_year;
	book->subtitle = member_cut(r, item, "subtitle", NULL, 1000);
	book->publisher = member_cut(r, item, "publisher", NULL, 400);
	book->format = member_cut(r, item, "format", NULL, 100);
	book->language = member_cut(r, item, "language", NULL, 60);
	book->significance = member_cut(r, item, "significance", NULL, 4000);
	book->isbn13 = read_isbn(r, item);
	return true;
}

/* What an object says in place of books; NULL when it says nothing of the kind. */
static const char *refusal_words(struct reader *r, struct bf_jval object)
{
	static const char *const names[] = { "error",  "refusal", "message",
					     "reason", "note",	  "explanation" };

	for (size_t i = 0; i < BF_COUNT(names); i++) {
		struct bf_jval v = bf_json_get(object, names[i]);
		const char *s = bf_json_type(v) == BF_J_OBJECT ?
					member_cut(r, v, "message", "reason", 1000) :
					member_cut(r, object, names[i], NULL, 1000);

		if (s != NULL)
			return s;
		if (i < 2 && bf_json_type(v) != BF_J_ABSENT && bf_json_type(v) != BF_J_NULL)
			return "refused without saying why";
	}
	return NULL;
}

/* Members of an array or, keyed by number, of an object. */
static void read_items(struct reader *r, struct bf_jval items)
{
	struct bf_book_list *list = r->list;
	size_t size = bf_json_size(items), room = size < BOOKS_MAX ? size : BOOKS_MAX;
	const char *refused = NULL;

	list->books = bf_arena_alloc(r->arena, (room + 1) * sizeof(*list->books));
	list->n = list->dropped = 0;
	for (struct bf_jval v = bf_json_first(items); bf_json_type(v); v = bf_json_next(v)) {
		if (list->n < room && read_book(r, v, &list->books[list->n])) {
			list->n++;
			continue;
		}
		list->dropped++;
		if (refused == NULL && bf_json_type(v) == BF_J_OBJECT &&
		    bf_json_type(bf_json_get(v, "title")) == BF_J_ABSENT)
			refused = refusal_words(r, v);
	}
	if (list->n > 0) {
		list->outcome = BF_BOOKS_OK;
		list->reason = NULL;
	} else if (refused != NULL) {
		list->outcome = BF_BOOKS_REFUSED;
		list->reason = refused;
		list->dropped = 0;
	} else if (list->dropped > 0) {
		list->outcome = BF_BOOKS_GARBAGE;
		list->reason = bf_arena_printf(r->arena, "none of %zu items is a book",
					       list->dropped);
	} else {
		list->outcome = BF_BOOKS_EMPTY;
		list->reason = "an empty list";
	}
}

/* Is every member an object with a title? `{"1": {...}, "2": {...}}` */
static bool is_keyed_list(struct bf_jval object)
{
	if (bf_json_size(object) == 0)
		return false;
	for (struct bf_jval v = bf_json_first(object); bf_json_type(v); v = bf_json_next(v))
		if (bf_json_type(bf_json_get(v, "title")) == BF_J_ABSENT)
			return false;
	return true;
}

/* The list in an object: `books`, else its only array, else the only array of an object in it;
 * absent if there is none. */
static struct bf_jval find_list(struct bf_jval object, int depth)
{
	struct bf_jval found = bf_json_get(object, "books"), inner;
	unsigned arrays = 0;

	if (bf_json_type(found) == BF_J_ARRAY)
		return found;
	for (struct bf_jval v = bf_json_first(object); bf_json_type(v); v = bf_json_next(v)) {
		if (bf_json_type(v) == BF_J_ARRAY) {
			found = v;
			arrays++;
		}
	}
	if (arrays == 1)
		return found;
	for (struct bf_jval v = bf_json_first(object); depth > 0 && arrays == 0 && bf_json_type(v);
	     v = bf_json_next(v)) {
		if (bf_json_type(v) != BF_J_OBJECT)
			continue;
		inner = find_list(v, depth - 1);
		if (bf_json_type(inner) == BF_J_ARRAY || is_keyed_list(v))
			return bf_json_type(inner) == BF_J_ARRAY ? inner : v;
	}
	return (struct bf_jval){ NULL, -1 };
}

/* An object: a list under some name, one book, or words. */
static void read_object(struct reader *r, struct bf_jval root)
{
	struct bf_book_list *list = r->list;
	struct bf_jval items;
	const char *words;

	if (bf_json_type(bf_json_get(root, "title")) != BF_J_ABSENT) {
		list->books = bf_arena_alloc(r->arena, sizeof(*list->books));
		list->n = read_book(r, root, list->books);
		list->dropped = 1 - list->n;
		list->outcome = list->n > 0 ? BF_BOOKS_OK : BF_BOOKS_GARBAGE;
		list->reason = list->n > 0 ? NULL : "none of 1 items is a book";
		return;
	}
	items = find_list(root, NESTING_MAX);
	if (bf_json_type(items) == BF_J_ABSENT && is_keyed_list(root))
		items = root;
	if (bf_json_type(items) != BF_J_ABSENT)
		read_items(r, items);
	if (bf_json_type(items) != BF_J_ABSENT && list->outcome != BF_BOOKS_EMPTY)
		return;
	words = refusal_words(r, root);
	if (words != NULL) {
		list->outcome = BF_BOOKS_REFUSED;
		list->reason = words;
	} else if (bf_json_type(items) == BF_J_ABSENT) {
		list->outcome = bf_json_size(root) == 0 ? BF_BOOKS_EMPTY : BF_BOOKS_GARBAGE;
		list->reason = bf_json_size(root) == 0 ? "an empty object" :
							 "an object without a list";
	}
}

/* Reads a whole JSON text; false when it is none, or nothing that could be an answer. */
static bool read_json(struct reader *r, const char *text, size_t len, int depth)
{
	struct bf_error err;
	struct bf_json *doc = bf_json_parse(text, len, &bf_json_limits_default, false, &err);
	struct bf_jval root, inner;
	bool ok = true;

	if (doc == NULL)
		return false;
	root = bf_json_root(doc);
	switch (bf_json_type(root)) {
	case BF_J_ARRAY:
		/* [[{...}]] and [{"books": [...]}] */
		inner = bf_json_first(root);
		if (bf_json_size(root) == 1 && bf_json_type(inner) == BF_J_ARRAY)
			read_items(r, inner);
		else if (bf_json_size(root) == 1 &&
			 bf_json_type(find_list(inner, 0)) == BF_J_ARRAY &&
			 bf_json_type(bf_json_get(inner, "title")) == BF_J_ABSENT)
			read_object(r, inner);
		else
			read_items(r, root);
		break;
	case BF_J_OBJECT:
		read_object(r, root);
		break;
	case BF_J_STRING: {
		const char *s = bf_json_str(root, r->arena);

		ok = depth > 0 && s != NULL && strpbrk(s, "[{") != NULL &&
		     read_json(r, s, strlen(s), depth - 1);
		break;
	}
	case BF_J_NULL:
		r->list->outcome = BF_BOOKS_EMPTY;
		r->list->reason = "null";
		break;
	case BF_J_ABSENT:
	case BF_J_BOOL:
	case BF_J_NUMBER:
		ok = false;
		break;
	}
	bf_json_free(doc);
	return ok;
}

/* Reads what is left of a text that was cut off, or broken further on. */
static bool read_salvage(struct reader *r, const char *text, size_t len)
{
	struct bf_buf buf;
	bool ok;

	bf_buf_init(&buf, len + 256);
	ok = bf_json_salvage(text, len, &buf) && read_json(r, buf.data, buf.len, 0) &&
	     r->list->n > 0;
	if (ok)
		r->list->cut = true;
	bf_buf_release(&buf);
	return ok;
}

/* End of the bracketed value that starts at text[at]; 0 when it is never closed. */
static size_t value_end(const char *text, size_t len, size_t at)
{
	size_t depth = 0;
	bool string = false;

	for (; at < len; at++) {
		char c = text[at];

		if (string) {
			at += c == '\\';
			string = c != '"';
		} else if (c == '"') {
			string = true;
		} else if (c == '[' || c == '{') {
			depth++;
		} else if ((c == ']' || c == '}') && --depth == 0) {
			return at + 1;
		}
	}
	return 0;
}

/* Reads a closed but broken list object by object: one with a stray comma or quote in it costs
 * itself only. */
static bool read_piecemeal(struct reader *r, const char *text, size_t len)
{
	struct bf_book_list *list = r->list;
	struct bf_error err;
	size_t cap = 0, n = 0, wraps = 0, end;

	for (size_t at = 0; at < len; at++)
		cap += text[at] == '{';
	cap = cap < BOOKS_MAX ? cap : BOOKS_MAX;
	list->books = bf_arena_alloc(r->arena, (cap + 1) * sizeof(*list->books));
	list->dropped = 0;
	for (size_t at = 0; at < len && n < cap; at++) {
		struct bf_json *doc;
		struct bf_jval root;

		if (text[at] != '{')
			continue;
		end = value_end(text, len, at);
		if (end == 0)
			break;
		doc = bf_json_parse(text + at, end - at, &bf_json_limits_default, false, &err);
		root = bf_json_root(doc);
		if (doc != NULL && read_book(r, root, &list->books[n]))
			n++;
		else if (doc != NULL || ++wraps > NESTING_MAX ||
			 memmem(text + at, end - at, "\"books\"", 7) == NULL)
			list->dropped++;
		else
			end = at + 1;	/* the wrapping object: look inside */
		bf_json_free(doc);
		at = end - 1;
	}
	list->n = n;
	if (n > 0) {
		list->outcome = BF_BOOKS_OK;
		list->reason = NULL;
	}
	return n > 0;
}

/* Does something like JSON begin here? Brackets in prose are mostly followed by a letter. */
static bool starts_json(const char *text, size_t len, size_t at)
{
	if (text[at] != '[' && text[at] != '{')
		return false;
	for (at++; at < len; at++)
		if (strchr(" \t\r\n", text[at]) == NULL)
			return strchr("[{\"]}", text[at]) != NULL;
	return true;
}

/* Looks for the list inside other text: behind a fence, after a sentence. */
static bool read_embedded(struct reader *r, const char *text, size_t len)
{
	const char *fence = memmem(text, len, "```", 3);
	size_t at = 0;

	if (fence != NULL && (memchr(fence, '[', len - (size_t)(fence - text)) != NULL ||
			      memchr(fence, '{', len - (size_t)(fence - text)) != NULL))
		at = (size_t)(fence - text) + 3;
	for (int tries = 0; at < len && tries < TRIES_MAX; at++) {
		size_t end;

		if (!starts_json(text, len, at))
			continue;
		tries++;
		end = value_end(text, len, at);
		if (end != 0 && read_json(r, text + at, end - at, 1))
			return true;
		if (end != 0 ? read_piecemeal(r, text + at, end - at) :
			       read_salvage(r, text + at, len - at))
			return true;
		if (end != 0)
			at = end - 1;
	}
	return false;
}

/* Is it language: some words of letters, and hardly anything else? */
static bool is_prose(const char *s, size_t len)
{
	size_t letters = 0, other = 0, spaces = 0;

	if (len == 0 || memchr(s, '\0', len) != NULL || s[0] == '<')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c | 32) >= 'a' && (c | 32) <= 'z')
			letters++;
		else if (c >= 0x80)
			letters++;
		else if (c == ' ' || c == '\n')
			spaces++;
		else
			other++;
	}
	return letters >= 6 && other * 4 <= letters && (spaces > 0 || (unsigned char)s[0] >= 0x80);
}

/* Bytes that are no UTF-8 are replaced, so that one of them does not cost the whole answer. */
static const char *repair_utf8(struct bf_arena *arena, const char *text, size_t *len)
{
	char *out;
	size_t n = 0;

	if (bf_utf8_valid(text, *len))
		return text;
	out = bf_arena_alloc(arena, *len * 3 + 1);
	for (size_t at = 0; at < *len;) {
		utf8proc_int32_t cp;
		utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
							 (utf8proc_ssize_t)(*len - at), &cp);

		if (used > 0) {
			memcpy(out + n, text + at, (size_t)used);
			n += (size_t)used;
			at += (size_t)used;
		} else {
			memcpy(out + n, "\xEF\xBF\xBD", 3);
			n += 3;
			at++;
		}
	}
	*len = n;
	return out;
}

void bf_books_read(const char *text, size_t len, int asked_year, struct bf_arena *arena,
		   struct bf_book_list *ret)
{
	struct reader r = { arena, ret, asked_year };
	char *words;

	*ret = (struct bf_book_list) { .outcome = BF_BOOKS_GARBAGE,
				       .reason = "not a list of books" };
	text = text != NULL ? repair_utf8(arena, text, &len) : "";
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3;
		len -= 3;
	}
	while (len > 0 && strchr(" \t\r\n", *text) != NULL && *text != '\0') {
		text++;
		len--;
	}
	if (len == 0) {
		ret->reason = "an empty answer";
		return;
	}
	if (read_json(&r, text, len, 1) || read_embedded(&r, text, len))
		return;
	if (!starts_json(text, len, 0) && is_prose(text, len)) {
		ret->outcome = BF_BOOKS_REFUSED;
		words = one_line(arena,
				 bf_arena_strndup(arena, text, bf_utf8_cut(text, len, 1000)));
		ret->reason = words != NULL ? words : "words without books";
	}
}

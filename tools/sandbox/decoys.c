/*
 * decoys: what a search engine puts where the book should be. Each carries what a careful reader
 * can tell it by: another author, a telling word in the title, a number of volumes, another
 * language.
 */
#include <string.h>
#include "sandbox.h"

/* A name that is none of the work's authors. */
static const char *stranger(struct dice *d, struct bf_arena *arena)
{
	const char *fore = dice_pick(d, words_forenames, WORDS_FORENAMES);

	return bf_arena_printf(arena, "%s %s", fore, dice_pick(d, words_surnames, WORDS_SURNAMES));
}

/* A summary: sometimes it names the book's author as its own second one. */
static void summary(struct dice *d, const char *author, struct bf_arena *a, struct record *r)
{
	static const char *const houses[] = { "Capsule Digest", "Quarter-Hour Reads",
		"Penny Précis", "BriefShelf" };
	const char *house = dice_pick(d, houses, BF_COUNT(houses));
	const char *title = r->title;

	switch (dice_below(d, 4)) {
	case 0:
		r->title = bf_arena_printf(a, "Summary of %s", title);
		r->subtitle = bf_arena_printf(a, "by %s", author);
		break;
	case 1:
		r->title = bf_arena_printf(a, "%s by %s: Summary & Analysis", title, author);
		r->subtitle = "";
		break;
	case 2:
		r->title = bf_arena_printf(a, "SUMMARY: %s", title);
		r->subtitle = "Key Takeaways in Thirty Minutes";
		break;
	default:
		r->title = bf_arena_printf(a, "Summary and Analysis of %s", title);
		r->subtitle = bf_arena_printf(a, "Based on the Book by %s", author);
		break;
	}
	r->authors = dice_chance(d, 0.3) ? bf_arena_printf(a, "%s;%s", house, author) : house;
	r->publisher = house;
	r->pages = 38;
}

/* A study guide or a workbook, by a teacher nobody knows. */
static void companion(
	struct dice *d, bool workbook, const char *author, struct bf_arena *a, struct record *r)
{
	static const char *const guides[] = {
		"Study Guide: %s", "%s: A Study Guide", "%s (Study Notes)", "A Reader's Guide to %s"
	};
	static const char *const workbooks[] = { "Workbook for %s", "%s Workbook",
		"%s: Companion Workbook", "The Unofficial Workbook to %s" };
	const char *pattern = dice_pick(d, workbook ? workbooks : guides, 4);
	const char *at = strstr(pattern, "%s");

	r->title = bf_arena_printf(a, "%.*s%s%s", (int)(at - pattern), pattern, r->title, at + 2);
	r->subtitle = dice_chance(d, 0.5)
		? bf_arena_printf(a, "An Independent Companion to the Book by %s", author)
		: "";
	r->authors = stranger(d, a);
	r->publisher = "Lamp & Slate Learning";
	r->pages = 96;
}

/* Several volumes in one: by the right author, and the title begins like the book's. */
static void box_set(struct dice *d, const char *author, struct bf_arena *a, struct record *r)
{
	const char *other = dice_pick(d, words_nouns, WORDS_NOUNS);

	switch (dice_below(d, 3)) {
	case 0:
		r->title = bf_arena_printf(a, "%s Boxed Set", r->title);
		break;
	case 1:
		r->title = bf_arena_printf(a, "%s Collection 3 Books Set (%s, The %s, The Last %s)",
			author, r->title, other, other);
		break;
	default:
		r->title = bf_arena_printf(a, "%s / The %s", r->title, other);
		r->subtitle = "Two Novels in One Volume";
		break;
	}
	r->binding = "Boxed Set";
	r->pages *= 3;
}

/* Another book of the same author whose title holds the whole title. A number or a word behind a
 * title that has a volume's number or an open bracket could be read as part of it. */
static void sequel(struct dice *d, struct bf_arena *a, struct record *r)
{
	static const char *const patterns[] = { "Return to %s", "After %s", "Beyond %s",
		"The Making of %s", "%s Revisited", "%s 2", "%s Reckoning" };
	bool plain = !*r->series && !strchr(r->title, '(');
	const char *pattern = dice_pick(d, patterns, plain ? BF_COUNT(patterns) : 4);
	const char *at = strstr(pattern, "%s");

	r->title = bf_arena_printf(a, "%.*s%s%s", (int)(at - pattern), pattern, r->title, at + 2);
	r->year += 2;
}

/* The same book in another language; its title betrays it only sometimes, its language always. */
static void translation(struct dice *d, struct bf_arena *a, struct record *r)
{
	static const struct { const char *code, *name, *house; } known[] = {
		{ "ger", "German Edition", "Lindenhof Verlag" },
		{ "fre", "French Edition", "Éditions du Quai" },
		{ "rus", "Russian Edition", "Severny Dom" },
	};
	size_t i = 0;

	while (i + 1 < BF_COUNT(known) && strcmp(known[i].code, r->language))
		i++;
	if (dice_chance(d, 0.5))
		r->title = bf_arena_printf(a, "%s (%s)", r->title, known[i].name);
	r->publisher = known[i].house;
	r->series = "";
	r->year++;
}

/* Turns the first edition's record into a decoy. */
void decoys_dress(const struct work *k, enum decoy kind, struct bf_arena *a, struct record *r)
{
	const char *author = "";
	struct dice d;

	dice_init(&d, 0, "dress", k->id, kind);
	(void)spelling_names(k->authors, a, &author, 1);
	r->binding = "Paperback";
	switch (kind) {
	case DECOY_SUMMARY:
		summary(&d, author, a, r);
		r->series = "";
		break;
	case DECOY_STUDY_GUIDE:
	case DECOY_WORKBOOK:
		companion(&d, kind == DECOY_WORKBOOK, author, a, r);
		r->series = "";
		break;
	case DECOY_BOX_SET:
		box_set(&d, author, a, r);
		break;
	case DECOY_SEQUEL:
		sequel(&d, a, r);
		r->subtitle = r->series = "";
		break;
	case DECOY_SAME_TITLE:
		r->authors = stranger(&d, a);
		r->subtitle = r->series = "";
		r->publisher = "Marlowe & Sons";
		r->year -= (int)dice_below(&d, 20);
		break;
	case DECOY_TRANSLATION:
		translation(&d, a, r);
		break;
	case DECOY_LARGE_PRINT:
		r->title = bf_arena_printf(a, "%s (Large Print)", r->title);
		r->binding = "Large Print";
		r->publisher = "Wide Margin Large Print";
		r->series = "";
		break;
	case DECOY_KINDS:
		break;
	}
}

/*
 * details: what a record says beside title, names and ISBN: blurbs with mark-up, subjects in any
 * case, publishers and names as each catalogue has them, covers. Everything follows from the work
 * or the edition, so two providers differ in words and never in what they speak of.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

static const char *const openings[] = {
	"In <i>%s</i>, a quiet winter in a harbour town ends with a letter that nobody sent.",
	"%s follows three sisters, one debt &amp; the house that outlived them all.",
	"When the river rises for the second time that year, everyone has something to hide.",
	"<p><b>A bestseller in nine countries.</b></p><p>%s tells of a promise kept too long.",
	"Written over ten years, %s asks what we owe to those who raised us &mdash; if anything.",
	"A cartographer&#39;s daughter, a stolen survey, an island that is on no chart.",
	"Part inquiry, part confession: a reporter returns to the case that made her name."
};
static const char *const middles[] = {
	"By turns funny and grave, it moves between two centuries without ever losing its thread.",
	"What begins as a favour becomes a search,<br/>and then something like a trial.",
	"Drawing on letters, ledgers &amp; interviews, the author shows how little was inevitable.",
	"&ldquo;Nobody leaves this valley twice,&rdquo; her grandmother used to say.",
	"There are maps, there is a dog, and there is a secret that the reader learns too early."
};
static const char *const endings[] = {
	"With a new afterword.", "Includes a conversation with the author.",
	"Named a book of the year by several papers.<br />", "Soon to be a television series.", ""
};
/* Each work has four of a kind; every provider picks among them and spells them its own way. */
static const char *const subjects[][4] = {
	{ "Fiction", "Family life", "Sisters", "Domestic fiction" },
	{ "Science Fiction", "Space colonies", "Life on other planets", "Artificial intelligence" },
	{ "History", "World War, 1939-1945", "Europe", "Diplomacy" },
	{ "Biography & Autobiography", "Women authors", "Memoir", "Journalists" },
	{ "Fantasy", "Magic", "Quests (Expeditions)", "Imaginary places" },
	{ "Mystery & Detective", "Murder", "Police", "Detective and mystery stories" },
	{ "Juvenile Fiction", "Friendship", "Schools", "Coming of age" },
	{ "Business & Economics", "Leadership", "Success", "Organizational behavior" }
};

/* The stream of throws for this record at this provider, apart from the one that spells it. */
void details_dice(const struct request *r, const struct record *k, struct dice *d)
{
	dice_init(d, dice_hash(r->knobs->seed, "details", r->provider, 0), "record", k->hit.work,
		k->hit.slot);
}

/* The pattern with the title in it where it asks for one. */
static const char *with_title(const char *pattern, const char *title, struct bf_arena *a)
{
	const char *at = strstr(pattern, "%s");

	if (!at)
		return pattern;
	return bf_arena_printf(a, "%.*s%s%s", (int)(at - pattern), pattern,
		spelling_entities(title, a), at + 2);
}

/* A blurb of two or three sentences with mark-up and entities; one in fifty is many pages long. */
const char *details_synopsis(const struct record *k, struct dice *d, struct bf_arena *a)
{
	uint64_t about = dice_hash(0, "about", k->hit.work, k->hit.slot < SLOT_DECOY ? 0 : 1);
	const char *text = with_title(openings[about % BF_COUNT(openings)], k->title, a);

	text = bf_arena_printf(
		a, "%s %s", text, middles[about / 16 % BF_COUNT(middles)]);
	if (dice_chance(d, 0.5))
		text = bf_arena_printf(a, "%s %s", text, dice_pick(d, endings, BF_COUNT(endings)));
	if (!dice_chance(d, 0.02))
		return text;
	while (strlen(text) < 6000)
		text = bf_arena_printf(a, "%s<br/><br/>%s %s", text,
			dice_pick(d, middles, BF_COUNT(middles)),
			dice_pick(d, middles, BF_COUNT(middles)));
	return text;
}

/* A copy in capitals or small letters. */
static const char *cased(const char *text, bool capitals, struct bf_arena *a)
{
	char *out = bf_arena_strdup(a, text);

	for (char *p = out; *p; p++)
		*p = (char)(capitals ? toupper((unsigned char)*p) : tolower((unsigned char)*p));
	return out;
}

/* Up to DETAILS_SUBJECTS subjects; some twice in different case, some with blanks around. */
size_t details_subjects(const struct record *k, struct dice *d, struct bf_arena *a,
	const char *ret[DETAILS_SUBJECTS])
{
	const char *const *own =
		subjects[dice_hash(0, "subjects", k->hit.work, 0) % BF_COUNT(subjects)];
	size_t n = 0;

	for (size_t i = 0; i < 4; i++) {
		if (i && dice_chance(d, 0.35))
			continue;
		switch (dice_below(d, 8)) {
		case 0:
			ret[n++] = cased(own[i], true, a);
			break;
		case 1:
			ret[n++] = cased(own[i], false, a);
			break;
		case 2:
			ret[n++] = bf_arena_printf(a, " %s  ", own[i]);
			break;
		default:
			ret[n++] = own[i];
			break;
		}
	}
	if (dice_chance(d, 0.15))
		ret[n++] = cased(own[0], true, a);
	return n;
}

/* The publisher as this catalogue has it. */
const char *details_publisher(const struct record *k, struct dice *d, struct bf_arena *a)
{
	switch (dice_below(d, 12)) {
	case 0:
		return cased(k->publisher, true, a);
	case 1:
		return bf_arena_printf(a, "%s, Inc.", k->publisher);
	case 2:
		return strchr(k->publisher, '&') ? spelling_entities(k->publisher, a)
						 : bf_arena_printf(a, "%s ", k->publisher);
	case 3:
		return bf_arena_printf(a, "%s Ltd", k->publisher);
	}
	return k->publisher;
}

/* A name with its forename cut to an initial: "S. King"; names of one word stay. */
const char *details_initials(const char *name, struct bf_arena *a)
{
	const char *space = strrchr(name, ' ');

	if (!space || !isascii((unsigned char)*name) || strchr(name, ',') ||
		name[strlen(name) - 1] == '.')
		return name;
	return bf_arena_printf(a, "%c.%s", *name, space);
}

/* The cover; its scheme as odd as in the field. NULL when there is none. */
const char *details_cover(const struct record *k, struct dice *d, struct bf_arena *a)
{
	static const char *const schemes[] = { "https", "https", "https", "http", "http", "Https" };

	if (dice_chance(d, 0.08))
		return NULL;
	return bf_arena_printf(a, "%s://images.isbndb.com/covers/%s.jpg",
		dice_pick(d, schemes, BF_COUNT(schemes)), k->isbn13);
}

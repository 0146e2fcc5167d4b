/*
 * world: what exists. Works are the catalogue's, further ones known to the sandbox (generated) and
 * ones that only an AI believes in (invented). The words of a generated or invented title spell its
 * id, so a work is found from its title, or from its ISBN, without a list of what was ever named.
 * Every edition and decoy has a valid ISBN of its own that leads back to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

/*
 * Synthetic ISBNs: an index (work * 16 + slot) is spread over the eight digits behind the group
 * by an affine map modulo a prime, which can be turned round. The digits begin with 1-9, clear
 * of the low registrants that look suspect. An index whose ISBN the catalogue has already, or
 * that looks like junk, moves to the upper half of the space.
 */
#define ISBN_PRIME	89999999u
#define ISBN_FACTOR	38196601u
#define ISBN_OFFSET	27182818u
#define ISBN_LOW	10000000u
#define ISBN_UPPER_HALF 45000000u
#define INDEX_GENERATED (600000u * SLOTS)
#define INDEX_INVENTED	(INDEX_GENERATED + WORK_SPACE * SLOTS)
#define INDEX_END	(INDEX_INVENTED + WORK_SPACE * SLOTS)

_Static_assert(INDEX_END < ISBN_UPPER_HALF, "indexes fit the lower half");
_Static_assert((uint64_t)INDEX_END + ISBN_UPPER_HALF < ISBN_PRIME, "and again the upper one");

#define GENERATED_PER_MONTH 256u
#define CODE_MASK	    (WORK_SPACE - 1)

static const char *const publishers[] = { "Harrow & Finch", "Northlight Books",
	"Calder Street Press", "Tidewater House", "Quarto Lane", "Bellwether Editions",
	"Marlowe & Sons", "Greyfriars Press", "Ninth Wave Books", "Orchard Hill" };
/* The first two are what a work first comes out in; its other editions take from behind them. */
static const char *const bindings[] = { "Hardcover", "Paperback", "Mass Market Paperback",
	"Audio CD", "Kindle Edition", "Library Binding" };

/* Spreads the 20 bits of a month's counter so that neighbours share no words; a bijection. */
static uint32_t scramble(uint32_t x)
{
	x = (x * 0x3c6efu) & CODE_MASK;
	x ^= x >> 10;
	return (x * 0x9e373u) & CODE_MASK;
}

/* The inverse of an odd number modulo 2^20, by Newton's iteration. */
static uint32_t inverse(uint32_t odd)
{
	uint32_t r = odd;

	for (int i = 0; i < 5; i++)
		r *= 2 - odd * r;
	return r & CODE_MASK;
}

/* Undoes scramble. */
static uint32_t unscramble(uint32_t x)
{
	x = (x * inverse(0x9e373u)) & CODE_MASK;
	x ^= x >> 10;
	return (x * inverse(0x3c6efu)) & CODE_MASK;
}

/* The i-th generated work of a month. */
uint32_t world_generated_id(int year, int month, uint32_t i)
{
	return WORK_GENERATED |
		scramble((uint32_t)catalogue_month(year, month) * GENERATED_PER_MONTH + i);
}

/* "Forename Surname", now and then with initials. */
static const char *person(uint64_t hash, struct bf_arena *arena)
{
	struct dice d;
	const char *fore, *sur, *second;

	dice_init(&d, 0, "person", hash, 0);
	fore = dice_pick(&d, words_forenames, WORDS_FORENAMES);
	second = dice_pick(&d, words_forenames, WORDS_FORENAMES);
	sur = dice_pick(&d, words_surnames, WORDS_SURNAMES);
	if (dice_chance(&d, 0.1))
		return bf_arena_printf(arena, "%c.%c. %s", *fore, *second, sur);
	if (dice_chance(&d, 0.1))
		return bf_arena_printf(arena, "%s %c. %s", fore, *second, sur);
	return bf_arena_printf(arena, "%s %s", fore, sur);
}

/* The title that spells a generated work's code. */
static const char *generated_title(uint32_t code, struct bf_arena *arena)
{
	const char *a = words_adjectives[code % WORDS_ADJECTIVES];
	const char *n = words_nouns[code / WORDS_ADJECTIVES % WORDS_NOUNS];
	const char *p = words_places[code / WORDS_ADJECTIVES / WORDS_NOUNS];

	switch (dice_hash(0, "pattern", code, 0) % 4) {
	case 0:
		return bf_arena_printf(arena, "The %s %s of %s", a, n, p);
	case 1:
		return bf_arena_printf(arena, "%s %s in %s", a, n, p);
	case 2:
		return bf_arena_printf(arena, "Beyond the %s %s of %s", a, n, p);
	}
	return bf_arena_printf(arena, "The %s %s from %s", a, n, p);
}

/* The title that spells an invented work's code. */
static const char *invented_title(uint32_t code, struct bf_arena *arena)
{
	const char *a = words_adjectives[code % WORDS_ADJECTIVES];
	const char *n = words_nouns[code / WORDS_ADJECTIVES % WORDS_NOUNS];
	const char *p = words_people[code / WORDS_ADJECTIVES / WORDS_NOUNS];

	switch (dice_hash(0, "pattern", code, 1) % 4) {
	case 0:
		return bf_arena_printf(arena, "The %s %s of the %s", a, n, p);
	case 1:
		return bf_arena_printf(arena, "A %s %s for the %s", a, n, p);
	case 2:
		return bf_arena_printf(arena, "The %s and the %s %s", p, a, n);
	}
	return bf_arena_printf(arena, "The %s's %s %s", p, a, n);
}

/* The i-th title that this AI invents for the month. */
uint32_t world_invented_id(
	const struct world *w, int year, int month, enum bf_provider_id ai, uint32_t i)
{
	uint32_t code = (uint32_t)dice_hash(w->knobs->seed, "invented",
			(uint64_t)catalogue_month(year, month), (uint64_t)ai << 32 | i) & CODE_MASK;
	struct bf_arena *arena = bf_arena_new();

	while (search_title_known(w->search, invented_title(code, arena)))
		code = (code + 1) & CODE_MASK;
	bf_arena_free(arena);
	return WORK_INVENTED | code;
}

/* Makes a generated work; NULL when the code belongs to no month. */
static const struct work *generated_work(uint32_t code, struct bf_arena *arena)
{
	uint32_t x = unscramble(code), m = x / GENERATED_PER_MONTH;
	struct work *w;

	if (m >= CATALOGUE_MONTHS)
		return NULL;
	w = bf_arena_alloc(arena, sizeof(*w));
	w->id = WORK_GENERATED | code;
	w->year = CATALOGUE_YEAR0 + (int)(m / 12);
	w->month = (int)(m % 12) + 1;
	w->title = generated_title(code, arena);
	w->authors = person(dice_hash(0, "author", code, 0), arena);
	w->publisher = publishers[dice_hash(0, "publisher", code, 0) % BF_COUNT(publishers)];
	w->language = "eng";
	w->pages = 120 + (int)(dice_hash(0, "pages", code, 0) % 500);
	catalogue_split_title(w, arena);
	return w;
}

/* Makes an invented work; a third of them are laid at the door of a real author. */
static const struct work *invented_work(
	const struct world *world, uint32_t code, struct bf_arena *arena)
{
	struct work *w = bf_arena_alloc(arena, sizeof(*w));
	uint64_t h = dice_hash(0, "author", code, 1);
	const char *name = person(h, arena);

	if (h % 3 == 0)
		(void)spelling_names(world->catalogue.works[h / 3 % world->catalogue.n].authors,
			arena, &name, 1);
	w->id = WORK_INVENTED | code;
	w->title = invented_title(code, arena);
	w->authors = name;
	w->publisher = publishers[h / 7 % BF_COUNT(publishers)];
	w->language = "eng";
	w->pages = 120 + (int)(h / 11 % 500);
	catalogue_split_title(w, arena);
	return w;
}

/* The work of any id. */
const struct work *world_work(const struct world *w, uint32_t id, struct bf_arena *arena)
{
	if (id < w->catalogue.n)
		return &w->catalogue.works[id];
	if ((id & ~CODE_MASK) == WORK_GENERATED)
		return generated_work(id & CODE_MASK, arena);
	if ((id & ~CODE_MASK) == WORK_INVENTED)
		return invented_work(w, id & CODE_MASK, arena);
	return NULL;
}

/* Does the provider hold the work at all? Twins are held together. */
bool world_holds(const struct world *w, enum bf_provider_id p, uint32_t work)
{
	if (work & WORK_INVENTED)
		return false;
	if (work < w->catalogue.n)
		work = w->catalogue.works[work].twin;
	return dice_unit(dice_hash(w->knobs->seed, "holds", p, work)) <
		w->knobs->provider[p].coverage;
}

/* Who holds a work holds its first edition and most of the others; decoys are held by everyone. */
bool world_holds_edition(const struct world *w, enum bf_provider_id p, struct hit h)
{
	if (h.slot >= SLOT_DECOY)
		return w->knobs->decoys && world_decoys(w, h.work) & 1u << (h.slot - SLOT_DECOY);
	if (h.slot >= world_editions(w, h.work) || !world_holds(w, p, h.work))
		return false;
	return h.slot == 0 ||
		dice_unit(dice_hash(w->knobs->seed, "edition", p, h.work * SLOTS + h.slot)) < 0.7;
}

/* Number of editions of a work. */
unsigned world_editions(const struct world *w, uint32_t work)
{
	return 2 + (unsigned)(dice_hash(w->knobs->seed, "editions", work, 0) % 3);
}

/* Two to five kinds of decoy per work. */
unsigned world_decoys(const struct world *w, uint32_t work)
{
	struct dice d;
	unsigned bits = 0, n;

	dice_init(&d, w->knobs->seed, "decoys", work, 0);
	n = 2 + dice_below(&d, 4);
	while (n-- > 0)
		bits |= 1u << dice_below(&d, DECOY_KINDS);
	return bits;
}

/* Language of a work's translation; never its own. */
static const char *foreign_language(uint32_t work, const char *own, char *ret_group)
{
	static const struct { const char *language; char group; } foreign[] = {
		{ "ger", '3' }, { "fre", '2' }, { "rus", '5' }
	};
	size_t i = dice_hash(0, "foreign", work, 0) % BF_COUNT(foreign);

	if (!strcmp(foreign[i].language, own))
		i = (i + 1) % BF_COUNT(foreign);
	*ret_group = foreign[i].group;
	return foreign[i].language;
}

/* Prefix and group: most are 978-0 and 978-1, some 979-8, translations of their language's
 * group. */
static const char *isbn_prefix(const struct world *w, struct hit h, char buf[5])
{
	uint64_t hash = dice_hash(0, "group", h.work, h.slot);

	memcpy(buf, "9780", 5);
	if (h.slot == SLOT_DECOY + DECOY_TRANSLATION)
		(void)foreign_language(h.work,
			h.work < w->catalogue.n ? w->catalogue.works[h.work].language : "eng",
			&buf[3]);
	else if (hash % 12 == 0)
		memcpy(buf, "9798", 5);
	else
		buf[3] = hash % 2 ? '0' : '1';
	return buf;
}

/* Adds the check digit (ISO 2108) to twelve digits. */
static void add_check_digit(char isbn13[14])
{
	int sum = 0;

	for (int i = 0; i < 12; i++)
		sum += (isbn13[i] - '0') * (i % 2 ? 3 : 1);
	isbn13[12] = (char)('0' + (10 - sum % 10) % 10);
	isbn13[13] = '\0';
}

/* Place of an edition or decoy in the space of synthetic ISBNs. */
static uint32_t isbn_index(struct hit h)
{
	uint32_t code = h.work & CODE_MASK;

	if (h.work & WORK_INVENTED)
		return INDEX_INVENTED + code * SLOTS + h.slot;
	if (h.work & WORK_GENERATED)
		return INDEX_GENERATED + code * SLOTS + h.slot;
	return h.work * SLOTS + h.slot;
}

/* The ISBN of an edition or decoy. */
void world_isbn(const struct world *w, struct hit h, char ret_isbn13[14])
{
	char prefix[5], text[24], canon[14];
	uint64_t index = isbn_index(h);

	if (h.slot == 0 && h.work < w->catalogue.n) {
		memcpy(ret_isbn13, w->catalogue.works[h.work].isbn13, 14);
		return;
	}
	for (int half = 0; half < 2; half++, index += ISBN_UPPER_HALF) {
		uint64_t x = (index * ISBN_FACTOR + ISBN_OFFSET) % ISBN_PRIME + ISBN_LOW;

		snprintf(text, sizeof(text), "%s%08u", isbn_prefix(w, h, prefix), (unsigned)x);
		add_check_digit(text);
		memcpy(ret_isbn13, text, 14);
		if (bf_isbn_canon(text, 13, canon) == BF_ISBN_OK &&
			catalogue_by_isbn(&w->catalogue, canon) < 0)
			return;
	}
}

/* Modular inverse of ISBN_FACTOR, by Fermat: the modulus is a prime. */
static uint64_t isbn_factor_inverse(void)
{
	uint64_t result = 1, base = ISBN_FACTOR;

	for (uint32_t e = ISBN_PRIME - 2; e; e >>= 1, base = base * base % ISBN_PRIME)
		if (e & 1)
			result = result * base % ISBN_PRIME;
	return result;
}

/* What has this ISBN; false when the sandbox has never heard of it. */
bool world_by_isbn(const struct world *w, const char isbn13[14], struct hit *ret)
{
	int64_t row = catalogue_by_isbn(&w->catalogue, isbn13);
	char digits[9], again[14];
	uint64_t x;
	struct hit h;

	if (row >= 0) {
		*ret = (struct hit){ .work = (uint32_t)row };
		return true;
	}
	memcpy(digits, isbn13 + 4, 8);
	digits[8] = '\0';
	x = strtoul(digits, NULL, 10);
	if (x < ISBN_LOW || x - ISBN_LOW >= ISBN_PRIME)
		return false;
	x = (x - ISBN_LOW + ISBN_PRIME - ISBN_OFFSET) % ISBN_PRIME * isbn_factor_inverse() %
		ISBN_PRIME;
	if (x >= ISBN_UPPER_HALF)
		x -= ISBN_UPPER_HALF;
	h.slot = (uint8_t)(x % SLOTS);
	if (x >= INDEX_END)
		return false;
	if (x >= INDEX_INVENTED)
		h.work = WORK_INVENTED | (uint32_t)((x - INDEX_INVENTED) / SLOTS);
	else if (x >= INDEX_GENERATED)
		h.work = WORK_GENERATED | (uint32_t)((x - INDEX_GENERATED) / SLOTS);
	else
		h.work = (uint32_t)(x / SLOTS);
	if (!(h.work & (WORK_GENERATED | WORK_INVENTED)) && h.work >= w->catalogue.n)
		return false;
	world_isbn(w, h, again);
	*ret = h;
	return !strcmp(again, isbn13);
}

/* What sets a later edition apart from the first: binding, date, pages, now and then the house. */
static void later_edition(struct hit h, uint64_t hash, struct record *ret)
{
	uint64_t of_work = dice_hash(0, "bindings", h.work, 0);
	int years = (int)(hash % (h.slot + 1u)), pages = (int)(hash / 64 % 41) - 20;

	ret->binding = bindings[2 + (of_work + h.slot) % (BF_COUNT(bindings) - 2)];
	ret->year += years;
	if (years)
		ret->month = 1 + (int)(hash / 4096 % 12);
	else
		ret->month += (int)(hash / 4096 % (13u - (unsigned)ret->month));
	ret->pages = ret->pages + pages < 24 ? 24 : ret->pages + pages;
	if (hash / 8192 % 5 == 0)
		ret->publisher = publishers[hash / 65536 % BF_COUNT(publishers)];
}

/* The record of an edition or decoy. The work exists. */
void world_record(const struct world *w, struct hit h, struct bf_arena *arena, struct record *ret)
{
	const struct work *k = world_work(w, h.work, arena);
	uint64_t hash = dice_hash(0, "record", h.work, h.slot);
	char group;

	*ret = (struct record){
		.hit = h, .title = k->main, .subtitle = k->subtitle, .series = k->series
	};
	ret->authors = k->authors;
	ret->publisher = *k->publisher ? k->publisher : publishers[hash % BF_COUNT(publishers)];
	ret->language = *k->language ? k->language : "eng";
	ret->year = k->year ? k->year : 2001 + (int)(hash % 20);
	ret->month = k->month ? k->month : 1 + (int)(hash / 32 % 12);
	ret->day = 1 + (int)(hash / 512 % 28);
	ret->pages = k->pages ? k->pages : 160 + (int)(hash / 1024 % 400);
	ret->binding = bindings[!(hash % 2)];
	if (h.slot && h.slot < SLOT_DECOY)
		later_edition(h, hash, ret);
	if (h.slot == SLOT_DECOY + DECOY_TRANSLATION)
		ret->language = foreign_language(h.work, ret->language, &group);
	if (h.slot >= SLOT_DECOY)
		decoys_dress(k, (enum decoy)(h.slot - SLOT_DECOY), arena, ret);
	world_isbn(w, h, ret->isbn13);
	if (!bf_isbn10_from13(ret->isbn13, ret->isbn10))
		ret->isbn10[0] = '\0';
}

/* What /_truth calls a slot. */
const char *world_decoy_name(unsigned slot)
{
	static const char *const names[DECOY_KINDS] = { "summary", "study_guide", "workbook",
		"box_set", "sequel", "same_title", "translation", "large_print" };
	return slot < SLOT_DECOY || slot >= SLOT_DECOY + DECOY_KINDS ? "edition"
								     : names[slot - SLOT_DECOY];
}

/* What /_truth calls a work. */
const char *world_work_name(const struct work *k, struct bf_arena *arena)
{
	if (k->id & (WORK_GENERATED | WORK_INVENTED))
		return bf_arena_printf(
			arena, "%c%u", k->id & WORK_INVENTED ? 'x' : 'g', k->id & CODE_MASK);
	return bf_arena_printf(arena, "w%u", k->twin);
}

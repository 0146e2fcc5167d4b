/*
 * words: single folded words compared, and the character similarity of whole keys.
 *
 * One wrong letter may be a slip of a model's pen or another book (`Hamnet`, `Hamlet`); without a
 * dictionary only length and place tell. So a slip counts as one only inside a word, never at its
 * first or last letter, where most real pairs differ (`Nest`/`Rest`, `Testament`/`Testaments`), and
 * words with digits must agree.
 */
#include <string.h>
#include "backfill/books.h"
#include "words.h"

#define TYPO_LEN 8
#define SLIP_LEN 5

static const char *const number_names[] = {
	"zero",	    "one",     "two",	  "three",     "four",	   "five",     "six",
	"seven",    "eight",   "nine",	  "ten",       "eleven",   "twelve",   "thirteen",
	"fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
};

/* Spellings of one word that fit no rule, and words which publishers star out. */
static const struct { const char *a, *b;
} same_words[] = {
	{ "grey", "gray" },
	{ "jewellery", "jewelry" },
	{ "programme", "program" },
	{ "mum", "mom" },
	{ "tyre", "tire" },
	{ "pyjamas", "pajamas" },
	{ "aluminium", "aluminum" },
	{ "sceptic", "skeptic" },
	{ "mould", "mold" },
	{ "plough", "plow" },
	{ "cheque", "check" },
	{ "storey", "story" },
	{ "okay", "ok" },
	{ "fck", "fuck" },
	{ "fk", "fuck" },
	{ "fcked", "fucked" },
	{ "fked", "fucked" },
	{ "fcking", "fucking" },
	{ "sht", "shit" },
	{ "btch", "bitch" },
	{ "bullsht", "bullshit" },
	{ "doughnut", "donut" },
	{ "saint", "st" },
	{ "mister", "mr" },
	{ "doctor", "dr" },
	{ "versus", "vs" },
};

/* Words one slip away from each other, yet both right: where both of a pair stand here, they are
 * two. */
static const char near_words[] =
	"woman women house horse heart heard world would black blank block ghost sleep steep sheep "
	"sheet story stormy stony "
	"stone store stove stole stage state stake stale staff stars stairs start master matter "
	"mister monster winter winner "
	"water waiter wafer summer simmer sister father farther dream angel angle secret sacred "
	"scared silver sliver diary dairy "
	"trial trail united untied prince price pride prize widow window winds wander wonder crown "
	"clown crow party pastry patty "
	"marsh march match watch witch power poker money monkey heaven haven beast breast breath "
	"white while write whole friend "
	"fiend county country courts chance change flight fight fright freight plant planet place "
	"palace plane plate board beard "
	"bread broad marry merry stranger strange string sting spring danger dagger singer sinner "
	"letter later latter litter "
	"better bitter butter batter hidden grave grace grade graves slave shame shade shape share "
	"shake shark sharp snake snare "
	"flame frame blade blaze blame trace trade lover loner loser lower river rider rover rival "
	"roses ruler rules girls grandma "
	"grandpa light right might night sight fire life live love lives loves living loving "
	"leaving hunting haunting hunted "
	"haunted wishing washing fishing falling failing filling feeling healing hearing heading "
	"reading riding rising raising "
	"racing dancing dating daring during dying lying trying crying flying burning turning "
	"learning running ruining winning "
	"wining spells spills spoils smile smoke spoke spike spice space spare spark speak spear "
	"brave break bride bridge brown "
	"drown drawn dawn house mouse lights lies liars layers players prayers morning mourning "
	"meaning moaning carrier "
	"courier career border boarder colonel colonial marital martial casual causal tower towers "
	"flower flour floor flood blood "
	"brood short shirt shore shot shoot sweat sweet sword swords words wards worlds warlord "
	"captive captain captains station "
	"heat band brand fist first find bead beak bank sake were where moon fame cave crave gave "
	"save hose mouse pant paint "
	"pants paints plants lion wing wring sing swing bond blond dead dread back stack snack "
	"sack pace peace bard card word cold "
	"could sport spot shirt stat host coast cost coat roast toast least last lest best bast "
	"feast fast boat bloat goat gloat "
	"sand stand grand hand land fit wold star sear mean moan lean loan son soon sun"
	"nation national natural rational hollow hallow shallow swallow follow fellow yellow "
	"mellow carnal carnival canal cabal";

/* Endings and middles that differ between British and American spelling. */
static const struct {
	const char *british, *american;
	unsigned char min_len;
	bool at_end;
} rules[] = {
	{ "our", "or", 5, false },  { "ise", "ize", 6, false },	  { "isa", "iza", 8, false },
	{ "isi", "izi", 7, false }, { "yse", "yze", 6, false },	  { "tre", "ter", 6, true },
	{ "bre", "ber", 5, true },  { "ogue", "og", 7, true },	  { "ence", "ense", 7, true },
	{ "lled", "led", 8, true }, { "lling", "ling", 8, true }, { "ller", "ler", 8, true },
	{ "aeo", "eo", 7, false },  { "aem", "em", 6, false },	  { "aed", "ed", 8, false },
	{ "oeu", "eu", 7, false },
};

bool words_in(const char *w, size_t len, const char *list)
{
	const char *p = list;

	while (*p != '\0') {
		size_t n = 0;

		while (n < len && p[n] == w[n])
			n++;
		if (n == len && (p[n] == ' ' || p[n] == '\0'))
			return true;
		p += n;
		while (*p != ' ' && *p != '\0')
			p++;
		p += *p == ' ';
	}
	return false;
}

bool words_is_article(const char *w, size_t len)
{
	return (len == 3 && memcmp(w, "the", 3) == 0) || (len == 1 && w[0] == 'a') ||
	       (len == 2 && memcmp(w, "an", 2) == 0);
}

int words_roman(const char *w, size_t len)
{
	int total = 0, last = 1000;

	if (len == 0 || len > 7)
		return 0;
	for (size_t i = 0; i < len; i++) {
		int value = w[i] == 'i' ? 1 : w[i] == 'v' ? 5 : w[i] == 'x' ? 10 : 0;

		if (value == 0)
			return 0;
		if (value > last)
			total -= 2 * last;
		total += value;
		last = value;
	}
	return total;
}

int words_number(const char *w, size_t len)
{
	int n = 0;

	if (len == 0 || len > 9)
		return 0;
	if (w[0] >= '0' && w[0] <= '9') {
		for (size_t i = 0; i < len; i++) {
			if (w[i] < '0' || w[i] > '9' || i == 3)
				return 0;
			n = n * 10 + w[i] - '0';
		}
		return n;
	}
	for (size_t i = 1; i < BF_COUNT(number_names); i++)
		if (words_is(w, len, number_names[i]))
			return (int)i;
	return len >= 2 ? words_roman(w, len) : 0;
}

/* Only there the spelling rules and slips apply. */
static bool plain_ascii(const char *w, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (w[i] < 'a' || w[i] > 'z')
			return false;
	return true;
}

/* Insertion, deletion, substitution or exchange of neighbours; inner_only: not touching the first
 * or last letter. */
bool words_one_edit(const char *a, size_t a_len, const char *b, size_t b_len, bool inner_only)
{
	size_t head = 0, tail = 0, least = a_len < b_len ? a_len : b_len, a_mid, b_mid;

	if (a_len > b_len + 1 || b_len > a_len + 1)
		return false;
	while (head < least && a[head] == b[head])
		head++;
	while (tail < least - head && a[a_len - 1 - tail] == b[b_len - 1 - tail])
		tail++;
	a_mid = a_len - head - tail;
	b_mid = b_len - head - tail;
	if (inner_only && (head == 0 || tail == 0))
		return false;
	if (a_mid <= 1 && b_mid <= 1)
		return true;
	return a_mid == 2 && b_mid == 2 && a[head] == b[head + 1] && a[head + 1] == b[head];
}

/* Is `a` the British and `b` the American spelling by one of the rules? */
static bool spelling_rule(const char *a, size_t a_len, const char *b, size_t b_len)
{
	for (size_t r = 0; r < BF_COUNT(rules); r++) {
		size_t bn = strlen(rules[r].british), an = strlen(rules[r].american);

		if (a_len + an != b_len + bn || a_len < rules[r].min_len || a_len < bn)
			continue;
		for (size_t at = rules[r].at_end ? a_len - bn : 1; at + bn <= a_len; at++) {
			if (memcmp(a + at, rules[r].british, bn) == 0 &&
			    memcmp(b + at, rules[r].american, an) == 0 && memcmp(a, b, at) == 0 &&
			    memcmp(a + at + bn, b + at + an, a_len - at - bn) == 0)
				return true;
		}
	}
	return false;
}

enum word_match words_match(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t least = a_len < b_len ? a_len : b_len;
	int number;

	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return WORD_EQUAL;
	number = words_number(a, a_len);
	if (number > 0 && number == words_number(b, b_len))
		return WORD_EQUAL;
	if (a_len > b_len + 4 || b_len > a_len + 4 || !plain_ascii(a, a_len) ||
	    !plain_ascii(b, b_len))
		return WORD_OTHER;
	for (size_t i = 0; i < BF_COUNT(same_words); i++) {
		if ((words_is(a, a_len, same_words[i].a) && words_is(b, b_len, same_words[i].b)) ||
		    (words_is(a, a_len, same_words[i].b) && words_is(b, b_len, same_words[i].a)))
			return WORD_SPELLING;
	}
	if (a[0] != b[0])
		return WORD_OTHER;
	if (spelling_rule(a, a_len, b, b_len) || spelling_rule(b, b_len, a, a_len))
		return WORD_SPELLING;
	if (least + 1 < SLIP_LEN || a_len + b_len < 2 * SLIP_LEN - 1 || number > 0 ||
	    words_number(b, b_len) > 0 || !words_one_edit(a, a_len, b, b_len, true))
		return WORD_OTHER;
	if (words_in(a, a_len, near_words) && words_in(b, b_len, near_words))
		return WORD_OTHER;
	return least >= TYPO_LEN ? WORD_TYPO : WORD_SLIP;
}

/* Trigrams of code points of " key ", as hashes; at most max. */
static size_t trigrams(const char *key, uint32_t *out, size_t max)
{
	uint32_t window[3] = { 0, ' ', ' ' };
	size_t n = 0, at = 0, len = strlen(key);

	while (n < max) {
		uint32_t cp = (unsigned char)(at < len ? key[at] : ' ');

		at++;
		if (cp >= 0x80)
			while (at < len && ((unsigned char)key[at] & 0xC0) == 0x80)
				cp = cp << 8 | (unsigned char)key[at++];
		window[0] = window[1];
		window[1] = window[2];
		window[2] = cp;
		out[n++] = (window[0] * 31 + window[1]) * 2654435761u + window[2];
		if (at > len)
			break;
	}
	return n;
}

double bf_key_similarity(const char *a, const char *b)
{
	uint32_t ta[BF_KEY_MAX], tb[BF_KEY_MAX];
	size_t na, nb, shared = 0;

	if (*a == '\0' || *b == '\0')
		return 0.0;
	if (strcmp(a, b) == 0)
		return 1.0;
	na = trigrams(a, ta, BF_COUNT(ta));
	nb = trigrams(b, tb, BF_COUNT(tb));
	/* Dice's coefficient over multisets: twice the shared over all */
	for (size_t i = 0; i < na; i++) {
		for (size_t j = 0; j < nb; j++) {
			if (ta[i] == tb[j]) {
				tb[j] = tb[--nb];
				shared++;
				break;
			}
		}
	}
	return 2.0 * (double)shared / (double)(na + nb + shared);
}

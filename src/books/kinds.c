/*
 * kinds: what a title says a book is. Summaries, guides, workbooks, sets and the like carry the
 * title and often the author of the book they live on; these phrases give them away.
 */
#include <string.h>
#include "backfill/books.h"
#include "title.h"
#include "words.h"

/* Where a phrase counts: anywhere, at the start of a title, or at the end of one of its parts. The
 * table is in strcmp() order: it is searched by halving. */
enum where { ANYWHERE, AT_START, AT_END };

static const struct phrase { const char *text; unsigned kind; enum where where; } phrases[] = {
	{ "a companion", KIND_COMPANION, ANYWHERE }, { "a guide to", KIND_GUIDE, AT_START },
	{ "a journal", KIND_JOURNAL, ANYWHERE }, { "a novella", KIND_SEQUEL, AT_END },
	{ "a review of", KIND_SUMMARY, AT_START }, { "a short story", KIND_SEQUEL, AT_END },
	{ "a summary", KIND_SUMMARY, ANYWHERE }, { "abridged", KIND_ABRIDGED, ANYWHERE },
	{ "activity book", KIND_WORKBOOK, ANYWHERE }, { "adapted for", KIND_ADAPTATION, ANYWHERE },
	{ "an analysis of", KIND_SUMMARY, AT_START }, { "analysis of", KIND_SUMMARY, AT_START },
	{ "and analysis", KIND_SUMMARY, ANYWHERE }, { "and philosophy", KIND_COMPANION, AT_END },
	{ "answer key", KIND_GUIDE, ANYWHERE }, { "behind the scenes", KIND_COMPANION, ANYWHERE },
	{ "blinkist", KIND_SUMMARY, ANYWHERE }, { "blooms", KIND_GUIDE, AT_START },
	{ "book analysis", KIND_SUMMARY, ANYWHERE }, { "book club guide", KIND_GUIDE, ANYWHERE },
	{ "book club kit", KIND_GUIDE, ANYWHERE }, { "book collection", KIND_SET, ANYWHERE },
	{ "book review", KIND_SUMMARY, ANYWHERE }, { "book set", KIND_SET, ANYWHERE },
	{ "bookrags", KIND_SUMMARY, ANYWHERE }, { "books collection", KIND_SET, ANYWHERE },
	{ "books in 1", KIND_SET, ANYWHERE }, { "books in one", KIND_SET, ANYWHERE },
	{ "books set", KIND_SET, ANYWHERE }, { "box set", KIND_SET, ANYWHERE },
	{ "boxed", KIND_SET, ANYWHERE }, { "boxed set", KIND_SET, ANYWHERE },
	{ "boxset", KIND_SET, ANYWHERE }, { "braille", KIND_LARGE_PRINT, ANYWHERE },
	{ "bright notes", KIND_GUIDE, ANYWHERE }, { "brodies notes", KIND_GUIDE, ANYWHERE },
	{ "bundle", KIND_SET, ANYWHERE }, { "calendar", KIND_JOURNAL, ANYWHERE },
	{ "cliff notes", KIND_GUIDE, ANYWHERE }, { "cliffnotes", KIND_GUIDE, ANYWHERE },
	{ "cliffs notes", KIND_GUIDE, ANYWHERE }, { "cliffsnotes", KIND_GUIDE, ANYWHERE },
	{ "coles notes", KIND_GUIDE, ANYWHERE }, { "collection books", KIND_SET, ANYWHERE },
	{ "collection set", KIND_SET, ANYWHERE }, { "coloring book", KIND_JOURNAL, ANYWHERE },
	{ "colouring book", KIND_JOURNAL, ANYWHERE }, { "comic", KIND_ADAPTATION, AT_END },
	{ "companion", KIND_COMPANION, AT_END }, { "companion book", KIND_COMPANION, ANYWHERE },
	{ "companion guide", KIND_COMPANION, ANYWHERE },
	{ "companion to", KIND_COMPANION, ANYWHERE },
	{ "complete collection", KIND_SET, ANYWHERE }, { "complete set", KIND_SET, ANYWHERE },
	{ "complete trilogy", KIND_SET, ANYWHERE }, { "condensed", KIND_ABRIDGED, ANYWHERE },
	{ "continued", KIND_SEQUEL, AT_END }, { "continues", KIND_SEQUEL, AT_END },
	{ "conversation starters", KIND_GUIDE, ANYWHERE },
	{ "conversations on", KIND_GUIDE, AT_START }, { "critical essays", KIND_GUIDE, ANYWHERE },
	{ "diary planner", KIND_JOURNAL, ANYWHERE }, { "digest of", KIND_SUMMARY, AT_START },
	{ "discussion guide", KIND_GUIDE, ANYWHERE },
	{ "discussion questions", KIND_GUIDE, ANYWHERE }, { "duology", KIND_SET, AT_END },
	{ "dyslexia", KIND_LARGE_PRINT, ANYWHERE }, { "dyslexic", KIND_LARGE_PRINT, ANYWHERE },
	{ "encyclopedia of", KIND_COMPANION, AT_START }, { "excerpt", KIND_SAMPLE, ANYWHERE },
	{ "excerpts", KIND_SAMPLE, ANYWHERE }, { "extended preview", KIND_SAMPLE, ANYWHERE },
	{ "fan fiction", KIND_UNOFFICIAL, ANYWHERE }, { "fanfiction", KIND_UNOFFICIAL, ANYWHERE },
	{ "for kids", KIND_ADAPTATION, AT_END }, { "for young adults", KIND_ADAPTATION, ANYWHERE },
	{ "for young readers", KIND_ADAPTATION, ANYWHERE },
	{ "free preview", KIND_SAMPLE, ANYWHERE }, { "gift set", KIND_SET, ANYWHERE },
	{ "graded reader", KIND_ABRIDGED, ANYWHERE }, { "gradesaver", KIND_GUIDE, ANYWHERE },
	{ "graphic adaptation", KIND_ADAPTATION, ANYWHERE },
	{ "graphic edition", KIND_ADAPTATION, ANYWHERE },
	{ "graphic history", KIND_ADAPTATION, ANYWHERE },
	{ "graphic novel", KIND_ADAPTATION, ANYWHERE }, { "guide to", KIND_GUIDE, AT_START },
	{ "guided journal", KIND_JOURNAL, ANYWHERE }, { "in 15 minutes", KIND_SUMMARY, ANYWHERE },
	{ "in 30 minutes", KIND_SUMMARY, ANYWHERE }, { "in one volume", KIND_SET, ANYWHERE },
	{ "inspired by", KIND_COMPANION, ANYWHERE }, { "instaread", KIND_SUMMARY, ANYWHERE },
	{ "instructors manual", KIND_GUIDE, ANYWHERE }, { "joosr", KIND_SUMMARY, ANYWHERE },
	{ "journal", KIND_JOURNAL, AT_END }, { "journal for", KIND_JOURNAL, ANYWHERE },
	{ "junior novel", KIND_ADAPTATION, ANYWHERE }, { "key insights", KIND_SUMMARY, ANYWHERE },
	{ "key takeaways", KIND_SUMMARY, ANYWHERE }, { "large print", KIND_LARGE_PRINT, ANYWHERE },
	{ "large type", KIND_LARGE_PRINT, ANYWHERE }, { "largeprint", KIND_LARGE_PRINT, ANYWHERE },
	{ "larger print", KIND_LARGE_PRINT, ANYWHERE },
	{ "leaders guide", KIND_WORKBOOK, ANYWHERE }, { "lesson plan", KIND_GUIDE, ANYWHERE },
	{ "lesson plans", KIND_GUIDE, ANYWHERE }, { "lined notebook", KIND_JOURNAL, ANYWHERE },
	{ "lit guide", KIND_GUIDE, ANYWHERE }, { "litcharts", KIND_GUIDE, ANYWHERE },
	{ "literature guide", KIND_GUIDE, ANYWHERE }, { "lp", KIND_LARGE_PRINT, AT_END },
	{ "macmillan readers", KIND_ABRIDGED, ANYWHERE },
	{ "making of", KIND_COMPANION, AT_START }, { "manga", KIND_ADAPTATION, ANYWHERE },
	{ "maxnotes", KIND_GUIDE, ANYWHERE },
	{ "modern critical interpretations", KIND_GUIDE, ANYWHERE },
	{ "monarch notes", KIND_GUIDE, ANYWHERE },
	{ "movie storybook", KIND_ADAPTATION, ANYWHERE }, { "notebook", KIND_JOURNAL, AT_END },
	{ "notes on", KIND_GUIDE, AT_START },
	{ "novel guide", KIND_GUIDE, ANYWHERE }, { "novel unit", KIND_GUIDE, ANYWHERE },
	{ "novelization", KIND_ADAPTATION, ANYWHERE }, { "omnibus", KIND_SET, ANYWHERE },
	{ "origins", KIND_SEQUEL, AT_END }, { "oxford bookworms", KIND_ABRIDGED, ANYWHERE },
	{ "parody", KIND_UNOFFICIAL, ANYWHERE }, { "participants guide", KIND_WORKBOOK, ANYWHERE },
	{ "penguin readers", KIND_ABRIDGED, ANYWHERE }, { "planner", KIND_JOURNAL, ANYWHERE },
	{ "playing cards", KIND_JOURNAL, ANYWHERE }, { "postcards", KIND_JOURNAL, ANYWHERE },
	{ "poster book", KIND_JOURNAL, ANYWHERE }, { "prequel", KIND_SEQUEL, ANYWHERE },
	{ "preview", KIND_SAMPLE, AT_END }, { "quartet", KIND_SET, AT_END },
	{ "quicklet", KIND_SUMMARY, ANYWHERE }, { "quiz", KIND_GUIDE, AT_END },
	{ "quiz book", KIND_GUIDE, ANYWHERE }, { "reader guide", KIND_GUIDE, ANYWHERE },
	{ "readers digest", KIND_ABRIDGED, ANYWHERE }, { "readers guide", KIND_GUIDE, ANYWHERE },
	{ "reading group guide", KIND_GUIDE, ANYWHERE }, { "reading guide", KIND_GUIDE, ANYWHERE },
	{ "reading log", KIND_JOURNAL, ANYWHERE }, { "reloaded", KIND_SEQUEL, AT_END },
	{ "retold for", KIND_ADAPTATION, ANYWHERE }, { "returns", KIND_SEQUEL, AT_END },
	{ "review of", KIND_SUMMARY, AT_START }, { "revisited", KIND_SEQUEL, AT_END },
	{ "sampler", KIND_SAMPLE, ANYWHERE }, { "screenplay", KIND_ADAPTATION, ANYWHERE },
	{ "sequel", KIND_SEQUEL, ANYWHERE }, { "series collection", KIND_SET, ANYWHERE },
	{ "series set", KIND_SET, ANYWHERE }, { "sheet music", KIND_JOURNAL, ANYWHERE },
	{ "shmoop", KIND_GUIDE, ANYWHERE }, { "shooting script", KIND_ADAPTATION, ANYWHERE },
	{ "slipcase", KIND_SET, ANYWHERE }, { "slipcased", KIND_SET, ANYWHERE },
	{ "sneak peek", KIND_SAMPLE, ANYWHERE }, { "sneak preview", KIND_SAMPLE, ANYWHERE },
	{ "solution manual", KIND_GUIDE, ANYWHERE }, { "solutions manual", KIND_GUIDE, ANYWHERE },
	{ "spark notes", KIND_GUIDE, ANYWHERE }, { "sparknotes", KIND_GUIDE, ANYWHERE },
	{ "stage play", KIND_ADAPTATION, ANYWHERE }, { "sticker book", KIND_JOURNAL, ANYWHERE },
	{ "study companion", KIND_WORKBOOK, ANYWHERE }, { "study guide", KIND_GUIDE, ANYWHERE },
	{ "studyguide", KIND_GUIDE, ANYWHERE }, { "summaries", KIND_SUMMARY, ANYWHERE },
	{ "summarized", KIND_SUMMARY, ANYWHERE }, { "summary", KIND_SUMMARY, AT_END },
	{ "summary", KIND_SUMMARY, AT_START }, { "summary and", KIND_SUMMARY, ANYWHERE },
	{ "summary of", KIND_SUMMARY, ANYWHERE }, { "sumoreads", KIND_SUMMARY, ANYWHERE },
	{ "super summary", KIND_SUMMARY, ANYWHERE }, { "supersummary", KIND_SUMMARY, ANYWHERE },
	{ "teacher guide", KIND_GUIDE, ANYWHERE }, { "teachers edition", KIND_GUIDE, ANYWHERE },
	{ "teachers guide", KIND_GUIDE, ANYWHERE }, { "teaching guide", KIND_GUIDE, ANYWHERE },
	{ "test bank", KIND_GUIDE, ANYWHERE }, { "the aftermath", KIND_SEQUEL, AT_END },
	{ "the art of the", KIND_COMPANION, AT_END }, { "the beginning", KIND_SEQUEL, AT_END },
	{ "the collection", KIND_SET, AT_END }, { "the complete series", KIND_SET, ANYWHERE },
	{ "the end", KIND_SEQUEL, AT_END }, { "the final chapter", KIND_SEQUEL, ANYWHERE },
	{ "the graphic", KIND_ADAPTATION, ANYWHERE }, { "the legacy", KIND_SEQUEL, AT_END },
	{ "the making of", KIND_COMPANION, AT_START }, { "the musical", KIND_ADAPTATION, AT_END },
	{ "the next chapter", KIND_SEQUEL, ANYWHERE },
	{ "the official guide", KIND_COMPANION, ANYWHERE },
	{ "the philosophy of", KIND_COMPANION, AT_START }, { "the play", KIND_ADAPTATION, AT_END },
	{ "the return", KIND_SEQUEL, AT_END }, { "the return of", KIND_SEQUEL, ANYWHERE },
	{ "the revenge", KIND_SEQUEL, AT_END }, { "the story continues", KIND_SEQUEL, ANYWHERE },
	{ "the world of", KIND_COMPANION, AT_START }, { "trilogy", KIND_SET, AT_END },
	{ "trilogy set", KIND_SET, ANYWHERE }, { "trivia", KIND_GUIDE, ANYWHERE },
	{ "unauthorised", KIND_UNOFFICIAL, ANYWHERE },
	{ "unauthorized", KIND_UNOFFICIAL, ANYWHERE }, { "understanding", KIND_GUIDE, AT_START },
	{ "unofficial", KIND_UNOFFICIAL, ANYWHERE }, { "volume set", KIND_SET, ANYWHERE },
	{ "work book", KIND_WORKBOOK, ANYWHERE }, { "workbook", KIND_WORKBOOK, ANYWHERE },
	{ "york notes", KIND_GUIDE, ANYWHERE },
	{ "young adult edition", KIND_ADAPTATION, ANYWHERE },
	{ "young readers", KIND_ADAPTATION, ANYWHERE },
};

static const char *const kind_names[] = { "summary",	 "study guide", "workbook",  "set",
					  "large print", "journal",	"companion", "adaptation",
					  "sample",	 "unofficial",	"sequel",    "abridged" };

/* Words of which subtitles are made that say nothing. */
static const char generic_words[] =
	"a an the novel memoir memoirs thriller thrillers mystery romance story stories tale tales "
	"poems poetry "
	"essays biography autobiography bestseller bestselling best selling seller international "
	"new york times number 1 "
	"one instant sunday national usa today and other of fiction nonfiction literary historical "
	"psychological fantasy "
	"epic gripping debut award winning winner pulitzer prize booker man book club reeses "
	"oprahs oprah jenna read with "
	"pick now major motion picture film series netflix book soon to be from bestselling author "
	"winner finalist longlisted "
	"shortlisted for suspense contemporary science sci fi ya young adult classic novella by";

/* Names under which many books come out, each with its own title behind the colon. */
static const char *const franchises[] = {
	"star wars",
	"star trek",
	"star trek the next generation",
	"doctor who",
	"batman",
	"superman",
	"wonder woman",
	"spider man",
	"x men",
	"avengers",
	"halo",
	"warcraft",
	"world of warcraft",
	"starcraft",
	"diablo",
	"warhammer 40 000",
	"warhammer",
	"minecraft",
	"pokemon",
	"dragonlance",
	"forgotten realms",
	"warriors",
	"survivors",
	"harry potter",
	"percy jackson",
	"percy jackson and the olympians",
	"diary of wimpy kid",
	"diary of a wimpy kid",
	"captain underpants",
	"magic tree house",
	"dungeons and dragons",
	"magic the gathering",
	"assassins creed",
	"mass effect",
	"buffy the vampire slayer",
	"angel",
	"stargate sg 1",
	"torchwood",
	"hellboy",
	"the walking dead",
	"walking dead",
	"sandman",
	"fables",
	"y the last man",
	"y",
	"preacher",
	"transmetropolitan",
	"naruto",
	"bleach",
	"one piece",
	"death note",
	"fullmetal alchemist",
	"tintin",
	"asterix",
	"calvin and hobbes",
	"garfield",
	"peanuts",
	"lego star wars",
	"disney",
	"marvel",
	"x files",
	"alien",
	"aliens",
	"predator",
	"terminator",
	"indiana jones",
	"tom clancys op center",
	"tom clancys splinter cell",
	"tom clancys net force",
	"teach yourself",
	"lonely planet",
	"rick steves",
	"frommers",
	"eyewitness travel",
	"for dummies",
	"teen titans",
	"justice league",
	"green lantern",
	"guardians of gahoole",
	"seekers",
	"animorphs",
	"goosebumps",
	"nancy drew",
	"hardy boys",
	"how to train your dragon",
	"lord of the rings",
	"planet of the apes",
	"pete the cat",
	"literature circle guide",
	"tom clancy",
	"clive cussler",
	"vince flynn",
	"robert ludlum",
	"robert b parker",
	"james patterson",
	"septimus heap",
	"his dark materials",
	"lunar chronicles",
	"mortal instruments",
	"infernal devices",
};

/* Do the words of the phrase stand at word i? Returns how many they are, 0 if not. */
static unsigned phrase_at(const struct title *t, unsigned i, const char *text)
{
	unsigned n = 0;

	while (*text != '\0') {
		size_t len = words_len(text), w;
		const char *s;

		if (i + n >= t->n_words)
			return 0;
		s = title_word_at(t, i + n, &w);
		if (w != len || memcmp(s, text, len) != 0)
			return 0;
		n++;
		text += len;
		text += *text == ' ';
	}
	return n;
}

/* Is the word after the last of a part? Parts are NUL-separated in the text. */
static bool ends_part(const struct title *t, unsigned last)
{
	return t->text[t->word[last].off + t->word[last].len] == '\0';
}

/* First phrase that does not sort before the two letters a word begins with. */
static size_t first_phrase(const char *w)
{
	size_t low = 0, high = BF_COUNT(phrases);

	while (low < high) {
		size_t mid = (low + high) / 2;
		const char *p = phrases[mid].text;

		if (p[0] < w[0] || (p[0] == w[0] && p[1] < w[1]))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Is the word in the name of a series with a number? `(The Broken Earth Trilogy, #1)` is a place,
 * not a set. */
static bool in_series(const struct title *t, unsigned i)
{
	return t->series_numbered && t->n_series > 0 && i >= t->series[0] &&
	       i <= t->series[t->n_series - 1];
}

unsigned kinds_of_title(const struct title *t)
{
	unsigned kinds = t->range ? KIND_SET : 0;

	for (unsigned i = 0; i < t->n_words; i++) {
		const char w[2] = { t->text[t->word[i].off],
				    t->word[i].len > 1 ? t->text[t->word[i].off + 1] : ' ' };

		for (size_t p = first_phrase(w); p < BF_COUNT(phrases); p++) {
			unsigned n;

			if (phrases[p].text[0] != w[0] || phrases[p].text[1] != w[1])
				break;
			if (phrases[p].where == AT_START && i > 0)
				continue;
			n = phrase_at(t, i, phrases[p].text);
			if (n == 0 || (phrases[p].where == AT_END && !ends_part(t, i + n - 1)))
				continue;
			if (!in_series(t, i) ||
			    (phrases[p].kind & (KIND_SET | KIND_JOURNAL | KIND_SEQUEL)) == 0)
				kinds |= phrases[p].kind;
		}
	}
	return kinds;
}

const char *kinds_name(unsigned kinds)
{
	for (size_t i = 0; i < BF_COUNT(kind_names); i++)
		if (kinds & (1u << i))
			return kind_names[i];
	return "none";
}

bool kinds_part_is_generic(const struct title *t, unsigned first, unsigned n)
{
	bool all = true;
	size_t len;
	const char *s = title_word_at(t, first, &len), *last;
	bool article = words_in(s, len, "a an");

	for (unsigned i = first; i < first + n && all; i++) {
		s = title_word_at(t, i, &len);
		all = words_in(s, len, generic_words);
	}
	if (all)
		return true;
	/* `A Jack Reacher Novel` */
	last = title_word_at(t, first + n - 1, &len);
	return article && n >= 2 && n <= 7 &&
	       words_in(last, len, "novel thriller mystery memoir romance novella");
}

bool kinds_is_franchise(const char *folded_main)
{
	for (size_t i = 0; i < BF_COUNT(franchises); i++)
		if (strcmp(franchises[i], folded_main) == 0)
			return true;
	return false;
}

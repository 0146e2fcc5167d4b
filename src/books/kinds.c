/*
 * kinds: what a title says a book is. Summaries, guides, workbooks, sets and the like carry the title and often the
 * author of the book they live on; these phrases give them away.
 */
#include <string.h>
#include "backfill/books.h"
#include "title.h"
#include "words.h"

/* Where a phrase counts: anywhere, at the start of a title, or at the end of one of its parts. */
enum where { ANYWHERE, AT_START, AT_END };

static const struct phrase { const char *text; unsigned kind; enum where where; } phrases[] = {
	{ "summary", KIND_SUMMARY, AT_START }, { "summary of", KIND_SUMMARY, ANYWHERE },
	{ "summary and", KIND_SUMMARY, ANYWHERE }, { "a summary", KIND_SUMMARY, ANYWHERE }, { "summary", KIND_SUMMARY, AT_END },
	{ "summaries", KIND_SUMMARY, ANYWHERE }, { "summarized", KIND_SUMMARY, ANYWHERE },
	{ "supersummary", KIND_SUMMARY, ANYWHERE }, { "super summary", KIND_SUMMARY, ANYWHERE },
	{ "analysis of", KIND_SUMMARY, AT_START }, { "an analysis of", KIND_SUMMARY, AT_START },
	{ "and analysis", KIND_SUMMARY, ANYWHERE }, { "book analysis", KIND_SUMMARY, ANYWHERE },
	{ "key takeaways", KIND_SUMMARY, ANYWHERE }, { "key insights", KIND_SUMMARY, ANYWHERE },
	{ "review of", KIND_SUMMARY, AT_START }, { "a review of", KIND_SUMMARY, AT_START },
	{ "book review", KIND_SUMMARY, ANYWHERE }, { "instaread", KIND_SUMMARY, ANYWHERE },
	{ "in 15 minutes", KIND_SUMMARY, ANYWHERE }, { "in 30 minutes", KIND_SUMMARY, ANYWHERE },
	{ "blinkist", KIND_SUMMARY, ANYWHERE }, { "quicklet", KIND_SUMMARY, ANYWHERE }, { "joosr", KIND_SUMMARY, ANYWHERE },
	{ "bookrags", KIND_SUMMARY, ANYWHERE }, { "sumoreads", KIND_SUMMARY, ANYWHERE }, { "digest of", KIND_SUMMARY, AT_START },

	{ "study guide", KIND_GUIDE, ANYWHERE }, { "studyguide", KIND_GUIDE, ANYWHERE }, { "sparknotes", KIND_GUIDE, ANYWHERE },
	{ "spark notes", KIND_GUIDE, ANYWHERE }, { "cliffsnotes", KIND_GUIDE, ANYWHERE }, { "cliffs notes", KIND_GUIDE, ANYWHERE },
	{ "cliffnotes", KIND_GUIDE, ANYWHERE }, { "cliff notes", KIND_GUIDE, ANYWHERE }, { "york notes", KIND_GUIDE, ANYWHERE },
	{ "monarch notes", KIND_GUIDE, ANYWHERE }, { "coles notes", KIND_GUIDE, ANYWHERE }, { "maxnotes", KIND_GUIDE, ANYWHERE },
	{ "brodies notes", KIND_GUIDE, ANYWHERE }, { "litcharts", KIND_GUIDE, ANYWHERE }, { "gradesaver", KIND_GUIDE, ANYWHERE },
	{ "shmoop", KIND_GUIDE, ANYWHERE }, { "literature guide", KIND_GUIDE, ANYWHERE }, { "lit guide", KIND_GUIDE, ANYWHERE },
	{ "novel guide", KIND_GUIDE, ANYWHERE }, { "novel unit", KIND_GUIDE, ANYWHERE }, { "reading guide", KIND_GUIDE, ANYWHERE },
	{ "readers guide", KIND_GUIDE, ANYWHERE }, { "reading group guide", KIND_GUIDE, ANYWHERE },
	{ "reader guide", KIND_GUIDE, ANYWHERE }, { "book club kit", KIND_GUIDE, ANYWHERE },
	{ "discussion guide", KIND_GUIDE, ANYWHERE }, { "discussion questions", KIND_GUIDE, ANYWHERE },
	{ "teachers guide", KIND_GUIDE, ANYWHERE }, { "teacher guide", KIND_GUIDE, ANYWHERE },
	{ "teaching guide", KIND_GUIDE, ANYWHERE }, { "teachers edition", KIND_GUIDE, ANYWHERE },
	{ "lesson plans", KIND_GUIDE, ANYWHERE }, { "lesson plan", KIND_GUIDE, ANYWHERE }, { "guide to", KIND_GUIDE, AT_START },
	{ "a guide to", KIND_GUIDE, AT_START }, { "notes on", KIND_GUIDE, AT_START }, { "notes", KIND_GUIDE, AT_END },
	{ "conversation starters", KIND_GUIDE, ANYWHERE }, { "conversations on", KIND_GUIDE, AT_START },
	{ "book club guide", KIND_GUIDE, ANYWHERE }, { "critical essays", KIND_GUIDE, ANYWHERE },
	{ "modern critical interpretations", KIND_GUIDE, ANYWHERE }, { "bright notes", KIND_GUIDE, ANYWHERE },
	{ "blooms", KIND_GUIDE, AT_START }, { "understanding", KIND_GUIDE, AT_START }, { "trivia", KIND_GUIDE, ANYWHERE },
	{ "quiz", KIND_GUIDE, AT_END }, { "quiz book", KIND_GUIDE, ANYWHERE }, { "solutions manual", KIND_GUIDE, ANYWHERE },
	{ "solution manual", KIND_GUIDE, ANYWHERE }, { "instructors manual", KIND_GUIDE, ANYWHERE },
	{ "answer key", KIND_GUIDE, ANYWHERE }, { "test bank", KIND_GUIDE, ANYWHERE },

	{ "workbook", KIND_WORKBOOK, ANYWHERE }, { "work book", KIND_WORKBOOK, ANYWHERE },
	{ "activity book", KIND_WORKBOOK, ANYWHERE }, { "participants guide", KIND_WORKBOOK, ANYWHERE },
	{ "leaders guide", KIND_WORKBOOK, ANYWHERE }, { "study companion", KIND_WORKBOOK, ANYWHERE },

	{ "box set", KIND_SET, ANYWHERE }, { "boxed set", KIND_SET, ANYWHERE }, { "boxset", KIND_SET, ANYWHERE },
	{ "boxed", KIND_SET, ANYWHERE }, { "slipcase", KIND_SET, ANYWHERE }, { "slipcased", KIND_SET, ANYWHERE },
	{ "book set", KIND_SET, ANYWHERE }, { "books set", KIND_SET, ANYWHERE }, { "volume set", KIND_SET, ANYWHERE },
	{ "book collection", KIND_SET, ANYWHERE }, { "books collection", KIND_SET, ANYWHERE },
	{ "collection set", KIND_SET, ANYWHERE }, { "collection books", KIND_SET, ANYWHERE },
	{ "the complete series", KIND_SET, ANYWHERE }, { "complete collection", KIND_SET, ANYWHERE },
	{ "complete trilogy", KIND_SET, ANYWHERE }, { "trilogy", KIND_SET, AT_END }, { "trilogy set", KIND_SET, ANYWHERE },
	{ "complete set", KIND_SET, ANYWHERE }, { "series set", KIND_SET, ANYWHERE }, { "series collection", KIND_SET, ANYWHERE },
	{ "bundle", KIND_SET, ANYWHERE }, { "omnibus", KIND_SET, ANYWHERE }, { "gift set", KIND_SET, ANYWHERE },
	{ "books in 1", KIND_SET, ANYWHERE }, { "books in one", KIND_SET, ANYWHERE }, { "in one volume", KIND_SET, ANYWHERE },
	{ "the collection", KIND_SET, AT_END }, { "duology", KIND_SET, AT_END }, { "quartet", KIND_SET, AT_END },

	{ "large print", KIND_LARGE_PRINT, ANYWHERE }, { "large type", KIND_LARGE_PRINT, ANYWHERE },
	{ "largeprint", KIND_LARGE_PRINT, ANYWHERE }, { "larger print", KIND_LARGE_PRINT, ANYWHERE },
	{ "braille", KIND_LARGE_PRINT, ANYWHERE }, { "dyslexia", KIND_LARGE_PRINT, ANYWHERE },
	{ "dyslexic", KIND_LARGE_PRINT, ANYWHERE }, { "lp", KIND_LARGE_PRINT, AT_END },

	{ "guided journal", KIND_JOURNAL, ANYWHERE }, { "journal", KIND_JOURNAL, AT_END }, { "a journal", KIND_JOURNAL, ANYWHERE },
	{ "journal for", KIND_JOURNAL, ANYWHERE }, { "calendar", KIND_JOURNAL, ANYWHERE }, { "planner", KIND_JOURNAL, ANYWHERE },
	{ "notebook", KIND_JOURNAL, AT_END }, { "lined notebook", KIND_JOURNAL, ANYWHERE },
	{ "coloring book", KIND_JOURNAL, ANYWHERE }, { "colouring book", KIND_JOURNAL, ANYWHERE },
	{ "sticker book", KIND_JOURNAL, ANYWHERE }, { "postcards", KIND_JOURNAL, ANYWHERE }, { "poster book", KIND_JOURNAL, ANYWHERE },
	{ "playing cards", KIND_JOURNAL, ANYWHERE }, { "sheet music", KIND_JOURNAL, ANYWHERE },
	{ "reading log", KIND_JOURNAL, ANYWHERE }, { "diary planner", KIND_JOURNAL, ANYWHERE },

	{ "companion", KIND_COMPANION, AT_END }, { "companion to", KIND_COMPANION, ANYWHERE },
	{ "a companion", KIND_COMPANION, ANYWHERE }, { "companion book", KIND_COMPANION, ANYWHERE },
	{ "companion guide", KIND_COMPANION, ANYWHERE }, { "the official guide", KIND_COMPANION, ANYWHERE },
	{ "the making of", KIND_COMPANION, ANYWHERE }, { "making of", KIND_COMPANION, AT_START },
	{ "the art of the", KIND_COMPANION, AT_END }, { "behind the scenes", KIND_COMPANION, ANYWHERE },
	{ "encyclopedia of", KIND_COMPANION, AT_START }, { "the world of", KIND_COMPANION, AT_START },
	{ "the philosophy of", KIND_COMPANION, AT_START }, { "and philosophy", KIND_COMPANION, AT_END },
	{ "inspired by", KIND_COMPANION, ANYWHERE },

	{ "unofficial", KIND_UNOFFICIAL, ANYWHERE }, { "unauthorized", KIND_UNOFFICIAL, ANYWHERE },
	{ "unauthorised", KIND_UNOFFICIAL, ANYWHERE }, { "parody", KIND_UNOFFICIAL, ANYWHERE },
	{ "fan fiction", KIND_UNOFFICIAL, ANYWHERE }, { "fanfiction", KIND_UNOFFICIAL, ANYWHERE },

	{ "graphic novel", KIND_ADAPTATION, ANYWHERE }, { "graphic history", KIND_ADAPTATION, ANYWHERE },
	{ "graphic adaptation", KIND_ADAPTATION, ANYWHERE }, { "graphic edition", KIND_ADAPTATION, ANYWHERE },
	{ "the graphic", KIND_ADAPTATION, ANYWHERE }, { "comic", KIND_ADAPTATION, AT_END }, { "manga", KIND_ADAPTATION, ANYWHERE },
	{ "young readers", KIND_ADAPTATION, ANYWHERE }, { "for young readers", KIND_ADAPTATION, ANYWHERE },
	{ "young adult edition", KIND_ADAPTATION, ANYWHERE }, { "adapted for", KIND_ADAPTATION, ANYWHERE },
	{ "retold for", KIND_ADAPTATION, ANYWHERE }, { "for kids", KIND_ADAPTATION, AT_END }, { "screenplay", KIND_ADAPTATION, ANYWHERE },
	{ "shooting script", KIND_ADAPTATION, ANYWHERE }, { "stage play", KIND_ADAPTATION, ANYWHERE },
	{ "the play", KIND_ADAPTATION, AT_END }, { "the musical", KIND_ADAPTATION, AT_END }, { "junior novel", KIND_ADAPTATION, ANYWHERE },
	{ "movie storybook", KIND_ADAPTATION, ANYWHERE }, { "novelization", KIND_ADAPTATION, ANYWHERE },

	{ "sampler", KIND_SAMPLE, ANYWHERE }, { "excerpt", KIND_SAMPLE, ANYWHERE }, { "excerpts", KIND_SAMPLE, ANYWHERE },
	{ "sneak peek", KIND_SAMPLE, ANYWHERE }, { "free preview", KIND_SAMPLE, ANYWHERE }, { "preview", KIND_SAMPLE, AT_END },
	{ "sneak preview", KIND_SAMPLE, ANYWHERE }, { "extended preview", KIND_SAMPLE, ANYWHERE },

	{ "abridged", KIND_ABRIDGED, ANYWHERE }, { "condensed", KIND_ABRIDGED, ANYWHERE },
	{ "readers digest", KIND_ABRIDGED, ANYWHERE }, { "penguin readers", KIND_ABRIDGED, ANYWHERE },
	{ "oxford bookworms", KIND_ABRIDGED, ANYWHERE }, { "macmillan readers", KIND_ABRIDGED, ANYWHERE },
	{ "graded reader", KIND_ABRIDGED, ANYWHERE },

	{ "sequel", KIND_SEQUEL, ANYWHERE }, { "prequel", KIND_SEQUEL, ANYWHERE }, { "the next chapter", KIND_SEQUEL, ANYWHERE },
	{ "the return", KIND_SEQUEL, AT_END }, { "the return of", KIND_SEQUEL, ANYWHERE }, { "returns", KIND_SEQUEL, AT_END },
	{ "the story continues", KIND_SEQUEL, ANYWHERE }, { "continues", KIND_SEQUEL, AT_END },
	{ "continued", KIND_SEQUEL, AT_END }, { "revisited", KIND_SEQUEL, AT_END }, { "the final chapter", KIND_SEQUEL, ANYWHERE },
	{ "a novella", KIND_SEQUEL, AT_END }, { "a short story", KIND_SEQUEL, AT_END }, { "the beginning", KIND_SEQUEL, AT_END },
	{ "origins", KIND_SEQUEL, AT_END }, { "the end", KIND_SEQUEL, AT_END }, { "reloaded", KIND_SEQUEL, AT_END },
	{ "the aftermath", KIND_SEQUEL, AT_END }, { "the legacy", KIND_SEQUEL, AT_END }, { "the revenge", KIND_SEQUEL, AT_END },
};

static const char *const kind_names[] = {
	"summary", "study guide", "workbook", "set", "large print", "journal", "companion", "adaptation", "sample",
	"unofficial", "sequel", "abridged"
};

/* Words of which subtitles are made that say nothing. */
static const char generic_words[] =
	"a an the novel novels memoir memoirs thriller thrillers mystery romance story stories tale tales poems poetry "
	"essays biography autobiography bestseller bestselling best selling seller international new york times number 1 "
	"one instant sunday national usa today and other of fiction nonfiction literary historical psychological fantasy "
	"epic gripping debut award winning winner pulitzer prize booker man book club reeses oprahs oprah jenna read with "
	"pick now major motion picture film series netflix book soon to be from bestselling author winner finalist longlisted "
	"shortlisted for suspense contemporary science sci fi ya young adult classic novella by";

/* Names under which many books come out, each with its own title behind the colon. */
static const char *const franchises[] = {
	"star wars", "star trek", "star trek the next generation", "doctor who", "batman", "superman", "wonder woman",
	"spider man", "x men", "avengers", "halo", "warcraft", "world of warcraft", "starcraft", "diablo",
	"warhammer 40 000", "warhammer", "minecraft", "pokemon", "dragonlance", "forgotten realms", "warriors", "survivors",
	"harry potter", "percy jackson", "percy jackson and the olympians", "diary of wimpy kid", "diary of a wimpy kid",
	"captain underpants", "magic tree house", "dungeons and dragons", "magic the gathering", "assassins creed",
	"mass effect", "buffy the vampire slayer", "angel", "stargate sg 1", "torchwood", "hellboy", "the walking dead",
	"walking dead", "sandman", "fables", "y the last man", "y", "preacher", "transmetropolitan", "naruto", "bleach",
	"one piece", "death note", "fullmetal alchemist", "tintin", "asterix", "calvin and hobbes", "garfield", "peanuts",
	"lego star wars", "disney", "marvel", "x files", "alien", "aliens", "predator", "terminator", "indiana jones",
	"tom clancys op center", "tom clancys splinter cell", "tom clancys net force", "teach yourself", "lonely planet",
	"rick steves", "frommers", "eyewitness travel", "for dummies", "teen titans", "justice league", "green lantern",
	"guardians of gahoole", "seekers", "animorphs", "goosebumps", "nancy drew", "hardy boys", "how to train your dragon",
	"septimus heap", "his dark materials", "lunar chronicles", "mortal instruments", "infernal devices",
};

/* Do the words of the phrase stand at word i? Returns how many they are, 0 if not. */
static unsigned phrase_at(const struct title *t, unsigned i, const char *text)
{
	unsigned n = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " "), w;
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

unsigned kinds_of_title(const struct title *t)
{
	unsigned kinds = t->range ? KIND_SET : 0;

	for (unsigned i = 0; i < t->n_words; i++) {
		char first = t->text[t->word[i].off];

		for (size_t p = 0; p < BF_COUNT(phrases); p++) {
			unsigned n;

			if (phrases[p].text[0] != first || (phrases[p].where == AT_START && i > 0))
				continue;
			n = phrase_at(t, i, phrases[p].text);
			if (n > 0 && (phrases[p].where != AT_END || ends_part(t, i + n - 1)))
				kinds |= phrases[p].kind;
		}
	}
	/* `(The Broken Earth Trilogy, #1)` and `Book One of the X Trilogy` name a place, not a set */
	if (t->volume > 0 && t->n_series > 0 && !t->range)
		kinds &= ~(unsigned)KIND_SET;
	return kinds;
}

unsigned kinds_of_text(const char *folded)
{
	struct title t;

	title_parse(&t, folded, NULL);
	return kinds_of_title(&t);
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
	return article && n >= 2 && n <= 7 && words_in(last, len, "novel thriller mystery memoir romance novella");
}

bool kinds_is_franchise(const char *folded_main)
{
	for (size_t i = 0; i < BF_COUNT(franchises); i++)
		if (strcmp(franchises[i], folded_main) == 0)
			return true;
	return false;
}

/*
 * prompt: what the models are asked. Seven variants of one question, so that an attempt which
 * brought nothing is followed by one that asks differently. The number of books is a ceiling:
 * models asked for an exact number either invent or refuse.
 */
#include <string.h>
#include "backfill/books.h"

const char *const bf_prompt_variants[BF_PROMPT_VARIANTS] = {
	"baseline",	      "contemporary-notable",	 "annual",
	"diversity-emphasis", "overlooked-significance", "genre-rotation",
	"era-contextualized",
};

static const char *const months[12] = {
	"January", "February", "March",	    "April",   "May",	   "June",
	"July",	   "August",   "September", "October", "November", "December",
};

static const char *const genres[] = {
	"literary fiction and poetry",
	"crime fiction, mysteries and thrillers",
	"science fiction, fantasy and horror",
	"history and biography",
	"science, nature and technology",
	"children's and young adult books",
	"memoir, essays and journalism",
	"romance, family sagas and historical fiction",
	"comics, graphic novels and illustrated books",
	"business, politics and social questions",
	"cookery, art, travel and the art of living",
	"translated fiction from other languages",
};

/* What people were living through, in general words: a frame for memory, not a list of answers. */
static const struct { int to; const char *text;
} eras[] = {
	{ 1913, "the last years before the First World War" },
	{ 1918, "the First World War" },
	{ 1929, "the years between the First World War and the Great Depression" },
	{ 1938, "the Great Depression" },
	{ 1945, "the Second World War" },
	{ 1959, "the post-war years and the early Cold War" },
	{ 1969, "the space race, decolonisation and the struggles for civil rights" },
	{ 1979, "the oil crises and the social change of the seventies" },
	{ 1989, "the last decade of the Cold War" },
	{ 1999, "the years after the Cold War and the coming of the web" },
	{ 2003, "the turn of the millennium, the end of the dot-com boom and the attacks of 11 "
		"September 2001 with their "
		"aftermath" },
	{ 2008, "the wars in Afghanistan and Iraq, the rise of social networks and the way into "
		"the financial crisis" },
	{ 2012,
	  "the aftermath of the financial crisis, the spread of e-books and the Arab uprisings" },
	{ 2016,
	  "the years of streaming and smartphones, of migration and of political polarisation" },
	{ 2019, "years of political upheaval, of the movement against sexual harassment and of "
		"growing worry about climate" },
	{ 2022,
	  "the pandemic, the protests against racism and the changes in how people live and work" },
	{ 2100, "the years after the pandemic, with war in Europe, inflation and the spread of "
		"artificial intelligence" },
};

int bf_prompt_index(const char *variant)
{
	for (int i = 0; variant != NULL && i < BF_PROMPT_VARIANTS; i++)
		if (strcmp(bf_prompt_variants[i], variant) == 0)
			return i;
	return -1;
}

const char *bf_prompt_rotate(const char *variant, int round)
{
	int index = bf_prompt_index(variant);

	if (index < 0)
		return NULL;
	return bf_prompt_variants[(index + (round > 0 ? round % BF_PROMPT_VARIANTS : 0)) %
				  BF_PROMPT_VARIANTS];
}

const char *bf_month_name(int month)
{
	return month >= 1 && month <= 12 ? months[month - 1] : "";
}

const char *bf_prompt_system(void)
{
	return "You are a librarian who knows which books came out when. You name real, published "
	       "books only, as a careful "
	       "bibliographer would: the title as printed on the title page, the author's name in "
	       "full, the publisher and year of "
	       "the first edition. You would rather leave a book out than guess. You answer with "
	       "JSON that follows the given "
	       "schema and with nothing else.";
}

/* What the times were like. */
static const char *era_of(int year)
{
	for (size_t i = 0; i < BF_COUNT(eras); i++)
		if (year <= eras[i].to)
			return eras[i].text;
	return eras[BF_COUNT(eras) - 1].text;
}

/* What this variant asks for, in one or two sentences. */
static void add_focus(int variant, int year, int month, struct bf_buf *out)
{
	const char *name = bf_month_name(month);

	switch (variant) {
	case 1:
		bf_buf_addf(out,
			    "Choose the books of %s %d that were talked about: best-seller lists, "
			    "prize long and short lists, "
			    "debuts that lasted, books that set off a debate, in fiction and "
			    "non-fiction and for all ages.",
			    name, year);
		break;
	case 2:
		bf_buf_addf(out,
			    "Think of the notable books of the whole year %d and name those of "
			    "them which were first published in "
			    "%s %d. Where you know the year but not the month for certain, you may "
			    "name a book if that month is likely.",
			    year, name, year);
		break;
	case 3:
		bf_buf_addf(out,
			    "Look for the books of %s %d by writers of many origins: women and "
			    "men, authors from Africa, Asia, "
			    "Latin America and indigenous peoples, small presses, translations "
			    "into English.",
			    name, year);
		break;
	case 4:
		bf_buf_addf(out,
			    "Look past the best-sellers of %s %d: books which few noticed at the "
			    "time and which turned out to matter, "
			    "which founded a field, found their readers late, or are valued by "
			    "those who know it.",
			    name, year);
		break;
	case 5:
		bf_buf_addf(out,
			    "Look at %s in %s %d first; fill up with notable books of that month "
			    "from other fields.",
			    genres[(unsigned)(year * 12 + month) % BF_COUNT(genres)], name, year);
		break;
	case 6:
		bf_buf_addf(out,
			    "Put yourself into %s %d, in %s. Name the books which appeared in that "
			    "month and which people read then: "
			    "those which spoke of the time, and those which helped to get away "
			    "from it.",
			    name, year, era_of(year));
		break;
	default:
		bf_buf_addf(out,
			    "Choose books of %s %d which lasted: read, cited, taught, awarded or "
			    "much loved since, in fiction and "
			    "non-fiction, for adults and for children.",
			    name, year);
		break;
	}
}

void bf_prompt_user(const char *variant, int year, int month, int up_to_n, struct bf_buf *out)
{
	int index = bf_prompt_index(variant);

	bf_buf_addf(out, "Name up to %d books that were first published in %s %d.\n\n", up_to_n,
		    bf_month_name(month), year);
	add_focus(index < 0 ? 0 : index, year, month, out);
	bf_buf_adds(out, "\n\nFor each book give title, author, publisher, format (hardcover, "
			 "paperback, ebook or audiobook), "
			 "publication year, and in one sentence its significance. Several authors "
			 "go into one text, parted by "
			 "semicolons. Give the subtitle only if you know it. Leave out the ISBN "
			 "unless you are certain of every "
			 "digit of it.\n\n");
	bf_buf_addf(
		out,
		"%d is the most, not the aim: fewer is fine, and an empty list is an answer. Do "
		"not invent a book, an author or a "
		"date to fill the list, and name no book twice. Answer in JSON as the schema says.",
		up_to_n);
}

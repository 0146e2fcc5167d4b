/*
 * language: whether a record is in the wanted book's language, from codes and names as providers
 * write them (ISO 639-1, -2/B, -2/T, English names, `en_US`, `ger German`), and from what a title
 * gives away.
 */
#include <string.h>
#include "backfill/books.h"
#include "fold.h"
#include "title.h"
#include "words.h"

/* Row n is bit n. Names: every spelling seen. Small: function words which English titles do not
 * have. */
static const struct { const char *names, *small, *edition;
} languages[] = {
	{ "en eng english", "the of and with your how from you", "" },
	{ "es spa spanish espanol castellano castilian",
	  "el los las la de en se un va que y del una para por con", "spanish espanol espanola" },
	{ "fr fre fra french francais",
	  "le la de en un les des du et une dans pour sur au aux qui est", "french francaise" },
	{ "de ger deu german deutsch", "der die das und ein eine im ist nicht mit vom zum ich von",
	  "german deutsche deutsch" },
	{ "it ita italian italiano", "il la di un lo gli della di del nel una che delle",
	  "italian italiana italiano" },
	{ "pt por portuguese portugues pob", "o de um os da do uma em das dos ao sem",
	  "portuguese portuguesa brazilian" },
	{ "nl dut nld dutch nederlands flemish", "de het een van en voor", "dutch nederlandse" },
	{ "ru rus russian", "", "russian" },
	{ "ja jpn japanese", "", "japanese" },
	{ "zh chi zho chinese cmn", "", "chinese" },
	{ "ko kor korean", "", "korean" },
	{ "pl pol polish", "i w na nie", "polish" },
	{ "sv swe swedish", "och att en det som", "swedish" },
	{ "da dan danish", "og det en af", "danish" },
	{ "no nor nob nno norwegian", "og det en av", "norwegian" },
	{ "fi fin finnish", "ja", "finnish" },
	{ "tr tur turkish", "ve bir", "turkish" },
	{ "ar ara arabic", "", "arabic" },
	{ "he heb hebrew", "", "hebrew" },
	{ "el gre ell greek grc", "", "greek" },
	{ "cs cze ces czech", "a v", "czech" },
	{ "hu hun hungarian", "az es", "hungarian" },
	{ "ro rum ron romanian", "", "romanian" },
	{ "uk ukr ukrainian", "", "ukrainian" },
	{ "ca cat catalan", "el els les", "catalan" },
	{ "hi hin hindi", "", "hindi" },
	{ "fa per fas persian", "", "persian" },
	{ "vi vie vietnamese", "", "vietnamese" },
	{ "id ind indonesian", "dan yang", "indonesian" },
	{ "la lat latin", "", "latin" },
	{ "bg bul bulgarian", "", "bulgarian" },
};

/* Adds to bits every language in whose list (0 names, 1 small words, 2 edition words) the word
 * stands. */
static unsigned bits_of_word(const char *w, size_t len, int column)
{
	unsigned bits = 0;

	for (size_t i = 0; i < BF_COUNT(languages); i++) {
		const char *list = column == 0 ? languages[i].names :
				   column == 1 ? languages[i].small :
						 languages[i].edition;

		if (words_in(w, len, list))
			bits |= 1u << i;
	}
	return bits;
}

unsigned language_of_text(const char *code_or_name)
{
	char text[128];
	unsigned bits = 0;

	if (code_or_name == NULL)
		return 0;
	bf_fold(code_or_name, text, sizeof(text));
	for (char *p = text; *p != '\0';) {
		size_t len = words_len(p);

		bits |= bits_of_word(p, len, 0);
		/* what follows a two-letter code is its country: en_US, pt-BR, fr-CA */
		p += len;
		p += *p == ' ';
		if (len == 2 && words_len(p) == 2 && p[2] == '\0')
			break;
	}
	return bits;
}

unsigned language_of_title(const char *title)
{
	char text[BF_KEY_MAX];
	const char *at;
	size_t len;

	if (title == NULL ||
	    (strcasestr(title, "dition") == NULL && strcasestr(title, "dici") == NULL &&
	     strcasestr(title, "dizione") == NULL && strcasestr(title, "ausgabe") == NULL &&
	     strcasestr(title, "version") == NULL && strcasestr(title, "language") == NULL))
		return 0;
	bf_fold(title, text, sizeof(text));
	for (char *p = text; *p != '\0';) {
		unsigned bits;

		len = words_len(p);
		bits = bits_of_word(p, len, 2);
		at = p + len + (p[len] == ' ');
		if (bits != 0 && words_in(at, words_len(at), "edition version language ausgabe"))
			return bits;
		p += len;
		p += *p == ' ';
	}
	if (strstr(text, "edicion") != NULL)
		return 1u << 1;
	if (strstr(text, "edition francaise") != NULL)
		return 1u << 2;
	if (strstr(text, "edizione italiana") != NULL)
		return 1u << 4;
	return strstr(text, "edicao") != NULL ? 1u << 5 : 0;
}

unsigned language_guess(const char *title)
{
	char text[BF_KEY_MAX];
	unsigned bits = 0;

	bf_fold(title, text, sizeof(text));
	for (char *p = text; *p != '\0';) {
		size_t len = words_len(p);

		bits |= bits_of_word(p, len, 1);
		p += len;
		p += *p == ' ';
	}
	return bits;
}

bool language_is_latin(const char *title)
{
	size_t n = strlen(title), other = 0, latin = 0;

	for (size_t at = 0; at < n;) {
		int32_t cp;

		at += fold_next(title + at, n - at, &cp);
		if ((cp | 32) >= 'a' && (cp | 32) <= 'z')
			latin++;
		else if (cp >= 0xC0 && cp <= 0x24F)
			latin++;
		else if (cp >= 0x370 && !(cp >= 0x1E00 && cp <= 0x1EFF) &&
			 !(cp >= 0x2000 && cp <= 0x2BFF))
			other++;
	}
	return latin >= other;
}

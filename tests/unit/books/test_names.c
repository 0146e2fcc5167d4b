/* names: one person however written, and nobody else. */
#include "cmocka_all.h"
#include "backfill/books.h"

static const struct { const char *author, *key;
} keys[] = {
	{ "Rowling, J. K.", "jk rowling" },
	{ "J.K. Rowling", "jk rowling" },
	{ "J. K. Rowling", "jk rowling" },
	{ "JK Rowling", "jk rowling" },
	{ "Martin Luther King Jr.", "martin luther king" },
	{ "Martin Luther King", "martin luther king" },
	{ "King, Martin Luther, Jr.", "martin luther king" },
	{ "Arthur Herzog III", "arthur herzog" },
	{ "various authors", "various" },
	{ "Anthology", "various" },
	{ "Various", "various" },
	{ "Multiple Authors", "various" },
	{ "Tim O'Brien", "tim obrien" },
	{ "François Mauriac", "francois mauriac" },
	{ "Mary-Jane Smith", "mary jane smith" },
	{ "Dr. Bessel van der Kolk, MD", "bessel van der kolk" },
	{ "Casey Means MD", "casey means" },
	{ "Frank Herbert ~autofilled~", "frank herbert" },
	{ "by Frank Herbert", "frank herbert" },
	{ "Herbert, Frank, 1920-1986", "frank herbert" },
	{ "Neil Gaiman & Terry Pratchett", "neil gaiman" },
	{ "Gaiman, Neil; Pratchett, Terry", "neil gaiman" },
	{ "Stephen King, Peter Straub", "stephen king" },
	{ "50 Cent", "50 cent" },
	{ "Sheeran, Ed", "ed sheeran" },
	{ "刘慈欣", "刘慈欣" },
	{ "Homer", "homer" },
	{ "\"Frank Herbert\"@en", "frank herbert" },
	{ "Li, William W.", "william w li" },
	{ "", "" },
};

/* Each author text has the key of its first person. */
static void author_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(keys); i++) {
		char key[BF_KEY_MAX];

		bf_author_key(keys[i].author, key);
		if (strcmp(key, keys[i].key) != 0)
			fail_msg("\"%s\": key \"%s\", not \"%s\"", keys[i].author, key,
				 keys[i].key);
	}
}

static const struct { const char *authors, *names;
} splits[] = {
	{ "Frank Herbert", "Frank Herbert" },
	{ "Herbert, Frank", "Frank Herbert" },
	{ "Neil Gaiman and Terry Pratchett", "Neil Gaiman|Terry Pratchett" },
	{ "A. Smith, B. Jones and C. Brown", "A. Smith|B. Jones|C. Brown" },
	{ "Stephen King, Peter Straub", "Stephen King|Peter Straub" },
	{ "Gaiman, Neil; Pratchett, Terry", "Neil Gaiman|Terry Pratchett" },
	{ "Gaiman, Neil, Pratchett, Terry", "Neil Gaiman|Terry Pratchett" },
	{ "Ilona and Gordon Andrews", "Ilona Andrews|Gordon Andrews" },
	{ "Prince Harry with J.R. Moehringer", "Prince Harry|J.R. Moehringer" },
	{ "King, Martin Luther, Jr.", "Martin Luther King Jr." },
	{ "Jane Doe, PhD", "Jane Doe" },
	{ "John Green (Author); Ann Lee (Illustrator)", "John Green|Ann Lee" },
	{ "Le Guin, Ursula K.", "Ursula K. Le Guin" },
	{ "de la Cruz, Melissa", "Melissa de la Cruz" },
	{ "García Márquez, Gabriel", "Gabriel García Márquez" },
	{ "Herbert, Frank, 1920-1986", "Frank Herbert" },
	{ "Frank Herbert, illustrator", "Frank Herbert" },
	{ "A B; ; C D;", "A B|C D" },
	{ " , ;", "" },
	{ "", "" },
};

/* Author texts come apart into names in natural order. */
static void splitting(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(splits); i++) {
		struct bf_arena *arena = bf_arena_new();
		const char *name[8];
		char all[400] = "";
		size_t n = bf_author_split(splits[i].authors, arena, name, 8), len = 0;

		for (size_t k = 0; k < n; k++)
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s",
						k > 0 ? "|" : "", name[k]);
		assert_string_equal(all, splits[i].names);
		bf_arena_free(arena);
	}
}

/* No more names than asked for. */
static void splitting_stops(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	const char *name[2];

	(void)state;
	assert_int_equal(bf_author_split("A B; C D; E F", arena, name, 2), 2);
	assert_int_equal(bf_author_split("A B; C D; E F", arena, name, 0), 0);
	bf_arena_free(arena);
}

static const struct { const char *a, *b; int least, most;
} likenesses[] = {
	{ "Rowling, J. K.", "J.K. Rowling", 100, 100 },
	{ "Joanne Rowling", "J. K. Rowling", 85, 99 },
	{ "Gabriel García Márquez", "Garcia Marquez, Gabriel", 100, 100 },
	{ "Ursula K. Le Guin", "Ursula Le Guin", 90, 99 },
	{ "Bessel van der Kolk", "van der Kolk, Bessel A.", 90, 99 },
	{ "Liu Cixin", "Cixin Liu", 90, 99 },
	{ "Stephen King;Peter Straub", "Peter Straub", 95, 100 },
	{ "Neil Gaiman and Terry Pratchett", "Pratchett, Terry; Gaiman, Neil", 95, 100 },
	{ "Mew;Charlotte", "Charlotte Mew", 95, 100 },
	{ "Alex Michaelidis", "Alex Michaelides", 80, 95 },
	{ "Mary Higgins Clak", "Mary Higgins Clark", 75, 90 },
	{ "Steven King", "Stephen King", 85, 95 },
	{ "F. Herbert", "Frank Herbert", 85, 95 },
	{ "Emily Bronte", "Emily Brontë", 100, 100 },
	{ "Jo Nesbo", "Jo Nesbø", 100, 100 },
	{ "Tolkien", "J.R.R. Tolkien", 60, 79 },
	{ "various authors", "anthology", 100, 100 },
	{ "O Brien", "O'Brien", 95, 100 },
	{ "Douglas Adams@en", "Douglas Adams", 100, 100 },
	/* other people */
	{ "Frank Herbert", "Brian Herbert", 0, 40 },
	{ "Emily Brontë", "Anne Brontë", 0, 40 },
	{ "John A. Smith", "John B. Smith", 0, 65 },
	{ "Stephen King", "Stephen Hawking", 0, 40 },
	{ "Zoe Brown", "Zadie Brown", 0, 40 },
	{ "John Green", "Hank Green", 0, 40 },
	{ "various authors", "Frank Herbert", 0, 0 },
	{ "", "Frank Herbert", 0, 0 },
	{ "刘慈欣", "余华", 0, 0 },
};

/* Likeness lies in its range, both ways round. */
static void likeness(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(likenesses); i++) {
		int ab = bf_author_similarity(likenesses[i].a, likenesses[i].b);
		int ba = bf_author_similarity(likenesses[i].b, likenesses[i].a);

		if (ab < likenesses[i].least || ab > likenesses[i].most || ab != ba)
			fail_msg("\"%s\" and \"%s\": %d and %d", likenesses[i].a, likenesses[i].b,
				 ab, ba);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(author_keys),
		cmocka_unit_test(splitting),
		cmocka_unit_test(splitting_stops),
		cmocka_unit_test(likeness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

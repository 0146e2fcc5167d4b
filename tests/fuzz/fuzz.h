/*
 * fuzz: what the targets share. A target gets bytes nobody chose and checks what must hold whatever they are; the
 * sanitizers see the rest. Built for libFuzzer, or with replay.c to run files through it.
 */
#ifndef FUZZ_H
#define FUZZ_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backfill/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Always on, in every kind of build. */
#define FUZZ_CHECK(what)                                                                \
	do {                                                                            \
		if (!(what)) {                                                          \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                        \
		}                                                                       \
	} while (0)

/* Text that is absent, or whole UTF-8. */
static inline void fuzz_check_text(const char *text)
{
	FUZZ_CHECK(text == NULL || bf_utf8_valid(text, strlen(text)));
}

/* The bytes that are left, taken from the front. */
struct fuzz_in { const uint8_t *at; size_t left; };

static inline unsigned fuzz_byte(struct fuzz_in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

/* Up to the next newline, or all of it; NUL-terminated, released by the caller. NULs inside end it early. */
static inline char *fuzz_line(struct fuzz_in *in)
{
	const uint8_t *end = in->left > 0 ? memchr(in->at, '\n', in->left) : NULL;
	size_t len = end != NULL ? (size_t)(end - in->at) : in->left;
	char *line = bf_xmalloc(len + 1);

	if (len > 0)
		memcpy(line, in->at, len);
	line[len] = '\0';
	in->at += len + (end != NULL);
	in->left -= len + (end != NULL);
	return line;
}

static inline char *fuzz_rest(struct fuzz_in *in)
{
	char *text = bf_xmalloc(in->left + 1);

	if (in->left > 0)
		memcpy(text, in->at, in->left);
	text[in->left] = '\0';
	in->left = 0;
	return text;
}
#endif

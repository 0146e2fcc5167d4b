/*
 * alloc: memory for small fixed things, which dies with a message when there is none (there is
 * nothing sensible to do instead), and arenas, which own all that one answer is parsed into.
 * What the network can make large goes into a capped buffer (buf.c), not here.
 */
#include "backfill/base.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_FIRST_BYTES = 2048, ARENA_CHUNK_BYTES = 65536 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, cap;
	alignas(max_align_t) char mem[];
};

struct bf_arena {
	struct arena_chunk *head;	/* the one being filled */
	size_t next_cap;
};

/* Says so without allocating, and ends the process without any of its destructors. */
void bf_out_of_memory(void)
{
	static const char text[] = "backfill: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

/* malloc that does not fail; 0 bytes gives a pointer too. */
void *bf_xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		bf_out_of_memory();
	return p;
}

/* calloc that does not fail. */
void *bf_xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		bf_out_of_memory();
	return p;
}

/* realloc to n * size bytes, checked for overflow, that does not fail. */
void *bf_xrealloc(void *old, size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		bf_out_of_memory();
	p = realloc(old, bytes ? bytes : 1);
	if (!p)
		bf_out_of_memory();
	return p;
}

/* strdup that does not fail. */
char *bf_xstrdup(const char *s)
{
	size_t len = strlen(s);
	char *p = bf_xmalloc(len + 1);

	memcpy(p, s, len + 1);
	return p;
}

/* asprintf that does not fail. */
char *bf_xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (len < 0 || !p)
		bf_out_of_memory();
	return p;
}

/* An empty arena; memory is taken when the first thing is put in it. */
struct bf_arena *bf_arena_new(void)
{
	struct bf_arena *a = bf_xcalloc(1, sizeof(*a));

	a->next_cap = ARENA_FIRST_BYTES;
	return a;
}

/* Frees the arena with everything in it. */
void bf_arena_free(struct bf_arena *a)
{
	struct arena_chunk *c, *next;

	if (!a)
		return;
	for (c = a->head; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

/* Adds a chunk that holds at least `size` bytes. A large thing gets its own chunk behind the head,
 * so that the room left in the head is not lost. */
static struct arena_chunk *arena_grow(struct bf_arena *a, size_t size)
{
	bool own = size > a->next_cap / 2;
	size_t cap = own ? size : a->next_cap;
	struct arena_chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		bf_out_of_memory();
	c = bf_xmalloc(sizeof(*c) + cap);
	c->used = 0;
	c->cap = cap;
	if (own && a->head) {
		c->next = a->head->next;
		a->head->next = c;
		return c;
	}
	c->next = a->head;
	a->head = c;
	if (a->next_cap < ARENA_CHUNK_BYTES)
		a->next_cap *= 2;
	return c;
}

/* Zeroed memory, aligned for anything, that lives as long as the arena. */
void *bf_arena_alloc(struct bf_arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *c = a->head;
	void *p;

	if (size > SIZE_MAX - align)
		bf_out_of_memory();
	size = ((size ? size : 1) + align - 1) / align * align;
	if (!c || c->cap - c->used < size)
		c = arena_grow(a, size);
	p = c->mem + c->used;
	c->used += size;
	return memset(p, 0, size);
}

/* A copy of the first n bytes at most, ended by NUL. */
char *bf_arena_strndup(struct bf_arena *a, const char *s, size_t n)
{
	size_t len;
	char *p;

	if (!s)
		return NULL;
	len = strnlen(s, n);
	p = bf_arena_alloc(a, len + 1);
	memcpy(p, s, len);
	return p;
}

/* A copy in the arena. */
char *bf_arena_strdup(struct bf_arena *a, const char *s)
{
	return s ? bf_arena_strndup(a, s, strlen(s)) : NULL;
}

/* Formatted text in the arena. */
char *bf_arena_printf(struct bf_arena *a, const char *fmt, ...)
{
	char *whole = NULL, *p;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&whole, fmt, ap);
	va_end(ap);
	if (len < 0 || !whole)
		bf_out_of_memory();
	p = bf_arena_strndup(a, whole, (size_t)len);
	free(whole);
	return p;
}

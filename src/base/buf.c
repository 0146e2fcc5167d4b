/*
 * buf: a buffer that grows up to a maximum given at its start. An append that would pass it changes
 * nothing but `failed`, and every later append fails too, so a caller may append freely and look
 * once at the end. Want of memory ends the process as it does everywhere (alloc.c): what could not
 * be put together, an answer that was paid for or the next step of a month, must not be skipped.
 */
#include "backfill/base.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 256 };

/* What data points at while nothing is allocated; never written to. */
static char buf_empty[1];

/* Empty, without memory of its own yet. */
void bf_buf_init(struct bf_buf *b, size_t max_bytes)
{
	*b = (struct bf_buf){ .data = buf_empty, .max = max_bytes };
}

/* Gives the memory back; the buffer is as after init. */
void bf_buf_release(struct bf_buf *b)
{
	if (b->cap)
		free(b->data);
	bf_buf_init(b, b->max);
}

/* Empties it for use anew. */
void bf_buf_clear(struct bf_buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->cap)
		b->data[0] = '\0';
}

/* Makes room for n more bytes and the NUL. */
static bool buf_reserve(struct bf_buf *b, size_t n)
{
	size_t need, cap;

	if (b->failed || n > b->max || b->len > b->max - n) {
		b->failed = true;
		return false;
	}
	need = b->len + n + 1;
	if (need <= b->cap)
		return true;
	cap = b->cap ? b->cap : BUF_FIRST_BYTES;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max)
		cap = b->max + 1;	/* need <= max + 1, so this is enough */
	b->data = bf_xrealloc(b->cap ? b->data : NULL, 1, cap);
	b->cap = cap;
	return true;
}

/* Appends n bytes. */
bool bf_buf_add(struct bf_buf *b, const void *bytes, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
	return true;
}

/* Appends a string. */
bool bf_buf_adds(struct bf_buf *b, const char *s)
{
	return bf_buf_add(b, s, strlen(s));
}

/* Appends formatted text. */
bool bf_buf_addf(struct bf_buf *b, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (len < 0) {
		b->failed = true;
		return false;
	}
	if ((size_t)len < sizeof(small))
		return bf_buf_add(b, small, (size_t)len);
	if (!buf_reserve(b, (size_t)len))
		return false;
	va_start(ap, fmt);
	len = vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	if (len > 0)
		b->len += (size_t)len;
	return true;
}

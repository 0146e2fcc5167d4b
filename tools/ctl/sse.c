/*
 * sse: lines end with CR, LF or both; an empty one ends an event; a colon begins a comment, which is the heartbeat.
 */
#include "sse.h"
#include <stdlib.h>
#include <string.h>

#define PART_MAX     (1u << 20)
#define RETRY_MAX_MS 600000

/* Starts with nothing. */
void sse_init(struct sse *s, sse_done *done, void *ctx)
{
	*s = (struct sse){ .retry_ms = -1, .done = done, .ctx = ctx };
	bf_buf_init(&s->line, PART_MAX);
	bf_buf_init(&s->data, PART_MAX);
}

/* Frees the buffers. */
void sse_release(struct sse *s)
{
	bf_buf_release(&s->line);
	bf_buf_release(&s->data);
}

/* A new connection begins with a new line. */
void sse_restart(struct sse *s)
{
	bf_buf_clear(&s->line);
	bf_buf_clear(&s->data);
	s->name[0] = '\0';
	memcpy(s->next_id, s->id, sizeof(s->id));
	s->after_cr = s->begun = false;
}

/* Hands an event out, if it has data. Only now its id counts: one that was cut off has to come again. */
static void end_event(struct sse *s)
{
	memcpy(s->id, s->next_id, sizeof(s->id));
	if (s->data.len > 0) {
		struct sse_event event = { s->name[0] != '\0' ? s->name : "message", s->id,
			s->data.data };

		s->data.data[--s->data.len] = '\0'; /* the last line's end is not part of it */
		s->done(s->ctx, &event);
	}
	bf_buf_clear(&s->data);
	s->name[0] = '\0';
}

/* Copies a value that fits; a longer one is left out. */
static void keep(char *into, size_t size, const char *value, size_t len)
{
	if (len >= size)
		return;
	memcpy(into, value, len);
	into[len] = '\0';
}

/* Digits only, and no longer than anybody should wait. */
static void read_retry(struct sse *s, const char *value, size_t len)
{
	if (len == 0 || len > 9 || strspn(value, "0123456789") != len)
		return;
	s->retry_ms = strtol(value, NULL, 10);
	if (s->retry_ms > RETRY_MAX_MS)
		s->retry_ms = RETRY_MAX_MS;
}

/* One line without its end. */
static bool end_line(struct sse *s)
{
	const char *line = s->line.data, *colon, *value;
	size_t len = s->line.len, name_len, value_len;

	if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		len -= 3;
	}
	s->begun = true;
	if (len == 0) {
		end_event(s);
		bf_buf_clear(&s->line);
		return true;
	}
	colon = memchr(line, ':', len);
	name_len = colon != NULL ? (size_t)(colon - line) : len;
	value = colon != NULL ? colon + 1 : line + len;
	value_len = len - (size_t)(value - line);
	if (value_len > 0 && *value == ' ') {
		value++;
		value_len--;
	}
	if (name_len == 4 && memcmp(line, "data", 4) == 0) {
		bf_buf_add(&s->data, value, value_len);
		bf_buf_add(&s->data, "\n", 1);
	} else if (name_len == 5 && memcmp(line, "event", 5) == 0) {
		keep(s->name, sizeof(s->name), value, value_len);
	} else if (name_len == 2 && memcmp(line, "id", 2) == 0) {
		if (memchr(value, '\0', value_len) == NULL)
			keep(s->next_id, sizeof(s->next_id), value, value_len);
	} else if (name_len == 5 && memcmp(line, "retry", 5) == 0) {
		read_retry(s, value, value_len);
	}
	bf_buf_clear(&s->line);
	return !s->data.failed;
}

/* A piece of the stream. */
bool sse_feed(struct sse *s, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = 0;

		if (s->after_cr && bytes[i] == '\n') {
			s->after_cr = false;
			i++;
			continue;
		}
		s->after_cr = false;
		while (i + n < len && bytes[i + n] != '\n' && bytes[i + n] != '\r')
			n++;
		if (n > 0 && !bf_buf_add(&s->line, bytes + i, n))
			return false;
		i += n;
		if (i == len)
			break;
		s->after_cr = bytes[i++] == '\r';
		if (!end_line(s))
			return false;
	}
	return true;
}

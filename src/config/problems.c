/* problems: see problems.h. */
#include "problems.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS_MAX = 100 };

/* Makes a text safe to print anywhere. */
static void problem_clean(char *text, size_t len)
{
	bool broken = !bf_utf8_valid(text, len);

	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)text[i];

		if (ch < 0x20 || ch == 0x7f || (broken && ch >= 0x80))
			text[i] = '?';
	}
}

void config_problem(struct bf_config_problems *ps, int line, const char *fmt, ...)
{
	struct bf_config_problem p = { .line = line };
	char wide[1024];
	size_t at, len;
	va_list ap;

	if (ps->n > PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	if (vsnprintf(wide, sizeof(wide), fmt, ap) < 0)
		wide[0] = '\0';
	va_end(ap);
	if (ps->n == PROBLEMS_MAX) {
		p.line = ps->v[ps->n - 1].line;
		snprintf(wide, sizeof(wide), "too many problems; the rest is not shown");
	}
	len = bf_utf8_cut(wide, strlen(wide), sizeof(p.text) - 1);
	memcpy(p.text, wide, len);
	problem_clean(p.text, len);
	ps->v = bf_xrealloc(ps->v, ps->n + 1, sizeof(*ps->v));
	for (at = ps->n; at > 0 && ps->v[at - 1].line > p.line; at--)
		ps->v[at] = ps->v[at - 1];
	ps->v[at] = p;
	ps->n++;
}

/* Frees the list; it is empty afterwards. */
void bf_config_problems_release(struct bf_config_problems *ps)
{
	free(ps->v);
	*ps = (struct bf_config_problems){ 0 };
}

/*
 * ini: reads the file with inih, which sees it through a reader of our own. inih cuts lines that do
 * not fit its buffer, takes an indented line for a second value of the key above, tells only the
 * first error, and cannot tell an empty section; so the reader looks at every line first, reports
 * what inih would misunderstand, and hands it an empty line instead. That also makes the line
 * numbers true.
 */
#include "input.h"
#include "files.h"
#include "problems.h"
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INI_FILE_BYTES = 1 << 20 };

struct ini_source {
	const char *next, *end;
	int line;			/* of what inih was handed last */
	bool in_unknown;		/* its section is not known: one problem is enough */
	struct config_input *input;
	struct bf_config_problems *problems;
};

struct config_given *input_at(struct config_input *in, struct config_place at)
{
	return &in->key[at.key][at.provider];
}

/* A header line: notes a section that does not exist. False: the line is broken. */
static bool ini_section(struct ini_source *s, const char *line)
{
	const char *end = strchr(line, ']'), *rest;
	char name[64], near[40];
	const char *hint;

	s->in_unknown = true;
	if (!end || end - line > 60) {
		config_problem(s->problems, s->line, "a section is written [name]");
		return false;
	}
	memcpy(name, line + 1, (size_t)(end - line - 1));
	name[end - line - 1] = '\0';
	rest = end + 1 + strspn(end + 1, " \t");
	if (*rest && *rest != ';' && *rest != '#') {
		config_problem(s->problems, s->line, "text behind the section's name");
		return false;
	}
	s->in_unknown = !config_has_section(name);
	if (!s->in_unknown)
		return true;
	hint = config_near_section(name, near);
	config_problem(s->problems, s->line, "unknown section [%s]%s%s%s", name,
		       hint ? "; did you mean [" : "", hint ? hint : "", hint ? "]?" : "");
	return true;
}

/* Looks at a line before inih does; false when inih must not see it. */
static bool ini_vet(struct ini_source *s, const char *line, size_t len, size_t room)
{
	size_t indent = strspn(line, " \t\f\v"), word;

	if (memchr(line, '\0', len)) {
		config_problem(s->problems, s->line, "the line has a NUL byte in it");
		return false;
	}
	if (!bf_utf8_valid(line, len)) {
		config_problem(s->problems, s->line, "the line is not valid UTF-8");
		return false;
	}
	if (len > room) {
		config_problem(
			s->problems, s->line,
			"the line has %zu bytes, more than the %zu that can be read; long values "
			"go into a file of their own (conninfo_file)",
			len, room);
		return false;
	}
	if (!line[indent] || line[indent] == ';' || line[indent] == '#')
		return true;
	if (indent) {
		config_problem(
			s->problems, s->line,
			"the line is indented: continuation lines are not supported, begin in the "
			"first column");
		return false;
	}
	if (line[0] == '[')
		return ini_section(s, line);
	word = strcspn(line, "=:;");
	if (word == 0 || line[word] == '\0' || line[word] == ';') {
		config_problem(s->problems, s->line, "neither a [section] nor key = value");
		return false;
	}
	return true;
}

/* What inih calls for its next line: fgets over the text, with a look at each line. */
static char *ini_next_line(char *buf, int size, void *stream)
{
	struct ini_source *s = stream;
	const char *newline;
	size_t len;
	char *line;

	if (s->next >= s->end || size < 2)
		return NULL;
	s->line++;
	newline = memchr(s->next, '\n', (size_t)(s->end - s->next));
	len = (size_t)((newline ? newline : s->end) - s->next);
	line = bf_xmalloc(len + 1);
	memcpy(line, s->next, len);
	s->next += len + (newline != NULL);
	if (len && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	if (!ini_vet(s, line, len, (size_t)size - 1))
		len = 0;
	memcpy(buf, line, len);
	buf[len] = '\0';
	explicit_bzero(line, len);
	free(line);
	return buf;
}

/* Notes a key that does not exist, with the most helpful guess. */
static void ini_unknown_key(struct ini_source *s, const char *section, const char *name)
{
	char written[60], near[60];
	struct config_place at;
	const char *hint;
	int slot;

	if (!*section) {
		config_problem(s->problems, s->line, "\"%s\" stands before the first [section]",
			       name);
		return;
	}
	snprintf(written, sizeof(written), "%s_file", name);
	if (strncmp(section, "provider.", 9) == 0 && strcmp(name, "model") == 0) {
		config_problem(s->problems, s->line,
			       "\"model\" is for provider.gemini and provider.xai only");
	} else if (config_find(section, written, &at, &slot)) {
		config_problem(
			s->problems, s->line,
			"[%s] takes no \"%s\": a secret is given by %s_file or %s_env, never in "
			"this file",
			section, name, name, name);
	} else {
		hint = config_near_key(section, name, near);
		config_problem(s->problems, s->line, "unknown key \"%s\" in [%s]%s%s%s", name,
			       section, hint ? "; did you mean \"" : "", hint ? hint : "",
			       hint ? "\"?" : "");
	}
}

/* What inih calls for each key: keeps the value. */
static int ini_take(void *user, const char *section, const char *name, const char *value)
{
	struct ini_source *s = user;
	struct config_given *given;
	struct config_place at;
	int slot;

	if (s->in_unknown)
		return 1;
	if (!config_find(section, name, &at, &slot)) {
		ini_unknown_key(s, section, name);
		return 1;
	}
	given = input_at(s->input, at);
	if (given->value[slot]) {
		config_problem(s->problems, s->line,
			       "\"%s\" is given twice in [%s], the first time in line %d", name,
			       section, given->line[slot]);
		return 1;
	}
	given->value[slot] = bf_xstrdup(value ? value : "");
	given->line[slot] = s->line;
	return 1;
}

void ini_read(const char *path, struct config_input *input, struct bf_config_problems *problems)
{
	struct ini_source s = { .input = input, .problems = problems };
	struct bf_error err;
	struct bf_buf text;
	int wrong;

	bf_buf_init(&text, INI_FILE_BYTES);
	if (files_read(path, &text, &err)) {
		s.next = text.data;
		s.end = text.data + text.len;
		if (strncmp(text.data, "\xef\xbb\xbf", 3) == 0)
			s.next += 3;	/* some editors begin a file with a byte order mark */
		wrong = ini_parse_stream(ini_next_line, &s, ini_take, &s);
		/* every line was vetted, so this is for what nobody thought of */
		if (wrong && problems->n == 0)
			config_problem(problems, wrong > 0 ? wrong : 0, "cannot be read");
	} else {
		config_problem(problems, 0, "%s", err.text);
	}
	bf_buf_release(&text);
}

void input_release(struct config_input *in)
{
	for (int k = 0; k < CONFIG_MAX_KEYS; k++)
		for (int p = 0; p < BF_NPROVIDERS; p++)
			for (int slot = 0; slot < CONFIG_SLOTS; slot++)
				free(in->key[k][p].value[slot]);
}

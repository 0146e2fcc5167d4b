/*
 * secrets: NAME_file (its first line) or NAME_env. What is read goes into the struct and nowhere
 * else; no message repeats it, nor what stands in NAME_env or NAME_file when that looks like the
 * secret itself put in the wrong place.
 */
#include "files.h"
#include "load.h"
#include "problems.h"
#include "value.h"
#include <stdlib.h>
#include <string.h>

enum { SECRET_BYTES = 4096 };

/* Where the variable of a secret is remembered. */
static int secret_index(struct config_place at)
{
	const char *section = config_key(at)->section;

	if (strcmp(section, "provider") == 0)
		return at.provider;
	return strcmp(section, "admin") == 0 ? BF_NPROVIDERS : BF_NPROVIDERS + 1;
}

/* Secrets travel in HTTP headers: anything but visible ASCII is a mistake in the file. */
static const char *secret_check(const char *s)
{
	if (strlen(s) > SECRET_BYTES)
		return "is too long for a secret";
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
			return "holds spaces, control characters or letters outside ASCII";
	return NULL;
}

/* True for the name of an environment variable. */
static bool secret_is_variable(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return !(name[0] >= '0' && name[0] <= '9') && !name[strspn(name, letters)];
}

/* From a file: at start and at each reload. */
static char *secret_from_file(const char *label, const char *path, int line,
			      struct bf_config_problems *problems)
{
	struct bf_error err;
	char *secret;

	if (!strchr(path, '/')) {
		config_problem(
			problems, line,
			"%s_file must be a path with a / in it (the secret itself does not belong "
			"here)",
			label);
		return NULL;
	}
	secret = files_first_line(path, &err);
	if (!secret)
		config_problem(problems, line, "%s_file: %s", label, err.text);
	return secret;
}

/* From the environment: at start; later from the struct that was in force. */
static char *secret_from_env(struct config_loaded *c, struct config_place at, const char *variable,
			     bool written, const struct config_loaded *previous, int line,
			     struct bf_config_problems *problems)
{
	const char *name = config_key(at)->name, *value;
	int i = secret_index(at);

	if (!secret_is_variable(variable)) {
		config_problem(
			problems, line,
			"%s_env must be the name of an environment variable (the secret itself "
			"does not belong here)",
			name);
		return NULL;
	}
	c->env[i] = bf_xstrdup(variable);
	if (!previous) {
		value = getenv(variable);
		return value && value[0] ? bf_xstrdup(value) : NULL;
	}
	if (previous->env[i] && strcmp(previous->env[i], variable) == 0) {
		value = *(char *const *)config_field(&previous->pub, at);
		return value ? bf_xstrdup(value) : NULL;
	}
	if (written)
		config_problem(
			problems, line,
			"%s_env: the environment is read at start only; restart, or use %s_file",
			name, name);
	return NULL;
}

void secrets_load(struct config_loaded *c, struct config_place at, const struct config_given *given,
		  const struct config_loaded *previous, struct bf_config_problems *problems)
{
	const char *name = config_key(at)->name, *wrong;
	const char *variable = given->value[0], *file = given->value[1];
	bool from_file = file && file[0], written = variable && variable[0];
	char section[40], *secret;

	if (from_file && written) {
		config_problem(problems, given->line[1],
			       "%s_file and %s_env are both given in [%s]: keep one", name, name,
			       config_section(at, section));
		return;
	}
	if (!variable)
		variable = config_fallback(at);
	if (from_file)
		secret = secret_from_file(name, file, given->line[1], problems);
	else if (variable[0])
		secret = secret_from_env(c, at, variable, written, previous, given->line[0],
					 problems);
	else
		secret = NULL;
	if (from_file && secret)
		c->files[secret_index(at) + 2] = files_expand(file, &(struct bf_error){ 0 });
	wrong = secret ? secret_check(secret) : NULL;
	if (wrong)
		config_problem(problems, given->line[from_file], "[%s] %s: %s %s",
			       config_section(at, section), name, from_file ? "the file" : variable,
			       wrong);
	value_take(&c->pub, at, secret);
}

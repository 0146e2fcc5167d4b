/*
 * secret: reads the first line of a file, or the environment. What was read is wiped from where it passed.
 */
#include "secret.h"
#include "backfill/base.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 4096

/* Printable ASCII: it goes into a header, and a header has one line. */
static bool is_sendable(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s > '~')
			return false;
	}
	return true;
}

/* The first line without the blanks around it; NULL when it is no secret. */
static char *first_line(char *text)
{
	char *end;

	text += strspn(text, " \t");
	text[strcspn(text, "\r\n")] = '\0';
	end = text + strlen(text);
	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return is_sendable(text) ? bf_xstrdup(text) : NULL;
}

/* Reads as much as a secret may have. */
static ssize_t read_start(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

/* The secret of a file. */
static char *read_file(const char *path, char problem[256], char warning[256])
{
	char text[SECRET_MAX + 2], *secret = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t len;

	if (fd < 0 || fstat(fd, &st) != 0) {
		snprintf(problem, 256, "%.160s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	/* Of a pipe the mode says nothing: <(pass show backfilld) is as private as its reader. */
	if (S_ISREG(st.st_mode) && (st.st_mode & S_IRWXO) != 0)
		snprintf(warning, 256, "%.160s can be read or changed by everybody; chmod 600 it",
			path);
	len = read_start(fd, text, sizeof(text));
	if (len < 0)
		snprintf(problem, 256, "%.160s: %s", path, strerror(errno));
	else
		secret = first_line(text);
	if (len >= 0 && secret == NULL)
		snprintf(problem, 256,
			"%.160s: its first line is no secret (printable ASCII without blanks)",
			path);
	explicit_bzero(text, sizeof(text));
	close(fd);
	return secret;
}

/* The secret of the environment. */
static char *read_environment(char problem[256])
{
	const char *value = getenv(SECRET_ENV);

	if (value == NULL || *value == '\0')
		return NULL;
	if (is_sendable(value) && strlen(value) <= SECRET_MAX)
		return bf_xstrdup(value);
	snprintf(problem, 256, "$" SECRET_ENV " is no secret (printable ASCII without blanks)");
	return NULL;
}

/* A named file, else those of the service, else the environment. */
char *secret_find(const char *named_file, char problem[256], char warning[256])
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char *path = NULL, *secret;

	problem[0] = warning[0] = '\0';
	if (named_file != NULL)
		return read_file(named_file, problem, warning);
	if (folder != NULL && *folder == '/')
		path = bf_xasprintf("%s/webhook", folder);
	if (path == NULL || access(path, R_OK) != 0) {
		free(path);
		path = access(SECRET_DEFAULT_FILE, R_OK) == 0 ? bf_xstrdup(SECRET_DEFAULT_FILE)
							      : NULL;
	}
	secret = path != NULL ? read_file(path, problem, warning) : read_environment(problem);
	free(path);
	return secret;
}

/* Wipes and frees. */
void secret_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* files: see files.h. The only place of this room that opens files. */
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_LINE_BYTES = 16384 };

/* Reads until the end. O_NONBLOCK: a named pipe without a writer must not hold up the start. */
bool files_read(const char *path, struct bf_buf *buf, struct bf_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char part[4096];
	ssize_t got = 0;

	if (fd < 0) {
		bf_error_set(err, BF_ERR_CONFIG, "cannot open %s: %s", path, strerror(errno));
		return false;
	}
	while (!buf->failed) {
		got = read(fd, part, sizeof(part));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		bf_buf_add(buf, part, (size_t)got);
	}
	explicit_bzero(part, sizeof(part));
	if (got < 0)
		bf_error_set(err, BF_ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
	else if (buf->failed)
		bf_error_set(err, BF_ERR_CONFIG, "%s is larger than %zu bytes", path, buf->max);
	close(fd);
	return got >= 0 && !buf->failed;
}

char *files_expand(const char *path, struct bf_error *err)
{
	static const char name[] = "${CREDENTIALS_DIRECTORY}";
	const char *hit = strstr(path, name), *dir = getenv("CREDENTIALS_DIRECTORY");

	if (!hit && !strstr(path, "${"))
		return bf_xstrdup(path);
	if (!hit || strstr(hit + 1, "${")) {
		bf_error_set(
			err, BF_ERR_CONFIG,
			"only ${CREDENTIALS_DIRECTORY} is expanded in a file's name, and once");
		return NULL;
	}
	if (!dir || !dir[0]) {
		bf_error_set(
			err, BF_ERR_CONFIG,
			"${CREDENTIALS_DIRECTORY} is not set: systemd does, with LoadCredential=");
		return NULL;
	}
	return bf_xasprintf("%.*s%s%s", (int)(hit - path), path, dir, hit + sizeof(name) - 1);
}

/* A secret that everyone may read works, but its owner should know. */
static void files_warn_readable(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
		bf_log(BF_WARN, "secret file is readable by everyone", BF_S("path", path));
}

char *files_first_line(const char *written, struct bf_error *err)
{
	char *path = files_expand(written, err), *line = NULL;
	struct bf_buf buf;
	size_t len;

	if (!path)
		return NULL;
	bf_buf_init(&buf, FILES_LINE_BYTES);
	if (files_read(path, &buf, err)) {
		len = strcspn(buf.data, "\r\n");
		if (strlen(buf.data) != buf.len) {
			bf_error_set(err, BF_ERR_CONFIG, "%s is not a text file", path);
		} else if (len == 0) {
			bf_error_set(err, BF_ERR_CONFIG, "the first line of %s is empty", path);
		} else {
			line = bf_xmalloc(len + 1);
			memcpy(line, buf.data, len);
			line[len] = '\0';
			files_warn_readable(path);
		}
	}
	if (buf.cap)
		explicit_bzero(buf.data, buf.cap);
	bf_buf_release(&buf);
	free(path);
	return line;
}

/* systemd's credentials belong to root and are read through an ACL, whose mask shows as the group's rights. */
bool files_exposed(const char *path, bool secret, char *buf, size_t size)
{
	const char *given = getenv("CREDENTIALS_DIRECTORY");
	bool credential = given && given[0] && strncmp(path, given, strlen(given)) == 0;
	struct stat st;

	if (stat(path, &st) != 0)
		snprintf(buf, size, "cannot be looked at: %s", strerror(errno));
	else if (secret && st.st_mode & S_IROTH)
		snprintf(buf, size, "can be read by everyone (mode %04o)",
			(unsigned int)(st.st_mode & 07777));
	else if (secret && !credential && st.st_mode & S_IRGRP)
		snprintf(buf, size, "can be read by its group (mode %04o)",
			(unsigned int)(st.st_mode & 07777));
	else if (st.st_mode & (S_IWOTH | (credential ? 0 : S_IWGRP)))
		snprintf(buf, size, "can be changed by others (mode %04o)",
			(unsigned int)(st.st_mode & 07777));
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		snprintf(buf, size, "belongs to user %u, neither root nor the daemon's",
			(unsigned int)st.st_uid);
	else
		return false;
	return true;
}

/* files: whole small files, and the first line of one. */
#ifndef CONFIG_FILES_H
#define CONFIG_FILES_H
#include "backfill/base.h"

/* Reads a file into buf, whose maximum it must fit. false: *err says why, with the path. */
bool files_read(const char *path, struct bf_buf *buf, struct bf_error *err);
/* The first line of the file, allocated, without its end. `path` may hold ${CREDENTIALS_DIRECTORY}.
 * Warns in the log when everyone may read it. NULL: *err says why. The caller wipes it. */
char *files_first_line(const char *path, struct bf_error *err);
/* The path with ${CREDENTIALS_DIRECTORY} replaced, allocated. NULL: *err says why. */
char *files_expand(const char *path, struct bf_error *err);
/* What is wrong with who may read or write the file, into buf; false: nothing. */
bool files_exposed(const char *path, bool secret, char *buf, size_t size);
#endif

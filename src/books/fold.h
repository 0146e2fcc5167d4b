/*
 * fold: text brought to one form for comparing (private to books).
 */
#ifndef BOOKS_FOLD_H
#define BOOKS_FOLD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Folds n bytes into out (NUL-terminated, cut on a character boundary); returns the length. */
size_t fold_span(const char *s, size_t n, char *out, size_t size);
/* Reads an HTML entity at s ("&amp;", "&#39;", also encoded twice); returns the bytes taken, 0 for
 * none. */
size_t fold_entity(const char *s, size_t n, int32_t *ret_cp);
/* Next code point (entities are not decoded; an invalid byte reads as U+FFFD); returns the bytes
 * taken, >= 1. */
size_t fold_next(const char *s, size_t n, int32_t *ret_cp);
bool fold_is_apostrophe(int32_t cp);
#endif

/* utf8: what the other files of this room need of one character. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stddef.h>
#include <stdint.h>

/* Length (1..4) of the well-formed sequence at the start of n bytes; 0 when there is none. */
size_t utf8_sequence(const char *, size_t n);
/* Writes one code point (not a surrogate) into out, which has room for 4; returns its length. */
size_t utf8_encode(uint32_t code_point, char *out);
#endif

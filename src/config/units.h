/* units: numbers with a unit behind them, both ways. */
#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number; false when there is anything else in the text. */
bool units_parse_int(const char *, int64_t *ret);
bool units_parse_double(const char *, double *ret);	/* decimal, finite */
bool units_parse_duration(const char *, int64_t *ret_ms);	/* 500ms 30s 5m 1h 7d, or 0 */
bool units_parse_size(const char *, int64_t *ret_bytes);	/* 512B 64KiB 1MiB, or 0 */
bool units_parse_rate(const char *, double *ret_per_s);	/* 2/s 30/m 1000/h */
/* The same in the largest unit that fits. */
void units_format_duration(char *, size_t size, int64_t ms);
void units_format_size(char *, size_t size, int64_t bytes);
void units_format_rate(char *, size_t size, double per_s);
#endif

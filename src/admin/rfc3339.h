/*
 * rfc3339: reads an operator's point in time.
 */
#ifndef ADMIN_RFC3339_H
#define ADMIN_RFC3339_H
#include <stdbool.h>
#include <stdint.h>

/* "2026-01-14T03:00:00Z", with a fraction (dropped) and any offset; Unix seconds. False for what is no such time. */
bool rfc3339_parse(const char *, int64_t *ret_s);
#endif

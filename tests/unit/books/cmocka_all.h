/* What cmocka.h wants before it, in the order it wants it. */
#ifndef TEST_CMOCKA_ALL_H
#define TEST_CMOCKA_ALL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#endif

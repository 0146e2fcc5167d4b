/* Memory: malloc, calloc and realloc return NULL with ENOMEM. What libc allocates (strdup, asprintf) comes by here too. */
#include "torture.h"
#include <errno.h>
#include <stdlib.h>

#define MEMORY(name, params, args) \
	void *name params; \
	void *name params \
	{ \
		TORTURE_NEXT(name); \
		if (torture_hits_memory(#name, __builtin_return_address(0))) { \
			errno = ENOMEM; \
			return NULL; \
		} \
		return next args; \
	}

MEMORY(malloc, (size_t size), (size))
MEMORY(calloc, (size_t n, size_t size), (n, size))
MEMORY(realloc, (void *old, size_t size), (old, size))

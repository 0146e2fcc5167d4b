/* libcurl: a call fails with the code that it has for want of memory, and does nothing. */
#include "torture.h"
#include <curl/curl.h>
#include <stdarg.h>

#define CALL(type, name, params, args, failure) TORTURE_CALL(TORTURE_CURL, type, name, params, args, failure)

/* The third argument is a word, whatever its type. */
#define SETS(type, name, handle, option, failure) \
	type name(handle h, option o, ...); \
	type name(handle h, option o, ...) \
	{ \
		va_list ap; \
		void *word; \
		TORTURE_NEXT(name); \
		va_start(ap, o); \
		word = va_arg(ap, void *); \
		va_end(ap); \
		if (torture_hits_from(TORTURE_CURL, #name, __builtin_return_address(0))) \
			return failure; \
		return next(h, o, word); \
	}

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
SETS(CURLcode, curl_easy_setopt, CURL *, CURLoption, CURLE_OUT_OF_MEMORY)
SETS(CURLcode, curl_easy_getinfo, CURL *, CURLINFO, CURLE_OUT_OF_MEMORY)
SETS(CURLMcode, curl_multi_setopt, CURLM *, CURLMoption, CURLM_OUT_OF_MEMORY)

CALL(CURLcode, curl_global_init, (long flags), (flags), CURLE_FAILED_INIT)
CALL(CURL *, curl_easy_init, (void), (), NULL)
CALL(CURLM *, curl_multi_init, (void), (), NULL)
CALL(CURLMcode, curl_multi_add_handle, (CURLM *m, CURL *h), (m, h), CURLM_OUT_OF_MEMORY)
CALL(CURLMcode, curl_multi_remove_handle, (CURLM *m, CURL *h), (m, h), CURLM_INTERNAL_ERROR)
CALL(CURLMcode, curl_multi_assign, (CURLM *m, curl_socket_t fd, void *ctx), (m, fd, ctx), CURLM_BAD_SOCKET)
CALL(CURLMcode, curl_multi_socket_action, (CURLM *m, curl_socket_t fd, int what, int *running),
     (m, fd, what, running), CURLM_INTERNAL_ERROR)
CALL(struct curl_slist *, curl_slist_append, (struct curl_slist *list, const char *s), (list, s), NULL)
CALL(CURLU *, curl_url, (void), (), NULL)
CALL(CURLUcode, curl_url_set, (CURLU *u, CURLUPart part, const char *s, unsigned flags), (u, part, s, flags),
     CURLUE_OUT_OF_MEMORY)
CALL(CURLUcode, curl_url_get, (CURLU *u, CURLUPart part, char **s, unsigned flags), (u, part, s, flags),
     CURLUE_OUT_OF_MEMORY)

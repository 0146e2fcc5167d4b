/* table: the providers by their number. */
#include "provider.h"

const struct provider_ops *const provider_table[BF_NPROVIDERS] = {
	[BF_GEMINI] = &provider_gemini,
	[BF_XAI] = &provider_xai,
	[BF_ISBNDB] = &provider_isbndb,
	[BF_GOOGLE_BOOKS] = &provider_google_books,
	[BF_OPEN_LIBRARY] = &provider_open_library,
	[BF_ARCHIVE_ORG] = &provider_archive_org,
	[BF_WIKIDATA] = &provider_wikidata,
};

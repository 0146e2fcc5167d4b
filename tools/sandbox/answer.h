/* answer: the words of a model and what they cost, for gemini.c and xai.c. */
#ifndef SANDBOX_ANSWER_H
#define SANDBOX_ANSWER_H
#include "sandbox.h"

struct answer {
	const char *text;	/* in the request's arena */
	bool	    cut;	/* the token limit ended it */
	int64_t	    prompt_tokens, output_tokens, thought_tokens;
};
void answer_make(struct request *, const struct ask *, struct answer *ret);
const char *answer_id(const struct request *);
#endif

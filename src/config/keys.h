/*
 * keys: the one table that says which keys there are. Reading, checking, the sample, the view for
 * operators and the list of keys that need a restart all walk it.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H
#include "backfill/config.h"

enum config_type {
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_SIZE,		/* int64_t bytes */
	CONFIG_DURATION,	/* int64_t milliseconds */
	CONFIG_DOUBLE,
	CONFIG_RATE,		/* double per second */
	CONFIG_LEVEL,		/* enum bf_log_level, by `words` */
	CONFIG_CHOICE,		/* bool, by `words`: the first is false */
	CONFIG_WORD,		/* char *, one of `words` */
	CONFIG_TEXT,		/* char * without spaces or control characters */
	CONFIG_CONTACT,		/* char *: URL or mail address */
	CONFIG_CRON,		/* char *: an expression, or "" */
	CONFIG_TIMEZONE,
	CONFIG_LISTEN,		/* char *: numeric HOST:PORT */
	CONFIG_BASE_URL,	/* char *: without query or trailing slash */
	CONFIG_HOOK_URL,	/* char *: or "" */
	CONFIG_PROXY,		/* char *: or "" */
	CONFIG_ORDER,		/* resolution.order with n_order */
	CONFIG_CONNINFO,	/* char *: NAME, or NAME_file */
	CONFIG_SECRET		/* char *: NAME_env or NAME_file; never NAME itself */
};

struct config_key {
	const char *section;	/* "provider" stands for all seven */
	const char *name;
	enum config_type type;
	size_t offset;		/* in struct bf_config; a provider's in struct bf_provider_config */
	double least, most;	/* numbers: in the unit of the field */
	const char *fallback;	/* the default, as one would write it */
	const char *const *per_provider;	/* instead of fallback; NULL: no such key there */
	const char *words;	/* the words allowed, separated by | */
	bool restart;		/* a new value waits for the next start */
	const char *help;
};

/* One key of one section. A key with a file beside it has two slots: 0 the value or the name of the
 * environment variable, 1 the file. */
enum { CONFIG_SLOTS = 2, CONFIG_MAX_KEYS = 96 };
struct config_place {
	int key;		/* index into config_keys */
	int provider;		/* 0 outside of the provider sections */
};

extern const struct config_key config_keys[];
extern const int config_n_keys;

/* The first place, and the one behind another; false at the end. In the order of the sample. */
struct config_place config_first(void);
bool config_next(struct config_place *);
const struct config_key *config_key(struct config_place);
bool config_offered(struct config_place);		/* false: a provider without this key */
const char *config_section(struct config_place, char buf[40]);
const char *config_fallback(struct config_place);	/* "" rather than NULL */
int config_slots(struct config_place);			/* how many ways it is written */
const char *config_slot_name(struct config_place, int slot, char buf[60]);
bool config_find(const char *section, const char *name, struct config_place *ret, int *ret_slot);
bool config_has_section(const char *section);
void *config_field(const struct bf_config *, struct config_place);
bool config_is_string(enum config_type);		/* the field is an allocated char * */
/* The known word most like `word`, NULL when none is near: of sections, or of a section's keys. */
const char *config_near_section(const char *word, char buf[40]);
const char *config_near_key(const char *section, const char *word, char buf[60]);
#endif

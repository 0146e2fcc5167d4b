/*
 * A connection string (PostgreSQL documentation, 34.1.1) taken apart, so that the reactor can look
 * the hosts up itself and try them one by one. What is not said comes from the service file and the
 * environment, as in libpq. Errors do not quote the string: it may hold a password.
 */
#include <stdlib.h>
#include <string.h>
#include "dns.h"
#include "pg.h"

enum { KEYS_MORE = 16 };

/* Set unless the string or the environment does. */
struct preset {
	const char *key, *value;
};
static const struct preset always[] = {
	{ "target_session_attrs", "read-write" },
	{ "gssencmode", "disable" },		/* Kerberos libraries look names up, and block */
};
static const struct preset loose[] = {
	{ "keepalives_idle", "30" }, { "keepalives_interval", "10" }, { "keepalives_count", "3" },
	{ "tcp_user_timeout", "30000" },
};
/*
 * The session that holds the locks must learn of a vanished server before others think that it has
 * died.
 */
static const struct preset tight[] = {
	{ "keepalives_idle", "5" }, { "keepalives_interval", "2" }, { "keepalives_count", "3" },
	{ "tcp_user_timeout", "10000" },
};

static const PQconninfoOption *find(const PQconninfoOption *options, const char *key)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, key) == 0)
			return options;
	return NULL;
}

static const char *value_of(const PQconninfoOption *options, const char *key)
{
	const PQconninfoOption *option = find(options, key);

	return option && option->val && *option->val ? option->val : NULL;
}

/* The string's value, else that of service file, environment or libpq. */
static const char *effective(const PQconninfoOption *given, const PQconninfoOption *defaults,
			     const char *key)
{
	const char *value = value_of(given, key);

	return value ? value : value_of(defaults, key);
}

/*
 * libpq's defaults with the service that the string names. PQconndefaults() knows only PGSERVICE;
 * nothing else runs in this process, so the variable can be lent to it.
 */
static PQconninfoOption *read_defaults(const char *service)
{
	const char *now = getenv("PGSERVICE");
	char *before = now ? bf_xstrdup(now) : NULL;
	PQconninfoOption *defaults = NULL;

	if (!service || setenv("PGSERVICE", service, 1) == 0)
		defaults = PQconndefaults();
	if (service && before)
		(void)setenv("PGSERVICE", before, 1);	/* its memory was there a moment ago */
	else if (service)
		unsetenv("PGSERVICE");
	free(before);
	return defaults;
}

static void add(struct conninfo *info, const char *key, const char *value)
{
	info->keys[info->n] = bf_xstrdup(key);
	info->values[info->n++] = bf_xstrdup(value);
}

static void add_presets(struct conninfo *info, const PQconninfoOption *given,
			const struct preset *presets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const PQconninfoOption *option = find(given, presets[i].key);
		const char *from_env = option && option->envvar ? getenv(option->envvar) : NULL;

		if (!value_of(given, presets[i].key) && !from_env)
			add(info, presets[i].key, presets[i].value);
	}
}

static void read_keys(struct conninfo *info, const PQconninfoOption *given,
		      const struct bf_pg_config *config)
{
	static const char *const ours[] = { "host", "hostaddr", "port",
					    "client_encoding", "fallback_application_name",
					    "connect_timeout" };
	size_t n = 0;

	for (const PQconninfoOption *o = given; o->keyword; o++)
		n++;
	info->keys = bf_xcalloc(n + KEYS_MORE, sizeof(*info->keys));
	info->values = bf_xcalloc(n + KEYS_MORE, sizeof(*info->values));
	for (const PQconninfoOption *o = given; o->keyword; o++) {
		bool is_ours = false;

		for (size_t i = 0; i < BF_COUNT(ours); i++)
			is_ours = is_ours || strcmp(o->keyword, ours[i]) == 0;
		if (!is_ours && o->val)
			add(info, o->keyword, o->val);
	}
	add(info, "client_encoding", "UTF8");
	if (config->application_name)
		add(info, "fallback_application_name", config->application_name);
	add_presets(info, given, always, BF_COUNT(always));
	if (config->keepalive)
		add_presets(info, given, tight, BF_COUNT(tight));
	else
		add_presets(info, given, loose, BF_COUNT(loose));
}

static int count_items(const char *list)
{
	int n = 1;

	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

/* Item i of a comma-separated list; a list of one serves for all when `shared`. */
static char *item(const char *list, int i, bool shared)
{
	size_t len;
	char *copy;

	if (!list)
		return bf_xstrdup("");
	if (shared && count_items(list) == 1)
		i = 0;
	while (i--)
		list += strcspn(list, ",") + 1;
	len = strcspn(list, ",");
	copy = bf_xmalloc(len + 1);
	memcpy(copy, list, len);
	copy[len] = '\0';
	return copy;
}

static bool refuse(struct bf_error *err, const char *why)
{
	bf_error_set(err, BF_ERR_CONFIG, "connection string: %s", why);
	return false;
}

/* The lists host, hostaddr and port belong together item by item. */
static bool read_hosts(struct conninfo *info, const char *hosts, const char *addrs,
		       const char *ports, struct bf_error *err)
{
	int n = count_items(addrs ? addrs : hosts);

	if (n > PG_HOSTS_MAX)
		return refuse(err, "more than 16 hosts");
	if (addrs && hosts && count_items(hosts) != n)
		return refuse(err, "host and hostaddr are lists of different length");
	if (ports && count_items(ports) != 1 && count_items(ports) != n)
		return refuse(err, "host and port are lists of different length");
	for (int i = 0; i < n; i++) {
		struct conninfo_host *host = &info->hosts[info->n_hosts++];

		host->host = hosts ? item(hosts, i, false) : bf_xstrdup("");
		host->port = item(ports, i, true);
		if (addrs)
			host->hostaddr = item(addrs, i, false);
		else if (dns_is_literal(host->host))
			host->hostaddr = bf_xstrdup(host->host);
		host->by_name = !host->hostaddr && *host->host && !strchr("/@", *host->host);
	}
	return true;
}

/*
 * Reads config->conninfo into *info, which is then released by conninfo_release() even if this
 * failed.
 */
bool conninfo_read(struct conninfo *info, const struct bf_pg_config *config, struct bf_error *err)
{
	char *message = NULL;
	PQconninfoOption *given = PQconninfoParse(config->conninfo, &message), *defaults;
	bool ok;

	memset(info, 0, sizeof(*info));
	PQfreemem(message);
	if (!given)
		return refuse(err, "not of the form KEY=VALUE ... or postgresql://...");
	defaults = read_defaults(value_of(given, "service"));
	read_keys(info, given, config);
	ok = read_hosts(info, effective(given, defaults, "host"),
			effective(given, defaults, "hostaddr"), effective(given, defaults, "port"),
			err);
	PQconninfoFree(defaults);
	PQconninfoFree(given);
	return ok;
}

void conninfo_release(struct conninfo *info)
{
	for (int i = 0; i < info->n; i++) {
		explicit_bzero(info->values[i], strlen(info->values[i]));
		free(info->keys[i]);
		free(info->values[i]);
	}
	free(info->keys);
	free(info->values);
	for (int i = 0; i < info->n_hosts; i++) {
		free(info->hosts[i].host);
		free(info->hosts[i].hostaddr);
		free(info->hosts[i].port);
	}
	memset(info, 0, sizeof(*info));
}

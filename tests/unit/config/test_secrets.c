/* secrets: from files and the environment, never from the INI, never in a message; and reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/config.h"

static char dir[] = "/tmp/bf-secret-XXXXXX";

/* Writes a file into the test's directory. */
static void put(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

/* Loads a configuration in which every $ stands for the directory. */
static struct bf_config *try(const char *text, const struct bf_config *previous,
			     struct bf_config_problems *ps)
{
	char whole[2000] = "", path[200];

	for (const char *p = text; *p; p++)
		snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "%.*s%s",
			 *p != '$' || p[1] == '{', p, *p == '$' && p[1] != '{' ? dir : "");
	put("c.ini", whole);
	snprintf(path, sizeof(path), "%s/c.ini", dir);
	return bf_config_load(path, previous, ps);
}

/* The same, which must work. */
static struct bf_config *load(const char *text, const struct bf_config *previous)
{
	struct bf_config_problems ps;
	struct bf_config *c = try(text, previous, &ps);

	if (!c)
		fail_msg("%s\nis refused: %d: %s", text, ps.v[0].line, ps.v[0].text);
	return c;
}

/* The same, which must fail with one problem that says so and does not repeat the word "hunter2". */
static void refuse(const char *text, int line, const char *says)
{
	struct bf_config_problems ps;
	struct bf_config *c = try(text, NULL, &ps);

	if (c || ps.n != 1)
		fail_msg("%s\ngives %zu problems", text, ps.n);
	if (ps.v[0].line != line || !strstr(ps.v[0].text, says))
		fail_msg("%s\ngives %d: %s", text, ps.v[0].line, ps.v[0].text);
	assert_null(strstr(ps.v[0].text, "hunter2"));
	bf_config_problems_release(&ps);
}

/* The first line of a file, without its end, however that is written. */
static void test_file(void **state)
{
	struct bf_config *c;

	(void)state;
	put("a", "first\nsecond\n");
	put("b", "windows\r\n");
	put("c", "bare");
	c = load(
		"[provider.gemini]\napi_key_file = $/a\n[provider.xai]\napi_key_file = $/b\n[alerts]\nwebhook_secret_file = $/c\n",
		NULL);
	assert_string_equal(c->provider[BF_GEMINI].api_key, "first");
	assert_string_equal(c->provider[BF_XAI].api_key, "windows");
	assert_string_equal(c->alerts.webhook_secret, "bare");
	bf_config_free(c);
}

/* The directory that systemd gives. */
static void test_credentials_directory(void **state)
{
	struct bf_config *c;

	(void)state;
	put("a", "first\n");
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	c = load("[provider.gemini]\napi_key_file = ${CREDENTIALS_DIRECTORY}/a\n", NULL);
	assert_string_equal(c->provider[BF_GEMINI].api_key, "first");
	bf_config_free(c);
	refuse("[provider.gemini]\napi_key_file = ${HOME}/a\n", 2, "only ${CREDENTIALS_DIRECTORY}");
	unsetenv("CREDENTIALS_DIRECTORY");
	refuse("[provider.gemini]\napi_key_file = ${CREDENTIALS_DIRECTORY}/a\n", 2, "not set");
}

/* Files that hold no secret are named; what could be the secret itself is not. */
static void test_bad_files(void **state)
{
	(void)state;
	put("empty", "");
	put("blank", "\nhunter2\n");
	put("spaces", "hunter2 hunter2\n");
	put("control", "hunter2\x01\n");
	put("utf8", "hunter2\xc3\xa9\n");
	refuse("[provider.gemini]\napi_key_file = $/missing\n", 2, "/missing: No such file");
	refuse("[provider.gemini]\napi_key_file = $/empty\n", 2, "/empty is empty");
	refuse("[provider.gemini]\napi_key_file = $/blank\n", 2, "/blank is empty");
	refuse("[provider.gemini]\napi_key_file = $/spaces\n", 2, "spaces");
	refuse("[provider.gemini]\napi_key_file = $/control\n", 2, "control characters");
	refuse("[provider.gemini]\napi_key_file = $/utf8\n", 2, "ASCII");
	refuse("[provider.gemini]\napi_key_file = $\n", 2, "directory");
	refuse("[provider.gemini]\napi_key_file = hunter2\n", 2, "path");
	refuse("[provider.gemini]\napi_key_env = hunter2-x\n", 2, "environment variable");
	refuse("[provider.gemini]\napi_key = hunter2\n", 2, "api_key_file or api_key_env");
	refuse("[admin]\nsecret = hunter2\n", 2, "secret_file or secret_env");
}

/* Defaults, other names, no name, and both ways at once. */
static void test_environment(void **state)
{
	struct bf_config *c;

	(void)state;
	put("a", "from-file");
	setenv("GEMINI_API_KEY", "from-default", 1);
	setenv("OTHER_KEY", "from-other", 1);
	setenv("EMPTY_KEY", "", 1);
	c = load(
		"[provider.xai]\napi_key_env = OTHER_KEY\n[provider.isbndb]\napi_key_env = EMPTY_KEY\n",
		NULL);
	assert_string_equal(c->provider[BF_GEMINI].api_key, "from-default");
	assert_string_equal(c->provider[BF_XAI].api_key, "from-other");
	assert_null(c->provider[BF_ISBNDB].api_key);
	bf_config_free(c);
	c = load("[provider.gemini]\napi_key_env =\n", NULL);
	assert_null(c->provider[BF_GEMINI].api_key);
	bf_config_free(c);
	c = load(
		"[provider.gemini]\napi_key_file = $/a\n[provider.xai]\napi_key_env = OTHER_KEY\napi_key_file =\n",
		NULL);
	assert_string_equal(c->provider[BF_GEMINI].api_key, "from-file");
	assert_string_equal(c->provider[BF_XAI].api_key, "from-other");
	bf_config_free(c);
	refuse("[provider.gemini]\napi_key_env = OTHER_KEY\napi_key_file = $/a\n", 3, "both given");
	setenv("OTHER_KEY", "hunter2 hunter2", 1);
	refuse("[provider.xai]\napi_key_env = OTHER_KEY\n", 2, "OTHER_KEY holds spaces");
	unsetenv("GEMINI_API_KEY");
}

/* No admin secret: refused, with the remedy; defaults alone and offline commands need none. */
static void test_admin_secret(void **state)
{
	struct bf_config_problems ps;
	struct bf_config *c;
	char path[200];

	(void)state;
	unsetenv("ALEXANDRIA_WEBHOOK_SECRET");
	refuse("", 0,
	       "no secret configured: the environment variable ALEXANDRIA_WEBHOOK_SECRET is empty; set it, or name a file");
	refuse("[admin]\nsecret_env = NOT_SET\n", 2,
	       "no secret configured: the environment variable NOT_SET is empty");
	refuse("[admin]\nsecret_env =\n", 2, "no secret configured: name a variable");
	refuse("[admin]\nsecret_file = $/missing\n", 2, "No such file");
	c = bf_config_load(NULL, NULL, &ps);
	assert_non_null(c);
	assert_null(c->admin.secret);
	bf_config_free(c);
	put("c.ini", "");
	snprintf(path, sizeof(path), "%s/c.ini", dir);
	c = bf_config_load_offline(path, &ps);
	assert_non_null(c);
	bf_config_free(c);
	put("c.ini", "[admin]\nlisten = x\n");
	assert_null(bf_config_load_offline(path, &ps));
	bf_config_problems_release(&ps);
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "from-the-environment", 1);
}

/* Beyond loopback the secret must have 32 bytes. */
static void test_open_listen(void **state)
{
	struct bf_config *c;

	(void)state;
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "0123456789012345678901234567890", 1);
	refuse("[admin]\nlisten = 0.0.0.0:8787\n", 2, "32 bytes");
	refuse("[admin]\nlisten = [::]:8787\n", 2, "32 bytes");
	refuse("[admin]\nlisten = 192.168.1.1:8787\n", 2, "32 bytes");
	bf_config_free(load("[admin]\nlisten = 127.0.0.2:8787\n", NULL));
	bf_config_free(load("[admin]\nlisten = localhost:8787\n", NULL));
	bf_config_free(load("[admin]\nlisten = [::1]:8787\n", NULL));
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "01234567890123456789012345678901", 1);
	c = load("[admin]\nlisten = 0.0.0.0:8787\n", NULL);
	bf_config_free(c);
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "from-the-environment", 1);
}

/* A reload reads files again and the environment not. */
static void test_reload(void **state)
{
	static const char text[] = "[provider.xai]\napi_key_file = $/a\n";
	struct bf_config_problems ps;
	struct bf_config *old, *fresh;

	(void)state;
	put("a", "file-1");
	setenv("GEMINI_API_KEY", "env-1", 1);
	old = load(text, NULL);
	put("a", "file-2");
	setenv("GEMINI_API_KEY", "env-2", 1);
	setenv("ISBNDB_API_KEY", "appeared-later", 1);
	fresh = load(text, old);
	assert_string_equal(fresh->provider[BF_GEMINI].api_key, "env-1");
	assert_string_equal(fresh->provider[BF_XAI].api_key, "file-2");
	assert_string_equal(fresh->admin.secret, "from-the-environment");
	assert_null(fresh->provider[BF_ISBNDB].api_key);
	bf_config_free(old);
	/* a file's key is not taken for that of a variable */
	old = fresh;
	fresh = load("", old);
	assert_null(fresh->provider[BF_XAI].api_key);
	assert_string_equal(fresh->provider[BF_GEMINI].api_key, "env-1");
	bf_config_free(fresh);
	assert_null(try("[provider.xai]\napi_key_env = OTHER_KEY\n", old, &ps));
	assert_int_equal(ps.n, 1);
	assert_non_null(strstr(ps.v[0].text, "read at start only"));
	bf_config_problems_release(&ps);
	/* nor that of one variable for another's */
	assert_null(try("[provider.gemini]\napi_key_env = OTHER_KEY\n", old, &ps));
	assert_non_null(strstr(ps.v[0].text, "read at start only"));
	bf_config_problems_release(&ps);
	bf_config_free(old);
	unsetenv("GEMINI_API_KEY");
	unsetenv("ISBNDB_API_KEY");
}

/* Keys that need a restart are named, and keep their values; the others change. */
static void test_restart_keys(void **state)
{
	struct bf_config *old, *fresh;
	char names[200], few[20];

	(void)state;
	old = load("", NULL);
	fresh = load("[scheduler]\nbatch_size = 20\n", old);
	assert_int_equal(bf_config_restart_keys(old, fresh, names, sizeof(names)), 0);
	assert_string_equal(names, "");
	bf_config_free(fresh);
	put("db", "host=x user=y password=z");
	fresh = load(
		"[admin]\nlisten = 127.0.0.1:9999\n[database]\nconninfo_file = $/db\nconnections = 7\n"
		"statement_timeout = 5s\n[scheduler]\nbatch_size = 20\n",
		old);
	assert_string_equal(fresh->database.conninfo, "host=x user=y password=z");
	assert_int_equal(bf_config_restart_keys(old, fresh, names, sizeof(names)), 4);
	assert_string_equal(
		names,
		"database.conninfo, database.connections, database.statement_timeout, admin.listen");
	assert_int_equal(bf_config_restart_keys(old, fresh, few, sizeof(few)), 4);
	assert_string_equal(few, "database.conninfo");
	bf_config_keep_restart_keys(fresh, old);
	assert_int_equal(bf_config_restart_keys(old, fresh, names, sizeof(names)), 0);
	assert_string_equal(fresh->admin.listen, "127.0.0.1:8787");
	assert_int_equal(fresh->database.connections, 4);
	assert_int_equal(fresh->scheduler.batch_size, 20);
	bf_config_free(old);
	assert_string_equal(fresh->database.conninfo,
			    "host=/var/run/postgresql dbname=openlibrary user=openlibrary");
	bf_config_free(fresh);
}

/* conninfo_file: passwords are welcome there; nonsense is not, nor both keys. */
static void test_conninfo_file(void **state)
{
	(void)state;
	put("bad", "hunter2\n");
	put("db", "postgresql://u:hunter2@h/db\n");
	refuse("[database]\nconninfo_file = $/bad\n", 2, "/bad is neither");
	refuse("[database]\nconninfo_file = $/missing\n", 2, "/missing");
	refuse("[database]\nconninfo = host=x\nconninfo_file = $/db\n", 3, "keep one");
	bf_config_free(load("[database]\nconninfo =\nconninfo_file = $/db\n", NULL));
}

static int setup(void **state)
{
	static const char *const names[] = { "GEMINI_API_KEY", "XAI_API_KEY", "ISBNDB_API_KEY",
					     "GOOGLE_BOOKS_API_KEY" };

	(void)state;
	for (size_t i = 0; i < BF_COUNT(names); i++)
		unsetenv(names[i]);
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "from-the-environment", 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "a",      "b",	  "c",	  "c.ini", "empty", "blank",
					     "spaces", "control", "utf8", "db",	   "bad" };
	char path[200];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file), cmocka_unit_test(test_credentials_directory), cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_admin_secret), cmocka_unit_test(test_open_listen),
		cmocka_unit_test(test_reload), cmocka_unit_test(test_restart_keys), cmocka_unit_test(test_conninfo_file)
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

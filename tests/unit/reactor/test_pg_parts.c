/* The parts of the PostgreSQL client that need no server: connection strings and error classes. */
#include "harness.h"
#include "pg.h"

static void clean_environment(void)
{
	unsetenv("PGHOST");
	unsetenv("PGHOSTADDR");
	unsetenv("PGPORT");
	unsetenv("PGSERVICE");
	unsetenv("PGTARGETSESSIONATTRS");
}

static const char *key(const struct conninfo *info, const char *name)
{
	for (int i = 0; i < info->n; i++)
		if (strcmp(info->keys[i], name) == 0)
			return info->values[i];
	return NULL;
}

static bool read_string(struct conninfo *info, const char *string, bool keepalive,
			struct bf_error *err)
{
	const struct bf_pg_config config = {
		.conninfo = string, .application_name = "tester", .keepalive = keepalive
	};

	clean_environment();
	return conninfo_read(info, &config, err);
}

/* SQLSTATEs and what they mean, the first prefix deciding. */
static void classes(void **state)
{
	static const struct { const char *sqlstate; enum bf_err_class class; } rows[] = {
		{ "08006", BF_ERR_RETRY }, { "57P01", BF_ERR_RETRY },
		{ "57014", BF_ERR_RETRY }, { "53300", BF_ERR_RETRY },
		{ "40001", BF_ERR_RETRY }, { "40P01", BF_ERR_RETRY },
		{ "25006", BF_ERR_RETRY }, { "55P03", BF_ERR_RETRY },
		{ "28P01", BF_ERR_CONFIG }, { "3D000", BF_ERR_CONFIG },
		{ "42501", BF_ERR_CONFIG }, { "42P01", BF_ERR_CONFIG },
		{ "42703", BF_ERR_CONFIG }, { "22P02", BF_ERR_PERMANENT },
		{ "23505", BF_ERR_PERMANENT }, { "42601", BF_ERR_BUG },
		{ "25P02", BF_ERR_BUG }, { "", BF_ERR_BUG },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++)
		if (pg_classify(rows[i].sqlstate) != rows[i].class)
			fail_msg("%s: %s", rows[i].sqlstate,
				 bf_err_class_name(pg_classify(rows[i].sqlstate)));
}

/* Hosts, addresses and ports go together item by item; only names are looked up. */
static void host_lists(void **state)
{
	struct conninfo info;
	struct bf_error err;

	(void)state;
	assert_true(read_string(&info,
				"host=db1.example,10.0.0.2,/run/pg port=1,2,3 dbname=x password=p",
				false, &err));
	assert_int_equal(info.n_hosts, 3);
	assert_string_equal(info.hosts[0].host, "db1.example");
	assert_true(info.hosts[0].by_name);
	assert_null(info.hosts[0].hostaddr);
	assert_string_equal(info.hosts[0].port, "1");
	assert_false(info.hosts[1].by_name);
	assert_string_equal(info.hosts[1].hostaddr, "10.0.0.2");
	assert_false(info.hosts[2].by_name);
	assert_null(info.hosts[2].hostaddr);
	assert_string_equal(info.hosts[2].port, "3");
	assert_string_equal(key(&info, "dbname"), "x");
	assert_string_equal(key(&info, "password"), "p");
	assert_null(key(&info, "host"));
	conninfo_release(&info);
	assert_true(read_string(&info, "postgresql://u@a.example,b.example:7/x", false, &err));
	assert_int_equal(info.n_hosts, 2);
	assert_string_equal(info.hosts[1].host, "b.example");
	assert_string_equal(info.hosts[1].port, "7");
	conninfo_release(&info);
	assert_true(read_string(&info, "hostaddr=10.0.0.1,::1 host=a,b port=9", false, &err));
	assert_false(info.hosts[0].by_name);
	assert_string_equal(info.hosts[1].hostaddr, "::1");
	assert_string_equal(info.hosts[1].host, "b");
	assert_string_equal(info.hosts[1].port, "9");
	conninfo_release(&info);
}

/*
 * What the reactor sets by itself, unless the string says otherwise; the lock session's keepalives
 * are tight.
 */
static void presets(void **state)
{
	struct conninfo info;
	struct bf_error err;

	(void)state;
	assert_true(read_string(&info, "", false, &err));
	assert_int_equal(info.n_hosts, 1);
	assert_string_equal(info.hosts[0].host, "");
	assert_string_equal(key(&info, "target_session_attrs"), "read-write");
	assert_string_equal(key(&info, "gssencmode"), "disable");
	assert_string_equal(key(&info, "client_encoding"), "UTF8");
	assert_string_equal(key(&info, "fallback_application_name"), "tester");
	assert_string_equal(key(&info, "keepalives_idle"), "30");
	conninfo_release(&info);
	assert_true(read_string(&info, "target_session_attrs=any tcp_user_timeout=1", true, &err));
	assert_string_equal(key(&info, "target_session_attrs"), "any");
	assert_string_equal(key(&info, "tcp_user_timeout"), "1");
	assert_string_equal(key(&info, "keepalives_idle"), "5");
	conninfo_release(&info);
}

/* The environment and the service file give what the string does not. */
static void environment_and_service(void **state)
{
	const struct bf_pg_config config = { .conninfo = "dbname=x" },
				  service = { .conninfo = "service=elsewhere" };
	char path[] = "/tmp/bf-service-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	struct conninfo info;
	struct bf_error err;

	(void)state;
	assert_non_null(file);
	fprintf(file, "[elsewhere]\nhost=s.example\nport=77\n");
	fclose(file);
	clean_environment();
	setenv("PGHOST", "e.example", 1);
	setenv("PGSERVICEFILE", path, 1);
	assert_true(conninfo_read(&info, &config, &err));
	assert_string_equal(info.hosts[0].host, "e.example");
	assert_true(info.hosts[0].by_name);
	conninfo_release(&info);
	assert_true(conninfo_read(&info, &service, &err));
	assert_string_equal(info.hosts[0].host, "s.example");
	assert_string_equal(info.hosts[0].port, "77");
	conninfo_release(&info);
	assert_null(getenv("PGSERVICE"));
	clean_environment();
	unsetenv("PGSERVICEFILE");
	remove(path);
}

/* Strings that cannot work are CONFIG errors, and none repeats a password. */
static void refused_strings(void **state)
{
	static const char *const strings[] = {
		"host=a,b,c port=1,2",
		"hostaddr=10.0.0.1 host=a,b",
		"password=sesame nonsense",
		"sesame",
		"host=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
		"postgresql://[sesame",
	};
	struct conninfo info;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(strings); i++) {
		struct bf_error err = { .class = BF_ERR_NONE };

		assert_false(read_string(&info, strings[i], false, &err));
		assert_int_equal(err.class, BF_ERR_CONFIG);
		assert_null(strstr(err.text, "sesame"));
		conninfo_release(&info);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes), cmocka_unit_test(host_lists), cmocka_unit_test(presets),
		cmocka_unit_test(environment_and_service), cmocka_unit_test(refused_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

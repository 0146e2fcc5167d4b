/*
 * What a failure of the database means for the one who asked (PostgreSQL documentation, appendix A:
 * error codes). The text is the server's primary message only: details and contexts repeat rows and
 * parameters.
 */
#include <stdio.h>
#include <string.h>
#include "pg.h"

/* The first prefix that fits decides. */
static const struct {
	const char *prefix;
	enum bf_err_class class;
} classes[] = {
	{ "08", BF_ERR_RETRY },			/* connection */
	{ "57P", BF_ERR_RETRY },		/* shutdown, starting up, database dropped */
	{ "57014", BF_ERR_RETRY },		/* statement_timeout */
	{ "53", BF_ERR_RETRY },			/* connections, memory, disk */
	{ "40", BF_ERR_RETRY },			/* deadlock, serialization */
	{ "25006", BF_ERR_RETRY },		/* read-only: another server is the primary now */
	{ "55P03", BF_ERR_RETRY },		/* lock not available */
	{ "26000", BF_ERR_RETRY },		/* prepared statement gone; it is prepared again */
	{ "28", BF_ERR_CONFIG },		/* password, role, pg_hba.conf */
	{ "3D000", BF_ERR_CONFIG },		/* no such database */
	{ "3F000", BF_ERR_CONFIG },		/* no such schema */
	{ "42501", BF_ERR_CONFIG },		/* privilege */
	{ "42P01", BF_ERR_CONFIG },		/* no such table: not migrated */
	{ "42703", BF_ERR_CONFIG },		/* no such column: not migrated */
	{ "42883", BF_ERR_CONFIG },		/* no such function: not migrated, no extension */
	{ "22", BF_ERR_PERMANENT },		/* data */
	{ "23", BF_ERR_PERMANENT },		/* constraint */
};

enum bf_err_class pg_classify(const char *sqlstate)
{
	for (size_t i = 0; i < BF_COUNT(classes); i++)
		if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].class;
	return BF_ERR_BUG;
}

/* Length of the first line, without what data errors (class 22) quote: that is a parameter. */
static int message_length(const char *text, const char *sqlstate)
{
	size_t len = strcspn(text, "\n");
	const char *quoted = strncmp(sqlstate, "22", 2) == 0 ? strstr(text, ": \"") : NULL;

	if (quoted && (size_t)(quoted - text) < len)
		len = (size_t)(quoted - text);
	return len > 200 ? 200 : (int)len;
}

/* An error from a failed result; without SQLSTATE it is libpq's own: the connection. */
void pg_error_from_result(struct bf_error *err, const char *what, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (!text)
		text = PQresultErrorMessage(result);
	if (!sqlstate)
		sqlstate = "";
	bf_error_set(err, *sqlstate ? pg_classify(sqlstate) : BF_ERR_RETRY, "%s: %.*s", what,
		     message_length(text, sqlstate), text);
	if (strcmp(sqlstate, "0A000") == 0 && strstr(text, "cached plan"))
		err->class = BF_ERR_RETRY;
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
}

/*
 * Finds the SQLSTATE in "FATAL:  28P01: password ...", the form that PQERRORS_VERBOSE gives to
 * errors at start.
 */
static bool find_sqlstate(const char *text, char ret[6])
{
	for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
		size_t len = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (len == 5 && p[8] == ':') {
			memcpy(ret, p + 3, 5);
			ret[5] = '\0';
			return true;
		}
	}
	return false;
}

/* An error from a connection that failed; class is for when the server gave no SQLSTATE. */
void pg_error_from_connection(struct bf_error *err, enum bf_err_class class, const char *what,
			      const PGconn *conn)
{
	const char *text = conn ? PQerrorMessage(conn) : "out of memory";
	char sqlstate[6] = "";

	text += strspn(text, "\n");
	if (find_sqlstate(text, sqlstate))
		class = pg_classify(sqlstate);
	if (class == BF_ERR_BUG)
		class = BF_ERR_RETRY;	/* at start only the server's state speaks */
	bf_error_set(err, class, "%s: %.*s", what, message_length(text, sqlstate),
		     *text ? text : "closed");
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
}

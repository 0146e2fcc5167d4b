/*
 * libpq: a call fails with the value that it has for that and does nothing; or, as kind LOST, it
 * does its work after the network has taken the connection away.
 */
#include "torture.h"
#include <libpq-fe.h>
#include <sys/socket.h>

static void lose(const PGconn *conn, void *caller)
{
	static __typeof__(&PQsocket) next;

	if (!conn || !torture_hits_from(TORTURE_LOST, "the connection", caller))
		return;
	torture_next(&next, "PQsocket");
	shutdown(next(conn), SHUT_RDWR);
}

/* A call on a connection. */
#define ON(type, name, params, args, failure) \
	type name params; \
	type name params \
	{ \
		TORTURE_NEXT(name); \
		if (torture_hits_from(TORTURE_PQ, #name, __builtin_return_address(0))) \
			return failure; \
		lose(conn, __builtin_return_address(0)); \
		return next args; \
	}

ON(PostgresPollingStatusType, PQconnectPoll, (PGconn *conn), (conn), PGRES_POLLING_FAILED)
ON(int, PQsendQuery, (PGconn *conn, const char *sql), (conn, sql), 0)
ON(int, PQsendQueryParams,
   (PGconn *conn, const char *sql, int n, const Oid *types, const char *const *values, const int *lens,
    const int *formats, int format),
   (conn, sql, n, types, values, lens, formats, format), 0)
ON(int, PQsendPrepare, (PGconn *conn, const char *name, const char *sql, int n, const Oid *types),
   (conn, name, sql, n, types), 0)
ON(int, PQsendQueryPrepared,
   (PGconn *conn, const char *name, int n, const char *const *values, const int *lens, const int *formats,
    int format),
   (conn, name, n, values, lens, formats, format), 0)
ON(int, PQpipelineSync, (PGconn *conn), (conn), 0)
ON(int, PQenterPipelineMode, (PGconn *conn), (conn), 0)
ON(int, PQexitPipelineMode, (PGconn *conn), (conn), 0)
ON(int, PQconsumeInput, (PGconn *conn), (conn), 0)
ON(int, PQflush, (PGconn *conn), (conn), -1)
ON(int, PQsetnonblocking, (PGconn *conn, int on), (conn, on), -1)
TORTURE_CALL(TORTURE_PQ, int, PQsocket, (const PGconn *conn), (conn), -1)
ON(const char *, PQparameterStatus, (const PGconn *conn, const char *name), (conn, name), NULL)

TORTURE_CALL(TORTURE_PQ, PGconn *, PQconnectStartParams,
	     (const char *const *keys, const char *const *values, int expand), (keys, values, expand), NULL)
TORTURE_CALL(TORTURE_PQ, PQconninfoOption *, PQconninfoParse, (const char *text, char **why), (text, why), NULL)
TORTURE_CALL(TORTURE_PQ, PQconninfoOption *, PQconndefaults, (void), (), NULL)
TORTURE_CALL(TORTURE_PQ, char *, PQresultErrorField, (const PGresult *result, int field), (result, field), NULL)

PGresult *PQgetResult(PGconn *conn);

/* The result that came is lost, and one that says so comes instead, as libpq does for want of memory. */
PGresult *PQgetResult(PGconn *conn)
{
	static __typeof__(&PQclear) clear;
	static __typeof__(&PQmakeEmptyPGresult) make;
	PGresult *result;
	TORTURE_NEXT(PQgetResult);

	if (!torture_hits_from(TORTURE_PQ, "PQgetResult", __builtin_return_address(0))) {
		lose(conn, __builtin_return_address(0));
		return next(conn);
	}
	result = next(conn);
	if (!result)
		return NULL;
	torture_next(&clear, "PQclear");
	torture_next(&make, "PQmakeEmptyPGresult");
	clear(result);
	return make(conn, PGRES_FATAL_ERROR);
}

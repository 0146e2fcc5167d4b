/*
 * System calls, whoever makes them. A failure has variants: the error numbers that the call knows,
 * and for writes and reads one that does a part of the work, as every one of them may.
 */
#include "torture.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PARTLY = -1, ENDED = -2 };

/* tools/lib/torture.py knows how many there are. */
static const int write_failures[] = { ENOSPC, EPIPE, EIO, EAGAIN, PARTLY, ECONNRESET };
static const int read_failures[] = { ECONNRESET, ENDED, EIO, EAGAIN, PARTLY, ETIMEDOUT };
static const int fd_failures[] = { EMFILE, ENOBUFS, ENOMEM };

/* What befalls this call: 0 nothing, PARTLY, ENDED, or an error number. */
static int fate(enum torture_kind kind, const char *what)
{
	if (!torture_hits(kind, what))
		return 0;
	if (kind == TORTURE_WRITE)
		return write_failures[torture_variant(sizeof(write_failures) / sizeof(int))];
	if (kind == TORTURE_READ)
		return read_failures[torture_variant(sizeof(read_failures) / sizeof(int))];
	return fd_failures[torture_variant(sizeof(fd_failures) / sizeof(int))];
}

static size_t part_of(size_t n)
{
	return n > 1 ? n / 2 : n;
}

/* A call that moves `size` bytes. */
#define MOVES(kind, name, params, args, size) \
	ssize_t name params; \
	ssize_t name params \
	{ \
		int error; \
		TORTURE_NEXT(name); \
		error = fate(kind, #name); \
		if (error == ENDED) \
			return 0; \
		if (error == PARTLY) \
			size = part_of(size); \
		if (error <= 0) \
			return next args; \
		errno = error; \
		return -1; \
	}

/* A call with a vector: a part of it is its first piece. */
#define MOVES_VECTOR(kind, name) \
	ssize_t name(int fd, const struct iovec *v, int n); \
	ssize_t name(int fd, const struct iovec *v, int n) \
	{ \
		int error; \
		TORTURE_NEXT(name); \
		error = fate(kind, #name); \
		if (error == ENDED) \
			return 0; \
		if (error == PARTLY && n > 1) \
			n = 1; \
		if (error <= 0) \
			return next(fd, v, n); \
		errno = error; \
		return -1; \
	}

/* A call that makes or changes a descriptor. */
#define DESCRIBES(name, params, args) \
	int name params; \
	int name params \
	{ \
		int error; \
		TORTURE_NEXT(name); \
		error = fate(TORTURE_FD, #name); \
		if (error <= 0) \
			return next args; \
		errno = error; \
		return -1; \
	}

MOVES(TORTURE_WRITE, write, (int fd, const void *s, size_t n), (fd, s, n), n)
MOVES(TORTURE_WRITE, send, (int fd, const void *s, size_t n, int flags), (fd, s, n, flags), n)
MOVES(TORTURE_WRITE, sendto,
      (int fd, const void *s, size_t n, int flags, const struct sockaddr *to, socklen_t len),
      (fd, s, n, flags, to, len), n)
MOVES_VECTOR(TORTURE_WRITE, writev)

MOVES(TORTURE_READ, read, (int fd, void *s, size_t n), (fd, s, n), n)
MOVES(TORTURE_READ, recv, (int fd, void *s, size_t n, int flags), (fd, s, n, flags), n)
MOVES(TORTURE_READ, recvfrom,
      (int fd, void *s, size_t n, int flags, struct sockaddr *from, socklen_t *len),
      (fd, s, n, flags, from, len), n)
MOVES_VECTOR(TORTURE_READ, readv)

DESCRIBES(socket, (int family, int type, int protocol), (family, type, protocol))
DESCRIBES(socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds))
DESCRIBES(connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
DESCRIBES(bind, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
DESCRIBES(listen, (int fd, int n), (fd, n))
DESCRIBES(accept, (int fd, struct sockaddr *from, socklen_t *len), (fd, from, len))
DESCRIBES(accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags), (fd, from, len, flags))
DESCRIBES(epoll_create1, (int flags), (flags))
DESCRIBES(epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event), (epoll, what, fd, event))
DESCRIBES(pipe2, (int fds[2], int flags), (fds, flags))
DESCRIBES(eventfd, (unsigned count, int flags), (count, flags))
DESCRIBES(timerfd_create, (int clock, int flags), (clock, flags))
DESCRIBES(setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
	  (fd, level, name, value, len))
DESCRIBES(getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
	  (fd, level, name, value, len))

/* The rest argument of these is a word, whatever its type. */
#define DESCRIBES_WITH(name, first, second) \
	int name(first, second, ...); \
	int name(first a, second b, ...) \
	{ \
		va_list ap; \
		long word; \
		int error; \
		TORTURE_NEXT(name); \
		va_start(ap, b); \
		word = va_arg(ap, long); \
		va_end(ap); \
		error = fate(TORTURE_FD, #name); \
		if (error <= 0) \
			return next(a, b, word); \
		errno = error; \
		return -1; \
	}

DESCRIBES_WITH(open, const char *, int)
DESCRIBES_WITH(open64, const char *, int)
DESCRIBES_WITH(fcntl, int, int)
DESCRIBES_WITH(fcntl64, int, int)

/*
 * log_sink: lines to stderr from a process that must not wait for whoever reads them. O_NONBLOCK
 * is a property of the open file description, which stderr may share with the shell that started
 * us, so a pipe or terminal is opened a second time by way of /proc. Where that is refused (stderr
 * of another user), poll() is asked before each write of at most a page.
 */
#include "log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LOG_RING_BYTES = 256 * 1024,
	LOG_POLLED_BYTES = 4096		/* a pipe that polls writable has room for a page */
};

enum log_how { LOG_CLOSED, LOG_PLAIN, LOG_OWN, LOG_SOCKET, LOG_POLLED };

static struct {
	bool opened;
	enum log_how how;
	int own_fd;		/* our own description when LOG_OWN */
	char ring[LOG_RING_BYTES];
	size_t head, used;	/* the oldest byte, and how many wait */
	uint64_t dropped, told;	/* lines lost so far, and those that a line has reported */
} sink = { .own_fd = -1 };

/* A log whose reader has gone must not end the daemon; whoever set a handler keeps it. */
static void sink_ignore_sigpipe(void)
{
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		sa.sa_handler = SIG_IGN;
		sigaction(SIGPIPE, &sa, NULL);
	}
}

void log_sink_open(void)
{
	struct stat st;

	if (sink.own_fd >= 0)
		close(sink.own_fd);
	sink.own_fd = -1;
	sink.opened = true;
	sink.how = LOG_PLAIN;
	if (fstat(STDERR_FILENO, &st) < 0) {
		sink.how = LOG_CLOSED;
	} else if (S_ISSOCK(st.st_mode)) {
		sink.how = LOG_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		sink_ignore_sigpipe();
		sink.own_fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		sink.how = sink.own_fd >= 0 ? LOG_OWN : LOG_POLLED;
	}
}

/* Writes what is taken at once. Returns the number of bytes, 0 when full, -1 when it never will. */
static ssize_t sink_write(const char *s, size_t n)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t put = -1;

	do {
		switch (sink.how) {
		case LOG_CLOSED:
			return -1;
		case LOG_PLAIN:
			put = write(STDERR_FILENO, s, n);
			break;
		case LOG_OWN:
			put = write(sink.own_fd, s, n);
			break;
		case LOG_SOCKET:
			put = send(STDERR_FILENO, s, n, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case LOG_POLLED:
			if (poll(&pfd, 1, 0) == 0)
				return 0;
			put = write(STDERR_FILENO, s, n < LOG_POLLED_BYTES ? n : LOG_POLLED_BYTES);
			break;
		}
	} while (put < 0 && errno == EINTR);
	if (put < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	return put;
}

/* Puts bytes into the ring; the caller has looked that there is room. */
static void sink_keep(const char *s, size_t n)
{
	size_t at = (sink.head + sink.used) % LOG_RING_BYTES;
	size_t first = n < LOG_RING_BYTES - at ? n : LOG_RING_BYTES - at;

	memcpy(sink.ring + at, s, first);
	memcpy(sink.ring, s + first, n - first);
	sink.used += n;
}

/* What can never be written is counted by its newlines and let go. */
static void sink_discard(void)
{
	for (size_t i = 0; i < sink.used; i++)
		sink.dropped += sink.ring[(sink.head + i) % LOG_RING_BYTES] == '\n';
	sink.used = 0;
}

/* Writes as much of the ring as stderr takes. */
static void sink_drain(void)
{
	while (sink.used > 0) {
		size_t run = LOG_RING_BYTES - sink.head;
		ssize_t put = sink_write(sink.ring + sink.head, run < sink.used ? run : sink.used);

		if (put < 0)
			sink_discard();
		if (put <= 0)
			return;
		sink.head = (sink.head + (size_t)put) % LOG_RING_BYTES;
		sink.used -= (size_t)put;
	}
	sink.head = 0;
}

void log_sink_line(const char *line, size_t n)
{
	ssize_t put;

	if (!sink.opened)
		log_sink_open();
	sink_drain();
	while (n > 0 && sink.used == 0) {
		put = sink_write(line, n);
		if (put < 0) {
			sink.dropped++;
			return;
		}
		if (put == 0)
			break;
		line += put;
		n -= (size_t)put;
	}
	if (n == 0)
		return;
	/* the ring is empty when only the rest of a line comes here, so a line is never halved */
	if (n > LOG_RING_BYTES - sink.used)
		sink.dropped++;
	else
		sink_keep(line, n);
}

/* Tries again to write what waits, and says what was lost once there is room to say it. */
size_t bf_log_flush(void)
{
	if (!sink.opened)
		log_sink_open();
	sink_drain();
	if (sink.used == 0 && sink.how != LOG_CLOSED && sink.told != sink.dropped) {
		uint64_t lost = sink.dropped - sink.told;

		sink.told = sink.dropped;
		bf_log(BF_WARN, "log lines dropped, stderr was not read", BF_I("lines", lost));
	}
	return sink.used;
}

/* Lines lost since the start. */
uint64_t bf_log_dropped(void)
{
	return sink.dropped;
}

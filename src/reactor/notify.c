/*
 * notify: tells systemd how the service is doing (sd_notify(3)): one datagram per message to the
 * socket $NOTIFY_SOCKET names. Never blocks and never fails anybody: without the variable nothing
 * happens, and what the socket does not take now is sent in order as soon as it does.
 *
 * Written here because the protocol is these few lines, while libsystemd would bring a library
 * (and in its wake decompressors and ciphers) into every process for them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "loop.h"

#define STATUS_BYTES	256
#define STATUS_GAP_US	3500000		/* people read it: nothing is gained by more than this */
#define WAITING_BYTES	4096
#define AGAIN_MS	100
#define WATCHDOG_MIN_US 2000

struct bf_notify {
	struct bf_loop *loop;
	int fd;				/* -1: nobody listens */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_us;		/* 0: no watchdog */
	struct bf_op *watchdog_timer, *again_timer;
	struct bf_buf waiting;		/* messages, each with its NUL */
	char status[STATUS_BYTES + 1];
	uint64_t status_us;		/* when it was sent; 0: the next one is news, however soon */
	bool complained;
};

/* $NOTIFY_SOCKET as an address: a path, or with '@' a name of the abstract kind. */
static bool read_address(struct bf_notify *n, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof n->to.sun_path)
		return false;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, name, len);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	/* the NUL ends a path; in an abstract name it would be a part of it */
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return true;
}

/* A number of the environment that is above 0 and nothing else; 0 for all other texts. */
static uint64_t read_number(const char *text)
{
	unsigned long long value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end ? 0 : value;
}

/* How often systemd wants to hear from us; WATCHDOG_PID keeps a child from answering for its parent. */
static uint64_t read_watchdog(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t us = read_number(getenv("WATCHDOG_USEC"));

	if (pid && read_number(pid) != (uint64_t)getpid())
		return 0;
	return us >= WATCHDOG_MIN_US && us <= INT64_MAX ? us : 0;
}

/* Reads the environment, once. */
struct bf_notify *bf_notify_new(struct bf_loop *loop)
{
	struct bf_notify *n = bf_xcalloc(1, sizeof *n);
	const char *name = getenv("NOTIFY_SOCKET");

	n->loop = loop;
	n->fd = -1;
	bf_buf_init(&n->waiting, WAITING_BYTES);
	if (!name || !*name)
		return n;
	if (read_address(n, name))
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		bf_log(BF_WARN, "NOTIFY_SOCKET is of no use", BF_S("value", name));
	else
		n->watchdog_us = read_watchdog();
	return n;
}

void bf_notify_free(struct bf_notify *n)
{
	if (!n)
		return;
	bf_op_cancel(n->watchdog_timer);
	bf_op_cancel(n->again_timer);
	bf_buf_release(&n->waiting);
	if (n->fd >= 0)
		(void)close(n->fd);
	free(n);
}

bool bf_notify_wanted(const struct bf_notify *n)
{
	return n->fd >= 0;
}

static void complain(struct bf_notify *n, const char *why)
{
	if (!n->complained)
		bf_log(BF_WARN, "the service manager was not told", BF_S("error", why));
	n->complained = true;
}

/* False: not now, the reader's queue is full. What fails for another reason would fail again. */
static bool deliver(struct bf_notify *n, const char *text, size_t len)
{
	ssize_t sent;

	do
		sent = sendto(n->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT,
			(const struct sockaddr *)&n->to, n->to_len);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	complain(n, strerror(errno));
	return true;
}

static void again(void *ctx)
{
	struct bf_notify *n = ctx;
	size_t done = 0;

	n->again_timer = NULL;
	while (done < n->waiting.len) {
		size_t len = strlen(n->waiting.data + done);

		if (!deliver(n, n->waiting.data + done, len))
			break;
		done += len + 1;
	}
	if (done == n->waiting.len) {
		bf_buf_clear(&n->waiting);
		return;
	}
	memmove(n->waiting.data, n->waiting.data + done, n->waiting.len - done);
	n->waiting.len -= done;
	n->again_timer = bf_timer_start(n->loop, AGAIN_MS, again, n);
}

/* Sends now or, when others wait already or the socket is full, in its turn. */
static void tell(struct bf_notify *n, const char *text)
{
	size_t len = strlen(text);

	if (n->fd < 0 || (!n->waiting.len && deliver(n, text, len)))
		return;
	if (n->waiting.len + len + 1 > WAITING_BYTES) {
		complain(n, "it reads nothing");
		return;
	}
	bf_buf_add(&n->waiting, text, len + 1);
	if (!n->again_timer)
		n->again_timer = bf_timer_start(n->loop, AGAIN_MS, again, n);
}

/* Half the time that systemd would wait; a loop that hangs does not come by here and is ended. */
static void alive(void *ctx)
{
	struct bf_notify *n = ctx;

	if (!n->waiting.len)
		(void)deliver(n, "WATCHDOG=1", strlen("WATCHDOG=1"));
	n->watchdog_timer = bf_timer_start(n->loop, (int64_t)(n->watchdog_us / 2000), alive, n);
}

/* The service works: at the start, and after each reload. */
void bf_notify_ready(struct bf_notify *n)
{
	tell(n, "READY=1");
	n->status_us = 0;
	if (n->watchdog_us && !n->watchdog_timer)
		alive(n);
}

/* The configuration is being read again, until bf_notify_ready(). */
void bf_notify_reloading(struct bf_notify *n)
{
	char text[64];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)bf_now_us());
	tell(n, text);
}

/* Draining has begun and may take this long, whatever the unit's TimeoutStopSec says. */
void bf_notify_stopping(struct bf_notify *n, int64_t at_most_ms)
{
	char text[64];

	snprintf(text, sizeof text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
		(long long)at_most_ms * 1000);
	tell(n, text);
	n->status_us = 0;
}

/* What `systemctl status` shows. Dropped when it says what the last one said, or follows it too soon. */
void bf_notify_status(struct bf_notify *n, const char *text)
{
	char message[sizeof "STATUS=" + STATUS_BYTES], *line = message + strlen("STATUS=");
	uint64_t now = bf_now_us();

	if (n->fd < 0 || n->waiting.len || (n->status_us && now - n->status_us < STATUS_GAP_US))
		return;
	snprintf(message, sizeof message, "STATUS=%.*s",
		(int)bf_utf8_cut(text, strlen(text), STATUS_BYTES), text);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';	/* a new line would begin another message */
	if (!strcmp(line, n->status) || !deliver(n, message, strlen(message)))
		return;
	memcpy(n->status, line, strlen(line) + 1);
	n->status_us = now;
}

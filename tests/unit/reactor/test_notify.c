/* What systemd is told, heard on a real datagram socket. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "harness.h"

struct world {
	struct bf_loop *loop;
	struct bf_notify *notify;
	char folder[64], path[96];
	int fd;			/* where we listen; -1: nobody does */
};

/* A socket at a path, or with '@' in front an abstract one. */
static int listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && len < sizeof at.sun_path);
	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	assert_return_code(bind(fd, (struct sockaddr *)&at,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), errno);
	return fd;
}

static int setup(void **state)
{
	struct world *w = bf_xcalloc(1, sizeof *w);

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	snprintf(w->folder, sizeof w->folder, "%s/backfill-notify-XXXXXX", P_tmpdir);
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof w->path, "%s/socket", w->folder);
	w->loop = bf_loop_new();
	w->fd = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	bf_notify_free(w->notify);
	bf_loop_free(w->loop);
	if (w->fd >= 0)
		close(w->fd);
	unlink(w->path);
	rmdir(w->folder);
	free(w);
	return 0;
}

/* Listens at `name` and makes the notifier that finds it in its environment. */
static void begin(struct world *w, const char *name)
{
	w->fd = listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	w->notify = bf_notify_new(w->loop);
}

/* The next message, "" when there is none. */
static const char *heard(const struct world *w)
{
	static char text[1024];
	ssize_t len = recv(w->fd, text, sizeof text - 1, 0);

	if (len < 0)
		assert_int_equal(errno, EAGAIN);
	text[len < 0 ? 0 : len] = '\0';
	return text;
}

static int count_heard(const struct world *w, const char *message)
{
	int n = 0;
	const char *text;

	while (*(text = heard(w)))
		n += !strcmp(text, message);
	return n;
}

/* Without the variable nothing is sent, no timer runs, and every call is fine. */
static void without_the_variable(void **state)
{
	struct world *w = *state;

	setenv("WATCHDOG_USEC", "4000", 1);
	w->notify = bf_notify_new(w->loop);
	assert_false(bf_notify_wanted(w->notify));
	bf_notify_ready(w->notify);
	bf_notify_status(w->notify, "x");
	bf_notify_reloading(w->notify);
	bf_notify_stopping(w->notify, 1);
	harness_wait(w->loop, 20);
}

/* What is no address is no reason to die: too long, relative, empty, of another kind. */
static void a_bad_address_is_off(void **state)
{
	struct world *w = *state;
	char longer[200];
	const char *bad[] = { "", "relative", "@", "/", "vsock:2:1", longer };

	memset(longer, 'a', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = '\0';
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		w->notify = bf_notify_new(w->loop);
		assert_false(bf_notify_wanted(w->notify));
		bf_notify_ready(w->notify);
		bf_notify_free(w->notify);
		w->notify = NULL;
	}
}

/* The messages of a life, to the letter, over a path. */
static void a_life(void **state)
{
	struct world *w = *state;
	unsigned long long before = bf_now_us(), said = 0;
	char rest;

	begin(w, w->path);
	assert_true(bf_notify_wanted(w->notify));
	assert_string_equal(heard(w), "");
	bf_notify_ready(w->notify);
	assert_string_equal(heard(w), "READY=1");
	bf_notify_reloading(w->notify);
	assert_int_equal(sscanf(heard(w), "RELOADING=1\nMONOTONIC_USEC=%llu%c", &said, &rest), 1);
	assert_true(before <= said && said <= bf_now_us());
	bf_notify_ready(w->notify);
	assert_string_equal(heard(w), "READY=1");
	bf_notify_stopping(w->notify, 190000);
	assert_string_equal(heard(w), "STOPPING=1\nEXTEND_TIMEOUT_USEC=190000000");
	assert_string_equal(heard(w), "");
}

/* The same over a name of the abstract kind. */
static void an_abstract_name(void **state)
{
	struct world *w = *state;
	char name[64];

	snprintf(name, sizeof name, "@backfill-test-notify-%d", (int)getpid());
	begin(w, name);
	bf_notify_ready(w->notify);
	assert_string_equal(heard(w), "READY=1");
}

/* A status is sent at once, but neither again when it says the same nor when it comes too soon; ready and stop make it news. */
static void status_is_no_chatter(void **state)
{
	struct world *w = *state;

	begin(w, w->path);
	bf_notify_status(w->notify, "1 of 3 months");
	assert_string_equal(heard(w), "STATUS=1 of 3 months");
	bf_notify_status(w->notify, "2 of 3 months");
	assert_string_equal(heard(w), "");
	harness_wait(w->loop, 3600);
	bf_notify_status(w->notify, "1 of 3 months");
	assert_string_equal(heard(w), "");
	bf_notify_status(w->notify, "3 of 3 months");
	assert_string_equal(heard(w), "STATUS=3 of 3 months");
	bf_notify_stopping(w->notify, 1);
	bf_notify_status(w->notify, "draining");
	assert_string_equal(heard(w), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000");
	assert_string_equal(heard(w), "STATUS=draining");
	bf_notify_ready(w->notify);
	bf_notify_status(w->notify, "draining");
	bf_notify_status(w->notify, "up again");
	assert_string_equal(heard(w), "READY=1");
	assert_string_equal(heard(w), "STATUS=up again");
	assert_string_equal(heard(w), "");
}

/* A status is one line of at most 256 bytes, cut between two characters: more would be another message, or none. */
static void status_is_one_line(void **state)
{
	struct world *w = *state;
	char text[400];

	begin(w, w->path);
	bf_notify_status(w->notify, "x\nREADY=1\t");
	assert_string_equal(heard(w), "STATUS=x READY=1 ");
	bf_notify_stopping(w->notify, 1);
	heard(w);
	memset(text, 'a', 255);
	strcpy(text + 255, "\xc3\xa9 and more");
	bf_notify_status(w->notify, text);
	assert_int_equal(strlen(heard(w)), strlen("STATUS=") + 255);
}

/* Pings at half the interval from ready on, for as long as the loop turns. */
static void watchdog_pings(void **state)
{
	struct world *w = *state;
	char pid[16];

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	setenv("WATCHDOG_USEC", "40000", 1);
	begin(w, w->path);
	harness_wait(w->loop, 60);
	assert_string_equal(heard(w), "");
	bf_notify_ready(w->notify);
	assert_string_equal(heard(w), "READY=1");
	assert_string_equal(heard(w), "WATCHDOG=1");
	harness_wait(w->loop, 210);
	/* 10 when the machine is calm, never more */
	assert_in_range(count_heard(w, "WATCHDOG=1"), 2, 10);
	bf_notify_ready(w->notify);	/* a reload begins no second row of pings */
	harness_wait(w->loop, 210);
	assert_in_range(count_heard(w, "WATCHDOG=1"), 2, 11);
}

/* No ping when the watchdog is off, is another process's, or its interval is no number. */
static void no_watchdog(void **state)
{
	struct world *w = *state;
	const char *pids[] = { NULL, "1", NULL, NULL, NULL };
	const char *intervals[] = { NULL, "20000", "-20000", "20000s", "0" };

	begin(w, w->path);
	for (size_t i = 0; i < BF_COUNT(pids); i++) {
		unsetenv("WATCHDOG_PID");
		unsetenv("WATCHDOG_USEC");
		if (pids[i])
			setenv("WATCHDOG_PID", pids[i], 1);
		if (intervals[i])
			setenv("WATCHDOG_USEC", intervals[i], 1);
		bf_notify_free(w->notify);
		w->notify = bf_notify_new(w->loop);
		bf_notify_ready(w->notify);
		harness_wait(w->loop, 50);
		assert_string_equal(heard(w), "READY=1");
		assert_string_equal(heard(w), "");
	}
}

/* Fills the queue of the socket that we listen at; how many it took. */
static int fill(const struct world *w)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int n = 0, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path, w->path, strlen(w->path));
	while (n < 100000 && sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1)
		n++;
	assert_int_equal(errno, EAGAIN);
	close(fd);
	return n;
}

/* A reader that is slow blocks nobody, and states reach it later, in their order; a status may be lost. */
static void a_full_socket_blocks_nobody(void **state)
{
	struct world *w = *state;
	int n;

	begin(w, w->path);
	n = fill(w);
	bf_notify_ready(w->notify);
	bf_notify_status(w->notify, "lost");
	bf_notify_stopping(w->notify, 1);
	harness_wait(w->loop, 150);
	assert_int_equal(count_heard(w, "x"), n);
	harness_wait(w->loop, 150);
	assert_string_equal(heard(w), "READY=1");
	assert_string_equal(heard(w), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000");
	assert_string_equal(heard(w), "");
}

/* Nobody at the address any more, or a reader that never reads: nothing breaks, what waits stays bounded. */
static void nobody_listens(void **state)
{
	struct world *w = *state;

	begin(w, w->path);
	fill(w);
	for (int i = 0; i < 1000; i++)
		bf_notify_reloading(w->notify);
	close(w->fd);
	unlink(w->path);
	w->fd = -1;
	harness_wait(w->loop, 150);
	bf_notify_ready(w->notify);
	bf_notify_status(w->notify, "x");
	bf_notify_stopping(w->notify, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_the_variable, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_address_is_off, setup, teardown),
		cmocka_unit_test_setup_teardown(a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(an_abstract_name, setup, teardown),
		cmocka_unit_test_setup_teardown(status_is_no_chatter, setup, teardown),
		cmocka_unit_test_setup_teardown(status_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(watchdog_pings, setup, teardown),
		cmocka_unit_test_setup_teardown(no_watchdog, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_socket_blocks_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_listens, setup, teardown),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}

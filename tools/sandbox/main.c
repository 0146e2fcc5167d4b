/*
 * provider-sandbox: plays the seven providers on loopback, from a catalogue. Reads the command
 * line, loads the world, listens, says where in the ready file, and serves until SIGTERM or
 * SIGINT.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sandbox.h"

#define EXIT_USAGE   2
#define MAX_BODY     (8 << 20)
#define MAX_HEADERS  (64 << 10)
#define MAX_FILE     (256u << 20)
#define IDLE_S	     3600	/* kept connections outlive any pause of a client */

struct options {
	char address[64];
	uint16_t port;
	const char *catalogue, *ready_file, *control;
	uint64_t seed;
	bool demo;
};

static const char help[] =
	"Usage: provider-sandbox [OPTION]...\n"
	"Plays Gemini, xAI, ISBNdb, Google Books, Open Library, Archive.org and Wikidata on "
	"loopback.\n"
	"\n"
	"  --listen ADDRESS:PORT  127.0.0.1:0 unless told; port 0 takes a free one; loopback only\n"
	"  --catalogue FILE.tsv   books by month; the built-in catalogue unless told\n"
	"  --seed N               what all chance is drawn from (1)\n"
	"  --ready-file FILE      appears, whole, with the URL once the sandbox listens\n"
	"  --control FILE.json    turned before anything is served, as by PUT /_control\n"
	"  --latency demo         answers take about as long as an eye can follow\n"
	"  --help, --version\n"
	"\n"
	"Below the URL: /gemini /xai /isbndb /google_books /open_library /archive_org /wikidata "
	"stand for the\n"
	"base URLs. Any key will do, but one that contains \"bad\" is refused; a model that "
	"contains\n"
	"\"retired\" is unknown. GET and PUT /_control (members merge; an empty \"faults\" clears "
	"them;\n"
	"\"fault_attempts\": N ends a fault after N identical requests), GET /_counters, PUT "
	"/_reset,\n"
	"GET /_truth[?isbn=], GET /_named[?year=&month=].\n";

/* "127.0.0.1:0", "localhost:8080", "[::1]:0": false unless it is loopback. */
static bool read_listen(const char *text, struct options *o)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	unsigned char v4[4], v6[16];
	static const unsigned char loopback6[16] = { [15] = 1 };
	char *end;
	unsigned long port;

	if (!len || len >= sizeof(o->address))
		return false;
	if (*text == '[' && text[len - 1] == ']')
		snprintf(o->address, sizeof(o->address), "%.*s", (int)len - 2, text + 1);
	else
		snprintf(o->address, sizeof(o->address), "%.*s", (int)len, text);
	if (!strcmp(o->address, "localhost"))
		snprintf(o->address, sizeof(o->address), "127.0.0.1");
	errno = 0;
	port = strtoul(colon + 1, &end, 10);
	if (errno || !colon[1] || *end || port > 65535)
		return false;
	o->port = (uint16_t)port;
	if (inet_pton(AF_INET, o->address, v4) == 1)
		return v4[0] == 127;
	return inet_pton(AF_INET6, o->address, v6) == 1 && !memcmp(v6, loopback6, 16);
}

/* Reads the command line; -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = { { "listen", required_argument, NULL, 'l' },
		{ "catalogue", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "ready-file", required_argument, NULL, 'r' },
		{ "control", required_argument, NULL, 'k' },
		{ "latency", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 } };
	const char *bad = NULL;
	char *end;
	int c;

	*o = (struct options){ .address = "127.0.0.1", .seed = 1 };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'l' && !read_listen(optarg, o))
			bad = "--listen: a loopback address with a port is wanted";
		else if (c == 'c')
			o->catalogue = optarg;
		else if (c == 's') {
			errno = 0;
			o->seed = strtoull(optarg, &end, 10);
			if (errno || !*optarg || *optarg == '-' || *end || o->seed > INT64_MAX)
				bad = "--seed: a whole number is wanted";
		} else if (c == 'r')
			o->ready_file = optarg;
		else if (c == 'k')
			o->control = optarg;
		else if (c == 't' && strcmp(optarg, "demo"))
			bad = "--latency: only \"demo\" is known";
		else if (c == 't')
			o->demo = true;
		else if (c == 'h')
			return fputs(help, stdout) < 0;
		else if (c == 'v')
			return printf("provider-sandbox %s\n", BF_VERSION) < 0;
		else if (c == '?')
			return EXIT_USAGE;
	}
	if (!bad && optind < argc)
		bad = "no arguments are wanted";
	if (bad)
		fprintf(stderr, "provider-sandbox: %s\n", bad);
	return bad ? EXIT_USAGE : -1;
}

/* A whole file, NUL-terminated; NULL and a message when it cannot be read. */
static char *read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rbe");
	char *text = NULL;
	size_t len = 0, cap = 0, n;

	while (f) {
		if (cap - len < 2) {
			cap = cap * 2 + 65536;
			text = bf_xrealloc(text, cap, 1);
		}
		n = fread(text + len, 1, cap - len - 1, f);
		len += n;
		if (!n || len > MAX_FILE)
			break;
	}
	if (!f || ferror(f) || len > MAX_FILE) {
		fprintf(stderr, "provider-sandbox: %s: %s\n", path,
			len > MAX_FILE ? "too large" : strerror(errno));
		free(text);
		text = NULL;
	} else {
		text[len] = '\0';
		*ret_len = len;
	}
	if (f)
		fclose(f);
	return text;
}

/* Loads catalogue and switches; false after a message. */
static bool load(struct sandbox *s, const struct options *o)
{
	const char *name = o->catalogue ? o->catalogue : "built-in catalogue";
	struct bf_error err;
	size_t len = embedded_catalogue_len;
	char *text;
	bool ok;

	if (o->catalogue) {
		text = read_file(o->catalogue, &len);
	} else {
		text = bf_xmalloc(len + 1);
		memcpy(text, embedded_catalogue, len + 1);
	}
	if (!text)
		return false;
	if (!catalogue_parse(&s->world.catalogue, text, name, &err)) {
		fprintf(stderr, "provider-sandbox: %s\n", err.text);
		return false;
	}
	if (s->world.catalogue.skipped)
		fprintf(stderr, "provider-sandbox: %s: %zu rows skipped\n", name,
			s->world.catalogue.skipped);
	twins_find(&s->world.catalogue);
	s->world.search = search_new(&s->world.catalogue);
	s->world.knobs = &s->knobs;
	knobs_init(&s->knobs);
	s->knobs.seed = o->seed;
	if (o->demo)
		knobs_demo_latencies(&s->knobs);
	if (!o->control)
		return true;
	text = read_file(o->control, &len);
	ok = text && knobs_merge(&s->knobs, text, len, &err);
	if (text && !ok)
		fprintf(stderr, "provider-sandbox: %s: %s\n", o->control, err.text);
	free(text);
	return ok;
}

/* Listens and notes the URL; false after a message. */
static bool start_listening(struct sandbox *s, const struct options *o)
{
	struct evhttp_bound_socket *socket;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	unsigned port;

	s->base = event_base_new();
	s->http = s->base ? evhttp_new(s->base) : NULL;
	if (!s->http)
		return false;
	evhttp_set_max_body_size(s->http, MAX_BODY);
	evhttp_set_max_headers_size(s->http, MAX_HEADERS);
	evhttp_set_timeout(s->http, IDLE_S);
	evhttp_set_gencb(s->http, sandbox_handle, s);
	socket = evhttp_bind_socket_with_handle(s->http, o->address, o->port);
	if (!socket ||
		getsockname(evhttp_bound_socket_get_fd(socket), (struct sockaddr *)&at, &len)) {
		fprintf(stderr, "provider-sandbox: %s:%u: %s\n", o->address, o->port,
			strerror(errno));
		return false;
	}
	port = at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&at)->sin6_port) :
	       ntohs(((struct sockaddr_in *)&at)->sin_port);
	snprintf(s->url, sizeof(s->url),
		at.ss_family == AF_INET6 ? "http://[%s]:%u" : "http://%s:%u", o->address, port);
	return true;
}

/* Writes the URL beside the ready file and renames it there, so that it is never seen half
 * written. */
static bool write_ready(const char *path, const char *url)
{
	char *temporary = bf_xasprintf("%s.%ld", path, (long)getpid());
	FILE *f = fopen(temporary, "we");
	bool ok = f && fprintf(f, "%s\n", url) > 0;

	if (f && fclose(f))
		ok = false;
	if (ok && rename(temporary, path))
		ok = false;
	if (!ok)
		fprintf(stderr, "provider-sandbox: %s: %s\n", path, strerror(errno));
	free(temporary);
	return ok;
}

/* SIGTERM and SIGINT end the loop. */
static void on_signal(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(base);
}

/* Frees everything, so that a leak checker has nothing to say. */
static void release(struct sandbox *s)
{
	exchange_drop_all(s);
	if (s->http)
		evhttp_free(s->http);
	if (s->base)
		event_base_free(s->base);
	search_free(s->world.search);
	catalogue_release(&s->world.catalogue);
	sandbox_reset(s);
	counters_release(s->counters);
	free(s->served);
	bf_buf_release(&s->bomb);
}

/* Serves until a signal. */
static int serve(struct sandbox *s, const struct options *o)
{
	struct event *term, *interrupt;
	int rc = 1;

	if (!start_listening(s, o))
		return 1;
	term = evsignal_new(s->base, SIGTERM, on_signal, s->base);
	interrupt = evsignal_new(s->base, SIGINT, on_signal, s->base);
	if (term && interrupt && !event_add(term, NULL) && !event_add(interrupt, NULL) &&
	    (!o->ready_file || write_ready(o->ready_file, s->url))) {
		if (!o->ready_file)
			printf("%s\n", s->url);
		fflush(stdout);
		rc = event_base_dispatch(s->base) < 0;
	}
	if (term)
		event_free(term);
	if (interrupt)
		event_free(interrupt);
	return rc;
}

/* The one list of what starts and stops. */
int main(int argc, char **argv)
{
	static struct sandbox sandbox;
	struct options options;
	int rc = read_options(argc, argv, &options);

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	counters_init(sandbox.counters);
	bf_buf_init(&sandbox.bomb, 4u << 20);
	rc = load(&sandbox, &options) ? serve(&sandbox, &options) : EXIT_USAGE;
	release(&sandbox);
	return rc;
}

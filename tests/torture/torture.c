/*
 * The count, the decision and the page. Calls count from main's begin to its end: what the loader
 * and the libraries' constructors do is not the program's path.
 *
 * $TORTURE is KIND:N:VARIANT[:stay]; with stay every call from the N-th on fails. Without it
 * everything is counted and nothing fails.
 */
#include "torture.h"
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MODULES_MAX = 96 };

struct module {
	uintptr_t low, high, base;
	char name[TORTURE_NAME];
	int kind;			/* whose memory it is; MODULE_THROUGH: whoever called it */
};

enum { MODULE_THROUGH = -1, MODULE_SELF = -2 };

static struct module modules[MODULES_MAX];
static int n_modules;
static struct torture_page nowhere, *page = &nowhere;
static struct torture_places *places;
static int wanted_kind = -1;
static uint64_t wanted_n;
static unsigned wanted_variant;
static bool stays;
static volatile bool armed;
static __thread bool inside __attribute__((tls_model("initial-exec")));

void torture_next(void *slot, const char *name)
{
	void *found = __atomic_load_n((void **)slot, __ATOMIC_RELAXED);

	if (found)
		return;
	found = dlsym(RTLD_NEXT, name);
	if (!found)
		abort();	/* the program would not have started without it */
	__atomic_store_n((void **)slot, found, __ATOMIC_RELAXED);
}

/* ---- who is who ---- */

static int kind_of(const char *name)
{
	static const struct {
		const char *begins;
		int kind;
	} known[] = {
		{ "libpq", TORTURE_LIBPQ }, { "libcurl", TORTURE_LIBCURL }, { "libevent", TORTURE_LIBEVENT },
		{ "libcares", TORTURE_LIBCARES }, { "libc.", MODULE_THROUGH }, { "libasan", MODULE_THROUGH },
		{ "libubsan", MODULE_THROUGH }, { "ld-linux", MODULE_THROUGH }, { "torture.", MODULE_SELF },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strncmp(name, known[i].begins, strlen(known[i].begins)) == 0)
			return known[i].kind;
	}
	return TORTURE_OTHER;
}

/* The first object is the program itself; it has no name here. */
static int add_module(struct dl_phdr_info *info, size_t size, void *first)
{
	const char *slash = strrchr(info->dlpi_name, '/'), *name = slash ? slash + 1 : info->dlpi_name;
	bool is_program = *(bool *)first;
	struct module *m = &modules[n_modules];

	(void)size;
	*(bool *)first = false;
	if (n_modules == MODULES_MAX)
		return 1;
	*m = (struct module){ .low = UINTPTR_MAX, .base = info->dlpi_addr };
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t low = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD)
			continue;
		m->low = low < m->low ? low : m->low;
		m->high = low + part->p_memsz > m->high ? low + part->p_memsz : m->high;
	}
	snprintf(m->name, sizeof(m->name), "%s", is_program ? "program" : name);
	m->kind = is_program ? TORTURE_OWN : kind_of(name);
	n_modules++;
	return 0;
}

static const struct module *module_at(const void *address)
{
	for (int i = 0; i < n_modules; i++) {
		if ((uintptr_t)address >= modules[i].low && (uintptr_t)address < modules[i].high)
			return &modules[i];
	}
	return NULL;
}

/* Sanitizers have words of their own for a death. */
static bool module_named(const char *begins)
{
	for (int i = 0; i < n_modules; i++) {
		if (strncmp(modules[i].name, begins, strlen(begins)) == 0)
			return true;
	}
	return false;
}

/* ---- the decision ---- */

static void remember(struct torture_way *way)
{
	void *frames[TORTURE_FRAMES + 8];
	int n = backtrace(frames, TORTURE_FRAMES + 8);

	for (int i = 0; i < n && way->n < TORTURE_FRAMES; i++) {
		const struct module *m = module_at(frames[i]);
		struct torture_frame *f = &way->frames[way->n];

		if (m && m->kind == MODULE_SELF)
			continue;
		snprintf(f->module, sizeof(f->module), "%s", m ? m->name : "?");
		f->offset = (uintptr_t)frames[i] - (m ? m->base : 0);
		way->n++;
	}
}

/* Once; the signal then does what it does. */
static void on_death(int signo)
{
	(void)signo;
	inside = true;
	remember(&page->died);
}

/* The same number for the same way that led here. */
static uint64_t place(void)
{
	void *frames[TORTURE_FRAMES];
	int n = backtrace(frames, TORTURE_FRAMES);
	uint64_t sum = 14695981039346656037u;

	for (int i = 0; i < n; i++)
		sum = (sum ^ (uintptr_t)frames[i]) * 1099511628211u;
	return sum;
}

bool torture_hits(enum torture_kind kind, const char *what)
{
	int was = errno;
	uint64_t n;
	bool hit;

	if (!armed || inside)
		return false;
	n = __atomic_add_fetch(&page->calls[kind], 1, __ATOMIC_RELAXED);
	if (places && n <= TORTURE_CALLS_MAX) {
		inside = true;
		places->at[kind][n - 1] = place();
		inside = false;
	}
	hit = (int)kind == wanted_kind && (n == wanted_n || (stays && n > wanted_n));
	if (hit && __atomic_add_fetch(&page->failed, 1, __ATOMIC_RELAXED) == 1) {
		inside = true;
		snprintf(page->what, sizeof(page->what), "%s", what);
		remember(&page->from);
		inside = false;
	}
	errno = was;
	return hit;
}

bool torture_hits_from(enum torture_kind kind, const char *what, void *caller)
{
	const struct module *m = armed && !inside ? module_at(caller) : NULL;

	return m && m->kind == TORTURE_OWN && torture_hits(kind, what);
}

bool torture_hits_memory(const char *what, void *caller)
{
	const struct module *m;
	int kind, was = errno;

	if (!armed || inside)
		return false;
	m = module_at(caller);
	kind = m ? m->kind : TORTURE_OTHER;
	if (kind < 0) {		/* strdup and the like: for whom? */
		void *frames[16];
		int n;

		inside = true;
		n = backtrace(frames, 16);
		for (int i = 0; i < n && kind < 0; i++) {
			m = module_at(frames[i]);
			kind = m ? m->kind : TORTURE_OTHER;
		}
		inside = false;
		if (kind < 0)
			kind = TORTURE_OTHER;
	}
	errno = was;
	return torture_hits((enum torture_kind)kind, what);
}

unsigned torture_variant(unsigned n)
{
	return wanted_variant % n;
}

/* ---- main ---- */

/* The file that the variable names, in memory; NULL when there is none. */
static void *map_file(const char *variable, size_t size)
{
	const char *file = getenv(variable);
	int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return NULL;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static void read_orders(void)
{
	struct torture_page *given = map_file("TORTURE_PAGE", sizeof(*page));
	const char *orders = getenv("TORTURE");
	char stay[8] = "";

	if (given)
		page = given;
	places = map_file("TORTURE_PLACES", sizeof(*places));
	if (orders && sscanf(orders, "%d:%lu:%u:%7s", &wanted_kind, &wanted_n, &wanted_variant, stay) < 3) {
		fprintf(stderr, "torture: $TORTURE is KIND:N:VARIANT[:stay], not %s\n", orders);
		_exit(2);
	}
	stays = strcmp(stay, "stay") == 0;
}

typedef int torture_main(int argc, char **argv, char **envp);

static torture_main *real_main;

static int main_tortured(int argc, char **argv, char **envp)
{
	static char stack[64 * 1024];
	const stack_t aside = { .ss_sp = stack, .ss_size = sizeof(stack) };
	const struct sigaction death = { .sa_handler = on_death, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND };
	void *warm[4];
	bool first = true;
	int rc;

	dl_iterate_phdr(add_module, &first);
	read_orders();
	(void)backtrace(warm, 4);	/* its first call loads a library */
	sigaltstack(&aside, NULL);
	if (!module_named("libasan")) {
		sigaction(SIGSEGV, &death, NULL);
		sigaction(SIGABRT, &death, NULL);
		sigaction(SIGBUS, &death, NULL);
	}
	armed = true;
	rc = real_main(argc, argv, envp);
	armed = false;
	return rc;
}

int __libc_start_main(torture_main *program, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*ld_fini)(void), void *stack);

/* The program begins here: its main is put behind ours. */
int __libc_start_main(torture_main *program, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*ld_fini)(void), void *stack)
{
	TORTURE_NEXT(__libc_start_main);

	real_main = program;
	return next(main_tortured, argc, argv, init, fini, ld_fini, stack);
}

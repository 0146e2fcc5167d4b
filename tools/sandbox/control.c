/*
 * control: the switches, their defaults, and /_control that reads and turns them. A body is
 * checked as a whole before anything changes; a name that is not known is refused, so that a
 * misspelt fault never passes for a fault that does not happen. Members merge; an empty `faults`
 * clears all of a provider's.
 */
#include <stdio.h>
#include <string.h>
#include "sandbox.h"

#define LATENCY_MAX_MS 600000

const char *const fault_names[FAULTS] = { "none", "429", "429_minute", "429_daily", "401", "403",
	"404", "500", "502", "503", "504", "reset", "stall", "drip", "truncated", "oversized",
	"gzip_bomb", "invalid_json", "invalid_utf8", "html", "fenced", "refusal", "error_object",
	"safety", "empty", "max_tokens_cut", "one_bad_item" };

/* What the sandbox starts with. */
void knobs_init(struct knobs *k)
{
	static const double coverage[BF_NPROVIDERS] = { [BF_ISBNDB] = 0.80,
		[BF_GOOGLE_BOOKS] = 0.75,
		[BF_OPEN_LIBRARY] = 0.70,
		[BF_ARCHIVE_ORG] = 0.40,
		[BF_WIKIDATA] = 0.15 };
	*k = (struct knobs){ .seed = 1, .invented = 0.1, .overlap = 0.3, .decoys = true };
	for (int p = 0; p < BF_NPROVIDERS; p++)
		k->provider[p].coverage = coverage[p];
}

/* Latencies that let a viewer follow two dozen months in about a minute. */
void knobs_demo_latencies(struct knobs *k)
{
	static const int64_t demo[BF_NPROVIDERS][2] = { [BF_GEMINI] = { 1500, 4000 },
		[BF_XAI] = { 1500, 4000 },
		[BF_ISBNDB] = { 40, 120 },
		[BF_GOOGLE_BOOKS] = { 60, 150 },
		[BF_OPEN_LIBRARY] = { 80, 250 },
		[BF_ARCHIVE_ORG] = { 100, 300 },
		[BF_WIKIDATA] = { 100, 300 } };
	for (int p = 0; p < BF_NPROVIDERS; p++)
		memcpy(k->provider[p].latency_ms, demo[p], sizeof(demo[p]));
}

/* A number from low to high; false with a message otherwise. */
static bool read_number(struct bf_jval v, const char *name, double low, double high, double *ret,
	struct bf_error *err)
{
	double d;

	if (bf_json_type(v) != BF_J_NUMBER || !bf_json_dbl(v, &d) || !(d >= low && d <= high)) {
		bf_error_set(err, BF_ERR_CONFIG, "%s: a number from %g to %g is wanted", name, low,
			high);
		return false;
	}
	*ret = d;
	return true;
}

/* A whole number of at least 0. */
static bool read_whole(
	struct bf_jval v, const char *name, int64_t max, int64_t *ret, struct bf_error *err)
{
	int64_t n;

	if (bf_json_type(v) != BF_J_NUMBER || !bf_json_int(v, &n) || n < 0 || n > max) {
		bf_error_set(err, BF_ERR_CONFIG, "%s: a whole number from 0 to %lld is wanted",
			name, (long long)max);
		return false;
	}
	*ret = n;
	return true;
}

/* Faults that only a model can have. */
static bool only_for_ai(enum fault f)
{
	return f == FAULT_FENCED || f == FAULT_REFUSAL || f == FAULT_SAFETY ||
		f == FAULT_MAX_TOKENS_CUT;
}

/* {"429":0.02,...} */
static bool read_faults(struct bf_jval v, enum bf_provider_id p, struct provider_knobs *k,
	struct bf_arena *a, struct bf_error *err)
{
	double sum = 0;

	if (bf_json_type(v) != BF_J_OBJECT) {
		bf_error_set(err, BF_ERR_CONFIG, "faults: an object is wanted");
		return false;
	}
	if (!bf_json_size(v))
		memset(k->faults, 0, sizeof(k->faults));
	for (struct bf_jval m = bf_json_first(v); bf_json_type(m); m = bf_json_next(m)) {
		const char *name = bf_json_key(m, a);
		enum fault f = FAULT_NONE + 1;

		while (f < FAULTS && strcmp(fault_names[f], name))
			f++;
		if (f == FAULTS || (only_for_ai(f) && !BF_IS_AI(p))) {
			bf_error_set(err, BF_ERR_CONFIG, "faults of %s: no fault `%s`",
				bf_provider_names[p], name);
			return false;
		}
		if (!read_number(m, name, 0, 1, &k->faults[f], err))
			return false;
	}
	for (enum fault f = FAULT_NONE + 1; f < FAULTS; f++)
		sum += k->faults[f];
	if (sum > 1.0 + 1e-9) {
		bf_error_set(err, BF_ERR_CONFIG, "faults of %s: together more than 1",
			bf_provider_names[p]);
		return false;
	}
	return true;
}

/* [low, high], or one number for both. */
static bool read_latency(struct bf_jval v, struct provider_knobs *k, struct bf_error *err)
{
	struct bf_jval low = bf_json_type(v) == BF_J_ARRAY ? bf_json_path(v, "0") : v;
	struct bf_jval high = bf_json_type(v) == BF_J_ARRAY ? bf_json_path(v, "1") : v;

	if (!read_whole(low, "latency_ms", LATENCY_MAX_MS, &k->latency_ms[0], err) ||
	    !read_whole(high, "latency_ms", LATENCY_MAX_MS, &k->latency_ms[1], err))
		return false;
	if (k->latency_ms[0] <= k->latency_ms[1] &&
		(bf_json_type(v) != BF_J_ARRAY || bf_json_size(v) == 2))
		return true;
	bf_error_set(err, BF_ERR_CONFIG, "latency_ms: [low, high] is wanted");
	return false;
}

/* One provider's member. */
static bool read_provider_member(struct bf_jval m, const char *name, enum bf_provider_id p,
	struct provider_knobs *k, struct bf_arena *a, struct bf_error *err)
{
	if (!strcmp(name, "latency_ms"))
		return read_latency(m, k, err);
	if (!strcmp(name, "coverage") && !BF_IS_AI(p))
		return read_number(m, name, 0, 1, &k->coverage, err);
	if (!strcmp(name, "daily_quota"))
		return read_whole(m, name, INT32_MAX, &k->daily_quota, err);
	if (!strcmp(name, "rate"))
		return read_whole(m, name, INT32_MAX, &k->rate, err);
	if (!strcmp(name, "fault_attempts"))
		return read_whole(m, name, INT16_MAX, &k->fault_attempts, err);
	if (!strcmp(name, "faults"))
		return read_faults(m, p, k, a, err);
	bf_error_set(err, BF_ERR_CONFIG, "%s: no member `%s`", bf_provider_names[p], name);
	return false;
}

/* {"isbndb":{...},...} */
static bool read_providers(
	struct bf_jval v, struct knobs *k, struct bf_arena *a, struct bf_error *err)
{
	if (bf_json_type(v) != BF_J_OBJECT) {
		bf_error_set(err, BF_ERR_CONFIG, "providers: an object is wanted");
		return false;
	}
	for (struct bf_jval one = bf_json_first(v); bf_json_type(one); one = bf_json_next(one)) {
		const char *name = bf_json_key(one, a);
		int p = bf_provider_by_name(name);

		if (p < 0 || bf_json_type(one) != BF_J_OBJECT) {
			bf_error_set(err, BF_ERR_CONFIG,
				p < 0 ? "providers: no provider `%s`" : "%s: an object is wanted",
				name);
			return false;
		}
		for (struct bf_jval m = bf_json_first(one); bf_json_type(m); m = bf_json_next(m))
			if (!read_provider_member(m, bf_json_key(m, a), (enum bf_provider_id)p,
				    &k->provider[p], a, err))
				return false;
	}
	return true;
}

/* One member of the body. */
static bool read_member(struct bf_jval m, const char *name, struct knobs *k, struct bf_arena *a,
	struct bf_error *err)
{
	int64_t n;

	if (!strcmp(name, "seed")) {
		if (!read_whole(m, name, INT64_MAX, &n, err))
			return false;
		k->seed = (uint64_t)n;
		return true;
	}
	if (!strcmp(name, "invented"))
		return read_number(m, name, 0, 1, &k->invented, err);
	if (!strcmp(name, "overlap"))
		return read_number(m, name, 0, 1, &k->overlap, err);
	if (!strcmp(name, "fault_attempts")) {
		if (!read_whole(m, name, INT16_MAX, &n, err))
			return false;
		for (int p = 0; p < BF_NPROVIDERS; p++)
			k->provider[p].fault_attempts = n;
		return true;
	}
	if (!strcmp(name, "providers"))
		return read_providers(m, k, a, err);
	if (strcmp(name, "decoys")) {
		bf_error_set(err, BF_ERR_CONFIG, "no member `%s`", name);
		return false;
	}
	if (bf_json_bool(m, &k->decoys))
		return true;
	bf_error_set(err, BF_ERR_CONFIG, "decoys: true or false is wanted");
	return false;
}

/* Merges a body. */
bool knobs_merge(struct knobs *knobs, const char *json, size_t len, struct bf_error *err)
{
	struct bf_json *doc = bf_json_parse(json, len, &bf_json_limits_default, true, err);
	struct bf_arena *arena;
	struct knobs fresh = *knobs;
	struct bf_jval root;
	bool ok = true;

	if (!doc)
		return false;
	arena = bf_arena_new();
	root = bf_json_root(doc);
	if (bf_json_type(root) != BF_J_OBJECT) {
		bf_error_set(err, BF_ERR_CONFIG, "an object is wanted");
		ok = false;
	}
	for (struct bf_jval m = bf_json_first(root); ok && bf_json_type(m); m = bf_json_next(m))
		ok = read_member(m, bf_json_key(m, arena), &fresh, arena, err);
	if (ok)
		*knobs = fresh;
	bf_arena_free(arena);
	bf_json_free(doc);
	return ok;
}

/* One provider's switches. */
static void print_provider(struct bf_jw *jw, enum bf_provider_id p, const struct provider_knobs *k)
{
	write_open(jw, bf_provider_names[p], '{');
	write_open(jw, "latency_ms", '[');
	bf_jw_int(jw, k->latency_ms[0]);
	bf_jw_int(jw, k->latency_ms[1]);
	write_close(jw, ']');
	if (!BF_IS_AI(p)) {
		bf_jw_key(jw, "coverage");
		bf_jw_dbl(jw, k->coverage, 3);
	}
	write_int(jw, "daily_quota", k->daily_quota);
	write_int(jw, "rate", k->rate);
	write_int(jw, "fault_attempts", k->fault_attempts);
	write_open(jw, "faults", '{');
	for (enum fault f = FAULT_NONE + 1; f < FAULTS; f++)
		if (k->faults[f] > 0) {
			bf_jw_key(jw, fault_names[f]);
			bf_jw_dbl(jw, k->faults[f], 4);
		}
	write_close(jw, '}');
	write_close(jw, '}');
}

/* All switches, in the form that knobs_merge takes. */
void knobs_print(const struct knobs *k, struct bf_buf *out)
{
	struct bf_jw jw;

	bf_jw_init(&jw, out);
	write_open(&jw, NULL, '{');
	write_int(&jw, "seed", (int64_t)k->seed);
	bf_jw_key(&jw, "invented");
	bf_jw_dbl(&jw, k->invented, 3);
	bf_jw_key(&jw, "overlap");
	bf_jw_dbl(&jw, k->overlap, 3);
	bf_jw_key(&jw, "decoys");
	bf_jw_bool(&jw, k->decoys);
	write_open(&jw, "providers", '{');
	for (int p = 0; p < BF_NPROVIDERS; p++)
		print_provider(&jw, (enum bf_provider_id)p, &k->provider[p]);
	write_close(&jw, '}');
	write_close(&jw, '}');
	bf_buf_adds(out, "\n");
}

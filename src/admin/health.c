/*
 * health: whether the process lives, and whether it can work. Only three things make it unready (database away, schema
 * wrong, no AI provider usable); everything else is listed as degraded, because a restart or another instance would not help.
 */
#include "handlers.h"
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 65536

/* GET /healthz: answering is the proof. */
void health_live(struct request *rq)
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, TEXT_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "status");
	bf_jw_str(&jw, "ok");
	bf_jw_key(&jw, "version");
	bf_jw_str(&jw, BF_VERSION);
	bf_jw_key(&jw, "uptime_seconds");
	bf_jw_int(&jw, (int64_t)((bf_now_us() - rq->admin->started_us) / 1000000));
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* "name: why" of a provider that can't be asked. */
static void write_unusable(struct bf_jw *jw, enum bf_provider_id id, const char *why)
{
	char text[320];

	snprintf(text, sizeof(text), "%s: %s", bf_provider_names[id], why);
	bf_jw_str(jw, text);
}

/* What keeps it from working at all. Returns how many reasons there are. */
static int write_reasons(struct bf_jw *jw, const struct bf_admin *admin)
{
	int n = 0;

	if (!bf_pg_is_up(admin->parts.pool)) {
		bf_jw_str(jw, "database: not connected");
		n++;
	} else if (bf_schedule_last_pulse(admin->parts.schedule, NULL) == NULL) {
		/* Only at the start: until the lock session has looked around, a claim would be refused. */
		bf_jw_str(jw, "database: not looked at yet");
		n++;
	}
	if (!admin->schema_known || admin->schema != BF_SCHEMA_OK) {
		char text[300];

		snprintf(text, sizeof(text), "schema: %s",
			admin->schema_known ? admin->remedy : "not checked yet");
		bf_jw_str(jw, text);
		n++;
	}
	if (!bf_providers_any_ai(admin->parts.providers)) {
		bf_jw_str(jw, "no AI provider usable");
		n++;
	}
	return n;
}

/* Critical alerts that nothing else in the list says in its own words. */
static void write_alerts(struct bf_jw *jw, const struct bf_admin *admin)
{
	static const char *const said[] = { "no_ai", "provider_off", "quota" };
	const struct bf_alert_figures *f = bf_schedule_alert_figures(admin->parts.schedule);

	for (int i = 0; i < f->n_open; i++) {
		bool again = strcmp(f->open[i].severity, "critical") != 0;
		char text[64];

		for (size_t k = 0; k < BF_COUNT(said); k++)
			again = again || strcmp(f->open[i].key, said[k]) == 0;
		if (again)
			continue;
		snprintf(text, sizeof(text), "alert: %s", f->open[i].key);
		bf_jw_str(jw, text);
	}
}

/* What it works without. */
static void write_degraded(struct bf_jw *jw, const struct bf_admin *admin)
{
	int64_t age_ms;
	const struct bf_pulse *pulse = bf_schedule_last_pulse(admin->parts.schedule, &age_ms);

	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *why =
			bf_provider_unusable(admin->parts.providers, (enum bf_provider_id)id);

		if (why != NULL)
			write_unusable(jw, (enum bf_provider_id)id, why);
	}
	if (pulse != NULL && pulse->paused) {
		const char *note = pulse->pause_note != NULL ? pulse->pause_note : "";
		struct bf_buf text;

		bf_buf_init(&text, 4096);
		bf_buf_addf(&text, "paused%s%s", note[0] != '\0' ? ": " : "", note);
		bf_jw_str(jw, text.data);
		bf_buf_release(&text);
	}
	write_alerts(jw, admin);
	if (!bf_pg_is_up(admin->parts.locks))
		bf_jw_str(jw, "lock session: down");
	if (bf_schedule_draining(admin->parts.schedule))
		bf_jw_str(jw, "draining");
}

/* GET /readyz: 503 with its reasons, or 200 with what is missing. */
void health_ready(struct request *rq)
{
	struct bf_buf reasons, buf;
	struct bf_jw jw;
	int n;

	bf_buf_init(&reasons, TEXT_BYTES);
	bf_jw_init(&jw, &reasons);
	bf_jw_arr(&jw);
	n = write_reasons(&jw, rq->admin);
	bf_jw_end_arr(&jw);

	bf_buf_init(&buf, TEXT_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "ready");
	bf_jw_bool(&jw, n == 0);
	bf_jw_key(&jw, "reasons");
	bf_jw_raw(&jw, reasons.data, reasons.len);
	bf_jw_key(&jw, "degraded");
	bf_jw_arr(&jw);
	write_degraded(&jw, rq->admin);
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
	bf_buf_release(&reasons);
	if (n > 0)
		reply_header(rq, "Retry-After", "5");
	reply_buf(rq, n == 0 ? 200 : 503, &buf);
}

/*
 * One finished run, told by four: the dashboard, GET backfill-stats, /metrics and the rows of the database. All agree.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, number, cellStatuses } from './lib/browser.mjs';
import { Stand, until } from './lib/stand.mjs';

const MONTHS = 12;
let stand, browser, sql, calls;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 8 } } }), launch()]);
	await stand.seed(2024, 2024);
	await stand.post('/api/internal/schedule-backfill', { batch_size: MONTHS, year_range: { start: 2024, end: 2024 } });
	await stand.ask('finished', { months: MONTHS });
	[sql] = await stand.sql(`SELECT count(*)::int AS total, count(*) FILTER (WHERE status = 'completed')::int AS completed,
			count(*) FILTER (WHERE status = 'failed')::int AS failed, count(*) FILTER (WHERE status = 'pending')::int AS pending,
			sum(books_generated)::int AS books, sum(isbns_resolved)::int AS isbns, sum(isbns_queued)::int AS queued,
			sum(cost_usd)::float8 AS cost, sum(gemini_calls)::int AS gemini, sum(xai_calls)::int AS xai,
			(SELECT count(*)::int FROM backfill_candidates WHERE state <> 'merged') AS titles,
			(SELECT count(*)::int FROM backfill_candidates WHERE isbn13 IS NOT NULL AND state <> 'merged') AS resolved,
			(SELECT count(*)::int FROM enrichment_queue WHERE queued_by = 'backfilld' AND status = 'completed') AS enriched,
			(SELECT count(*)::int FROM enrichment_queue WHERE queued_by = 'backfilld' AND status = 'failed') AS not_enriched
		FROM backfill_log`);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* The sum of a metric's values over labels that match. */
function sum(metrics, name, pattern = /./) {
	return Object.entries(metrics).filter(([key]) => key.startsWith(`${name}{`) && pattern.test(key))
		.reduce((n, [, value]) => n + value, 0);
}

/* The rows are those of a finished run, and what they count is there. */
test('the run is finished, and the rows count themselves', () => {
	assert.equal(sql.completed, MONTHS);
	assert.equal(sql.total, MONTHS);
	assert.ok(sql.books > MONTHS && sql.isbns > 0 && sql.enriched > 0 && sql.cost > 0, JSON.stringify(sql));
	assert.equal(sql.titles, sql.books, 'the titles that are stored');
	assert.equal(sql.resolved, sql.isbns, 'the titles that have an ISBN');
});

/* GET backfill-stats says the same as SQL. */
test('stats and SQL', async () => {
	const stats = await stand.get('/api/internal/backfill-stats');
	assert.deepEqual(stats.by_status, { pending: 0, processing: 0, completed: MONTHS, failed: 0, retry: 0 });
	const { overall_resolution_rate: rate, ...counts } = stats.progress;
	assert.deepEqual(counts, { total_books_generated: sql.books, total_isbns_resolved: sql.isbns, total_isbns_queued: sql.queued });
	assert.equal(rate, Math.round(10000 * sql.isbns / sql.books) / 100);
	assert.equal(stats.enrichment.completed, sql.enriched);
	assert.equal(stats.enrichment.failed, sql.not_enriched);
	assert.equal(stats.enrichment.pending + stats.enrichment.processing, 0);
});

/* /metrics says the same as SQL, once its figures of the database have been read anew. */
test('metrics and SQL', async () => {
	const metrics = await until(async () => {
		const read = await stand.ask('metrics');
		return read['backfill_months{status="completed"}'] === MONTHS && read.backfill_isbns_queued === sql.queued && read;
	}, 'the metrics have seen the end');
	assert.equal(sum(metrics, 'backfill_months'), sql.total);
	assert.deepEqual([metrics.backfill_books_generated, metrics.backfill_isbns_resolved, metrics.backfill_isbns_queued],
		[sql.books, sql.isbns, sql.queued]);
	assert.equal(metrics['backfill_enrichment_queue{state="failed"}'], sql.not_enriched);
	assert.equal(metrics['backfill_enrichment_queue{state="pending"}'], 0);
	assert.equal(metrics['backfill_months_ended_total{result="completed"}'], MONTHS);
	/* a row keeps six decimals of each answer's price */
	assert.ok(Math.abs(sum(metrics, 'backfill_cost_usd_total') - sql.cost) <= 0.5e-6 * (sql.gemini + sql.xai) + 1e-9,
		`${sum(metrics, 'backfill_cost_usd_total')} and ${sql.cost} dollars`);
	calls = {};
	for (const provider of ['gemini', 'xai', 'isbndb', 'google_books', 'open_library', 'archive_org', 'wikidata'])
		calls[provider] = sum(metrics, 'backfill_provider_requests_total', new RegExp(`provider="${provider}"`));
	assert.deepEqual([calls.gemini, calls.xai], [sql.gemini, sql.xai], 'calls of the AIs');
	/* what was asked is written down in batches: when it is, it is the same */
	await until(async () => {
		const rows = await stand.sql('SELECT provider, sum(calls)::int AS n FROM api_usage GROUP BY 1');
		return rows.every(row => calls[row.provider] === row.n) && rows.length > 2;
	}, `api_usage has the calls that /metrics counts: ${JSON.stringify(calls)}`);
});

/* And the page shows just these figures, on the months' page and on the providers'. */
test('the dashboard and SQL', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await page.waitForFunction(() => document.querySelectorAll('[data-test="grid"] [data-month]').length > 0);
		for (const [name, value] of [['stat-books', sql.books], ['stat-isbns', sql.isbns], ['stat-queued', sql.queued],
			['stat-completed', MONTHS], ['stat-failed', 0], ['stat-pending', 0], ['percent', 100]])
			assert.equal(await number(named(page, name)), value, name);
		const cost = await named(page, 'stat-cost').innerText();
		const digits = cost.split('.')[1].length;
		assert.equal(cost, `$${sql.cost.toFixed(digits)}`, 'stat-cost');
		assert.deepEqual(await cellStatuses(page), { completed: MONTHS });
		assert.match(await named(page, 'left').innerText(), new RegExp(`All ${MONTHS} months done`));
		const rows = await stand.sql('SELECT month, books_generated, isbns_resolved FROM backfill_log');
		for (const row of rows) {
			const label = await page.locator(`[data-month="2024-${String(row.month).padStart(2, '0')}"]`).getAttribute('aria-label');
			assert.ok(label.includes(`${row.isbns_resolved} of ${row.books_generated} `), `${label}: ${JSON.stringify(row)}`);
		}
		await goTo(page, '#/providers');
		for (const [provider, n] of Object.entries(calls)) {
			const text = (await named(page, `provider-${provider}`).innerText()).replaceAll(/\s+/g, ' ');
			assert.match(text, new RegExp(`Requests today ${n.toLocaleString('en-US')}\\b`, 'i'), provider);
		}
	});
});

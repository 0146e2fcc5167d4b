/*
 * Providers, queue, alerts, instances and audit show what the interface says, neither more nor less.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo } from './lib/browser.mjs';
import { Stand, until } from './lib/stand.mjs';

const NAMES = { gemini: 'Gemini', xai: 'Grok', isbndb: 'ISBNdb', google_books: 'Google Books', open_library: 'Open Library',
	archive_org: 'Archive.org', wikidata: 'Wikidata' };
const int = n => n.toLocaleString('en-US');
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 6 },
		'provider.isbndb': { daily_limit: 5000, reserve: 100 } } }), launch()]);
	await stand.seed(2024, 2024);
	await stand.post('/api/internal/schedule-backfill', { batch_size: 4, year_range: { start: 2024, end: 2024 } });
	await stand.ask('finished', { months: 4 });
	await stand.sql(`UPDATE enrichment_queue SET status = 'failed', completed_at = NULL, error_message = 'nobody knows this ISBN'
		WHERE entity_key IN (SELECT entity_key FROM enrichment_queue ORDER BY entity_key LIMIT 2)`);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* The text of the main part, on one line. */
async function main(page) {
	return (await page.locator('main').innerText()).replaceAll(/\s+/g, ' ');
}

/* Each provider has a card with its figures of the day, its quota and its standing. */
test('providers', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/providers');
		const { providers } = await stand.get('/api/internal/overview');
		assert.deepEqual(providers.map(p => p.name).sort(), Object.keys(NAMES).sort());
		for (const p of providers) {
			const card = named(page, `provider-${p.name}`);
			const text = (await card.innerText()).replaceAll(/\s+/g, ' ');
			assert.ok(text.includes(NAMES[p.name]), text);
			assert.equal(await card.getAttribute('data-usable'), String(p.usable));
			assert.match(text, new RegExp(`Requests today ${int(p.today.requests)}\\b`, 'i'));
			assert.match(text, new RegExp(`Units today ${int(p.today.units)}\\b`, 'i'));
			assert.match(text, new RegExp(`Errors today ${int(p.today.errors)}\\b`, 'i'));
			assert.match(text, /Circuit closed/i);
			if (p.today.requests > 0)
				assert.match(text, /Latency p50 \/ p95 \d/i);
			for (const [outcome, n] of Object.entries(p.outcomes))
				assert.ok(text.includes(`${outcome.replaceAll('_', ' ')} ${int(n)}`), `${outcome} ${n} in ${text}`);
		}
		assert.match(await named(page, 'provider-isbndb').innerText(), /of 4,900 units/);
	});
});

/* The requests of the day are those the database has, and what the sandbox counted. */
test("the providers' requests are the database's", async () => {
	const { providers } = await stand.get('/api/internal/overview');
	const rows = await stand.sql('SELECT provider, sum(calls)::int AS calls, sum(units)::int AS units FROM api_usage GROUP BY 1');
	for (const row of rows) {
		const p = providers.find(x => x.name === row.provider);
		assert.deepEqual([p.today.requests, p.today.units], [row.calls, row.units], row.provider);
	}
});

/* A closed provider says so and until when. */
test('a provider that is closed', async () => {
	await stand.sql(`INSERT INTO provider_state (provider, kind, closed_until, reason, failures, updated_by)
		VALUES ('wikidata', 'circuit', now() + interval '2 hours', '5 failures in a row', 5, 'test')
		ON CONFLICT (provider) DO UPDATE SET kind = 'circuit', closed_until = excluded.closed_until, reason = excluded.reason`);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/providers');
		await until(async () => {
			const p = (await stand.get('/api/internal/overview')).providers.find(x => x.name === 'wikidata');
			return p.circuit === 'open';
		}, 'the interface says that the circuit is open', 30000);
		await page.reload();
		await named(page, 'provider-wikidata').waitFor();
		const text = await named(page, 'provider-wikidata').innerText();
		assert.match(text, /closed for now|not usable/);
		assert.match(text, /open until/);
	});
	await stand.sql("DELETE FROM provider_state WHERE provider = 'wikidata'");
});

/* The counts of the queue, its items, and why items failed. */
test('the queue', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/queue');
		const { enrichment } = await stand.get('/api/internal/backfill-stats');
		assert.equal(enrichment.failed, 2);
		const text = await main(page);
		assert.match(text, new RegExp(`Completed ${int(enrichment.completed)}\\b`, 'i'));
		assert.match(text, new RegExp(`Failed ${int(enrichment.failed)}\\b`, 'i'));
		assert.match(await named(page, 'queue-reasons').innerText(), /2\s+nobody knows this ISBN/);
		await named(page, 'queue-status').selectOption('failed');
		await until(async () => await named(page, 'queue-items').locator('tbody tr').count() === 2, 'two items are shown');
		const [row] = await stand.sql("SELECT entity_key FROM enrichment_queue WHERE status = 'failed' ORDER BY entity_key LIMIT 1");
		assert.ok((await named(page, 'queue-items').innerText()).includes(row.entity_key));
	});
});

/* A book's page tells its whole story. */
test('a book', async () => {
	const isbn = await stand.value(`SELECT isbn13 FROM backfill_candidates JOIN enriched_editions e ON e.isbn = isbn13
		WHERE state = 'resolved' ORDER BY isbn13 LIMIT 1`);
	const title = await stand.value('SELECT title FROM enriched_editions WHERE isbn = %s', isbn);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, `#/book/${isbn}`);
		await page.getByRole('heading', { name: 'Who named it', exact: false }).or(page.getByText('Named')).first().waitFor();
		const text = await main(page);
		assert.ok(text.includes(isbn) && text.includes(title.replaceAll(/\s+/g, ' ')), text.slice(0, 500));
	});
});

/* Every alert that the interface lists, with what to do; and the two examinations run from here. */
test('alerts, verify and doctor', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/alerts');
		await named(page, 'alerts-open').waitFor();
		/* the advice is made from what is so now: both are read until they are of one moment */
		await until(async () => {
			const list = (await stand.get('/api/internal/alerts')).alerts.filter(a => !a.cleared_at);
			const part = named(page, 'alerts-open');
			const shown = (await part.innerText()).replaceAll(/\s+/g, ' ');
			const pieces = list.flatMap(a => [a.summary, a.action]).flatMap(text => text.split(/\d{4}-\d\d-\d\dT\S+/));
			return await part.locator('h3').count() === list.length &&
				pieces.every(piece => shown.includes(piece.trim().replaceAll(/\s+/g, ' ')));
		}, 'every open alert is shown with what to do', 40000);
		for (const name of ['verify', 'doctor']) {
			const answer = await stand.get(`/api/internal/${name}`);
			await named(page, `${name}-run`).click();
			await named(page, `${name}-findings`).getByText(/\d+ checks?/).waitFor();
			const text = (await named(page, `${name}-findings`).innerText()).replaceAll(/\s+/g, ' ');
			assert.ok(text.includes(`${Object.keys(answer.checked).length} checks`), text);
			for (const finding of answer.findings)
				assert.ok(text.includes(finding.check.replaceAll('_', ' ')), `${finding.check} in ${text}`);
		}
	});
});

/* Who is at work, and what he holds. */
test('instances', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/instances');
		const { instances } = await stand.get('/api/internal/overview');
		const text = await main(page);
		assert.equal(instances.length, 1);
		assert.ok(text.includes(stand.instance) && text.includes(String(instances[0].pid)), text);
		assert.match(text, /alive/);
		assert.match(text, /this one/);
		assert.equal(await page.locator('main tbody tr').count(), 1);
	});
});

/* Every call that changed something, with who and what came of it. */
test('the audit', async () => {
	await stand.ask('post', { path: '/api/internal/months/2024/13/retry' });
	await stand.ask('post', { path: '/api/internal/pause', body: { note: 7 } });
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/audit');
		const { audit } = await stand.get('/api/internal/audit?limit=50');
		await until(async () => await page.locator('main tbody tr').count() === audit.length, 'all calls are listed');
		const rows = await page.locator('main tbody tr').evaluateAll(list => list.map(r => r.textContent));
		audit.forEach((call, i) => {
			assert.ok(rows[i].includes(call.path), `${call.path} in ${rows[i]}`);
			assert.ok(rows[i].includes(String(call.status)), `${call.status} in ${rows[i]}`);
		});
		assert.ok(audit.some(a => a.status === 400), 'a refused call is among them');
	});
});

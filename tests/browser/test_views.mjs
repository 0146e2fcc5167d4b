/*
 * Every view, in light and dark, from a phone to a wide screen: axe-core finds nothing serious, nothing overflows, nothing is
 * cut off, and a picture of each lies in build/screenshots/.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, settled, axe, overflow, shot } from './lib/browser.mjs';
import { Stand } from './lib/stand.mjs';

const WIDTHS = [320, 768, 1440];
const VIEWS = { months: '#/', month: '#/month/2024-12', providers: '#/providers', queue: '#/queue', alerts: '#/alerts',
	instances: '#/instances', audit: '#/audit' };
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 8 } } }), launch()]);
	await stand.seed(2000, 2024);
	await stand.post('/api/internal/schedule-backfill', { batch_size: 3, year_range: { start: 2024, end: 2024 } });
	await stand.ask('finished', { months: 3 });
	/* something of everything: all five states, waiting, failing, an alert, what was cleared, failed items, a pause */
	await stand.sql(`UPDATE backfill_log SET status = 'completed', stage = 'completed', started_at = now() - interval '2 hours',
		completed_at = now() - interval '1 hour', books_generated = 20 + month, isbns_resolved = 10 + month,
		resolution_rate = round(100.0 * (10 + month) / (20 + month), 2), cost_usd = month * 0.001, round = 1
		WHERE year BETWEEN 2015 AND 2023 AND month <> 3`);
	await stand.sql(`UPDATE backfill_log SET status = 'failed', retry_count = 5, error_message = 'The AIs did not answer',
		last_retry_at = now() WHERE year BETWEEN 2015 AND 2020 AND month = 3`);
	await stand.sql(`UPDATE backfill_log SET status = 'retry', retry_count = 2, error_message = 'HTTP 503 from Gemini',
		last_retry_at = now(), next_attempt_at = now() + interval '3 hours' WHERE year BETWEEN 2021 AND 2023 AND month = 3`);
	await stand.sql(`INSERT INTO backfill_alerts (key, subject, severity, summary, action, raised_at)
		VALUES ('resolution_rate', '', 'warning', 'Only 41.2 % of the books of 24 months have an ISBN', 'Look at the providers', now()),
		('failed_months', '', 'critical', '6 months have failed', 'backfillctl retry --status failed', now())
		ON CONFLICT DO NOTHING`);
	await stand.sql(`UPDATE enrichment_queue SET status = 'failed', error_message = 'nobody knows this ISBN',
		completed_at = NULL WHERE entity_key IN (SELECT entity_key FROM enrichment_queue ORDER BY entity_key LIMIT 3)`);
	await stand.post('/api/internal/pause', { note: 'the database moves tonight' });
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* One view at every width: no overflow, and its picture. */
async function atEveryWidth(page, name, scheme) {
	for (const width of WIDTHS) {
		await page.setViewportSize({ width, height: width < 700 ? 800 : 900 });
		await page.evaluate(() => new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
		assert.deepEqual(await overflow(page), [], `${name} at ${width} px overflows`);
		await shot(page, `${name}-${scheme}-${width}`);
	}
}

for (const scheme of ['light', 'dark']) {
	/* The login before anything is known. */
	test(`the login, ${scheme}`, async () => {
		await withPage(browser, stand, async page => {
			await page.goto('/');
			await named(page, 'login-secret').waitFor();
			assert.deepEqual(await axe(page), []);
			await atEveryWidth(page, 'login', scheme);
		}, { colorScheme: scheme });
	});

	for (const [name, hash] of Object.entries(VIEWS))
		test(`${name}, ${scheme}`, async () => {
			await withPage(browser, stand, async page => {
				await logIn(page, stand, { hash });
				await goTo(page, hash);
				if (name === 'month')
					await named(page, 'month-transitions').waitFor();
				for (const width of scheme === 'light' ? [320, 1440] : [1440]) {
					await page.setViewportSize({ width, height: 900 });
					assert.deepEqual(await axe(page), [], `${name} at ${width} px`);
				}
				await atEveryWidth(page, name, scheme);
			}, { colorScheme: scheme });
		});

	/* The dialogs, with their plans. */
	test(`dialogs, ${scheme}`, async () => {
		await withPage(browser, stand, async page => {
			await logIn(page, stand);
			for (const name of ['schedule', 'retry', 'resume']) {
				await page.setViewportSize({ width: 1440, height: 900 });
				await named(page, `action-${name}`).click();
				await named(page, 'dialog-plan').waitFor();
				await settled(page);
				assert.deepEqual(await axe(page), [], name);
				await atEveryWidth(page, `dialog-${name}`, scheme);
				await page.keyboard.press('Escape');
				await named(page, 'dialog').waitFor({ state: 'detached' });
			}
		}, { colorScheme: scheme });
	});
}

/* The letters and figures of each layer stand out from their colours in both schemes. */
test('layers, light and dark', async () => {
	for (const colorScheme of ['light', 'dark'])
		await withPage(browser, stand, async page => {
			await logIn(page, stand);
			for (const id of await named(page, 'layer').locator('option').evaluateAll(options => options.map(o => o.value))) {
				await named(page, 'layer').selectOption(id);
				assert.deepEqual(await axe(page, { within: '.months', rules: ['color-contrast'] }), [], `${id}, ${colorScheme}`);
				await shot(page, `layer-${id}-${colorScheme}`);
			}
		}, { colorScheme });
});

/* The grid is a grid to a screen reader: rows, headers, cells with names; landmarks are there once. */
test('roles and names', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await page.getByRole('grid').waitFor();
		assert.equal(await page.getByRole('grid').count(), 1);
		assert.equal(await page.getByRole('columnheader').count(), 13);
		assert.equal(await page.getByRole('rowheader').count(), 25);
		assert.equal(await page.getByRole('gridcell', { name: /\w+ \d{4}: \w+/ }).count(), 300);
		assert.equal(await page.getByRole('main').count(), 1);
		assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
		assert.equal(await page.getByRole('navigation', { name: 'Views' }).count(), 1);
		assert.equal(await page.getByRole('progressbar').getAttribute('aria-valuemax'), '100');
	});
});

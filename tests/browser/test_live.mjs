/*
 * A run before the operator's eyes: months fill without a reload, the percentage rises, the data's age is always there, and
 * what is idle never says that it runs.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, cell, cellStatuses, number } from './lib/browser.mjs';
import { Stand, until } from './lib/stand.mjs';

const BUSY_WORDS = /running|working|in flight|in progress|at work/i;
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 5 } } }), launch()]);
	await stand.seed(2024, 2024);
	await stand.ask('latency', { providers: ['gemini', 'xai'], ms: 900 });
	await stand.ask('latency', { providers: ['isbndb', 'google_books', 'open_library'], ms: 40 });
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Keeps every state that a cell and the percentage go through, from now on. */
function record(page) {
	return page.evaluate(() => {
		const seen = { cells: {}, percent: [], ages: 0, banners: [] };
		const note = () => {
			for (const node of document.querySelectorAll('[data-month]')) {
				const list = seen.cells[node.dataset.month] ??= [];
				if (list.at(-1) !== node.dataset.status)
					list.push(node.dataset.status);
			}
			const percent = document.querySelector('[data-test="percent"]').textContent;
			if (seen.percent.at(-1) !== percent)
				seen.percent.push(percent);
			const banner = document.querySelector('[data-test="banner"]').textContent;
			if (seen.banners.at(-1) !== banner)
				seen.banners.push(banner);
			seen.ages += !/\d/.test(document.querySelector('[data-test="data-age"]').textContent);
		};
		note();
		new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true,
			attributes: true, attributeFilter: ['data-status'] });
		globalThis.bfSeen_ = seen;
	});
}

/* Seeded months that nobody has started are idle, and the page says so. */
test('idle is not called running', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		assert.doesNotMatch(await named(page, 'banner').innerText(), BUSY_WORDS);
		assert.match(await named(page, 'banner').innerText(), /idle/i);
		assert.deepEqual(await cellStatuses(page), { pending: 12 });
		assert.equal(await number(named(page, 'percent')), 0);
		assert.equal(await number(named(page, 'left')), 12);
	});
});

/* Twelve months go from pending through processing to completed while the page stays as it was loaded. */
test('months fill live during a run', async () => {
	await withPage(browser, stand, async (page, watch) => {
		await logIn(page, stand);
		await page.evaluate(() => { globalThis.bfSameDocument = true; });
		await record(page);
		await stand.post('/api/internal/schedule-backfill', { batch_size: 12, year_range: { start: 2024, end: 2024 } });
		await until(async () => /working/i.test(await named(page, 'banner').innerText()), 'the banner says that it works');
		await until(async () => (await cellStatuses(page)).completed === 12, 'all cells are completed', 60000);
		await until(async () => await number(named(page, 'percent')) === 100, 'the percentage is 100');
		const seen = await page.evaluate(() => globalThis.bfSeen_);
		for (const [month, states] of Object.entries(seen.cells)) {
			assert.equal(states[0], 'pending', month);
			assert.ok(states.includes('processing'), `${month} was seen in work: ${states}`);
			assert.equal(states.at(-1), 'completed', month);
		}
		const percents = seen.percent.map(text => parseFloat(text));
		assert.deepEqual(percents, [...percents].sort((a, b) => a - b), 'it never falls');
		assert.ok(percents.length >= 2 && percents[0] === 0, `percentages seen: ${percents}`);
		assert.equal(seen.ages, 0, 'the age of the data was always there');
		assert.ok(await page.evaluate(() => globalThis.bfSameDocument), 'the page was not loaded anew');
		assert.equal(watch.data().filter(r => r.path.startsWith('/api/internal/events')).length, 1, 'one stream of events');
	});
});

/* When the last month has ended the page says that it is done, and nothing that sounds like work. */
test('after the run nothing is said to run', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await until(async () => /done/i.test(await named(page, 'banner').innerText()), 'the banner says that it is done');
		assert.doesNotMatch(await named(page, 'banner').innerText(), BUSY_WORDS);
		assert.match(await cell(page, '2024-12').getAttribute('aria-label'), /December 2024.*completed/);
	});
});

/* What another operator did is there as soon as the tab is looked at again, not only at the next reading. */
test("another operator's pause", async () => {
	await stand.seed(2023, 2024);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await stand.post('/api/internal/pause', { note: 'moving the database' });
		await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
		await until(async () => /paused.*moving the database/i.test(await named(page, 'banner').innerText()),
			'the banner has the note');
		await named(page, 'action-resume').waitFor();
		await stand.post('/api/internal/resume');
		await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
		await named(page, 'action-pause').waitFor();
		assert.match(await named(page, 'banner').innerText(), /idle/i);
	});
});

/*
 * What the page weighs and how it moves: one request of at most 60 KiB paints 300 months, all static files together are at
 * most 120 KiB, and 2,412 months scroll.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, cellStatuses } from './lib/browser.mjs';
import { measure } from './lib/frames.mjs';
import { mixed } from './lib/months.mjs';
import { Stand } from './lib/stand.mjs';

const KIB = 1024;
const DATA_MAX = 60 * KIB, STATIC_MAX = 120 * KIB;
const ALL_VIEWS = ['#/', '#/month/2024-12', '#/providers', '#/queue', '#/alerts', '#/instances', '#/audit', '#/book/9780000000002'];
const RESPONSIVE_MS = 2000;	/* generous: figures are taken by frames.mjs on a calm machine */
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { scheduler: { schedule: '', retry_base: '1h', retry_cap: '8h' } } }),
		launch()]);
	await stand.seed(2000, 2024);
	await mixed(stand);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Bytes of every answer so far, by path: as they came through the network, headers aside. */
function weigh(page) {
	const bytes = new Map();
	const waits = [];
	page.on('response', response => {
		const path = new URL(response.url()).pathname;
		if (path !== '/api/internal/events')
			waits.push(response.body().then(body => bytes.set(path, body.length), () => null));
	});
	return async () => {
		await Promise.all(waits);
		return bytes;
	};
}

/* With the stream of events held back, one request for data is all it takes to paint 300 months. */
test('one request of 60 KiB paints 300 months', async t => {
	await withPage(browser, stand, async (page, watch) => {
		await logIn(page, stand);
		await page.route('**/api/internal/events', () => { /* never answered */ });
		const weighed = weigh(page);
		const from = watch.requests.length;
		await page.reload();
		await page.waitForFunction(() => document.querySelectorAll('[data-test="grid"] [data-month]').length === 300);
		assert.equal(await page.locator('[data-month="2000-01"]').evaluate(n => n.getBoundingClientRect().width > 10), true);
		const data = watch.requests.slice(from).map(r => r.path).filter(path => path.startsWith('/api/'));
		assert.deepEqual(data.filter(path => path !== '/api/internal/events'), ['/api/internal/overview']);
		const size = (await weighed()).get('/api/internal/overview');
		assert.ok(size <= DATA_MAX, `the overview is ${size} bytes`);
		t.diagnostic(`overview of 300 months: ${(size / KIB).toFixed(1)} KiB`);
		await page.unrouteAll({ behavior: 'ignoreErrors' });
	});
});

/* All files of all views together, from an empty cache; none comes from elsewhere, none is asked for twice. */
test('static files weigh at most 120 KiB', async t => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/status of 404/);		/* the book is nobody's */
		const weighed = weigh(page);
		await logIn(page, stand);
		for (const hash of ALL_VIEWS)
			await goTo(page, hash);
		await goTo(page, '#/');
		await named(page, 'action-pause').click();
		await named(page, 'dialog').waitFor();
		await page.keyboard.press('Escape');
		const files = [...await weighed()].filter(([path]) => !path.startsWith('/api/'));
		const sum = files.reduce((n, [, size]) => n + size, 0);
		assert.ok(files.length > 5 && sum <= STATIC_MAX, `${sum} bytes in ${files.length} files`);
		t.diagnostic(`static files: ${(sum / KIB).toFixed(1)} KiB in ${files.length}`);
		/* Chromium asks for the icon again with every address, and is told that it has not changed */
		const asked = watch.requests.map(r => r.path).filter(path => !path.startsWith('/api/') && path !== '/assets/icon.svg');
		assert.deepEqual(asked.filter((path, i) => asked.indexOf(path) !== i), [], 'asked for twice');
	});
});

/* Unchanged files are not sent again: the browser asks with their tags and gets 304. */
test('a reload costs no file again', async () => {
	const index = await stand.ask('get', { path: '/', secret: false });
	assert.equal(index.status, 200);
	assert.match(index.headers['Content-Security-Policy'], /default-src 'none'/);
	assert.doesNotMatch(index.headers['Content-Security-Policy'], /unsafe|https?:|\*/);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		const statuses = [];
		page.on('response', response => {
			if (new URL(response.url()).pathname.startsWith('/assets/'))
				statuses.push(response.request().timing() && response.status());
		});
		await page.reload();
		await named(page, 'banner').waitFor();
		const sizes = await page.evaluate(() => performance.getEntriesByType('resource')
			.filter(e => e.name.includes('/assets/')).map(e => e.transferSize));
		assert.ok(sizes.length > 2 && sizes.every(size => size <= 400), `transferred: ${sizes}`);
	});
});

/* All months there can be are painted and scrolled through; the page answers all the while. */
test('2,412 months scroll', async t => {
	await stand.seed(1900, 2100);
	await mixed(stand);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await page.waitForFunction(() => document.querySelectorAll('[data-test="grid"] [data-month]').length === 2412);
		const counts = await cellStatuses(page);
		assert.equal(Object.values(counts).reduce((a, b) => a + b), 2412);
		assert.ok(Object.keys(counts).length >= 4, JSON.stringify(counts));
		const found = await measure(browser, page);
		t.diagnostic(`frames while scrolling ${found.pixels} px: ${JSON.stringify(found)}`);
		assert.ok(found.pixels > 4000, 'the page is long');
		assert.ok(found.trace.n > 30, 'the trace has frames');
		assert.ok(found.script.n > 10, 'scripts could run');
		assert.ok(found.script.p95 <= RESPONSIVE_MS, `p95 of the frames: ${found.script.p95} ms`);
	});
});

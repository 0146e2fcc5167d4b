/*
 * Titles, names and notes come from AIs and strangers: whatever they hold is shown as text, runs nothing, turns nothing
 * around and pushes nothing out of the page.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, overflow, cell, axe } from './lib/browser.mjs';
import { Stand, pause } from './lib/stand.mjs';

const HOSTILE = [
	'<img src=x onerror="globalThis.bfHurt = 1">',
	'</td><script>globalThis.bfHurt = 2</script>',
	'"><svg onload=globalThis.bfHurt=3>',
	'javascript:globalThis.bfHurt=4',
	'\u202Eright to left override\u202C',
	'كتاب عربي عن التاريخ (2024)',
	'👩‍👩‍👧‍👦 a family of joiners \u200D\u200D\u200D',
	'Z\u0351\u036B\u0343\u036A\u0302\u036Balgo '.repeat(8),
	'W'.repeat(250),
	'{{constructor.constructor("globalThis.bfHurt = 5")()}} %s %n ${7*7}'
];
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 12 },
		enrichment: { enabled: 'false' } } }), launch()]);
	await stand.seed(2024, 2024);
	await stand.post('/api/internal/schedule-backfill', { batch_size: 1, year_range: { start: 2024, end: 2024 } });
	await stand.ask('finished', { months: 1, queue: false });
	for (const [i, text] of HOSTILE.entries())
		await stand.sql(`UPDATE backfill_candidates SET title = %s, author = %s WHERE id =
			(SELECT id FROM backfill_candidates WHERE year = 2024 AND month = 12 ORDER BY ord OFFSET %s LIMIT 1)`, text, text, i);
	await stand.sql(`UPDATE backfill_log SET status = 'failed', error_message = %s, retry_count = 5, last_retry_at = now()
		WHERE year = 2024 AND month = 11`, HOSTILE[0]);
	await stand.sql('UPDATE backfill_answers SET model = %s, reason = %s WHERE year = 2024 AND month = 12', HOSTILE[1], HOSTILE[2]);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Nothing of what was put in has become more than text. */
async function unhurt(page) {
	await pause(100);
	const found = await page.evaluate(() => ({ hurt: globalThis.bfHurt ?? null,
		nodes: document.querySelectorAll('main img, main script, main svg, [onerror], [onload], a[href^="javascript"]').length }));
	assert.deepEqual(found, { hurt: null, nodes: 0 });
}

/* Every hostile title is on the month's page letter by letter, in an element that keeps its direction to itself. */
test('titles are text', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { hash: '#/month/2024-12' });
		await named(page, 'month-titles').locator('tbody tr').first().waitFor();
		const shown = await named(page, 'month-titles').locator('bdi').evaluateAll(list => list.map(n => n.textContent));
		for (const text of HOSTILE) {
			const start = [...text].slice(0, 60).join('');
			assert.ok(shown.some(s => s.startsWith(start)), `${JSON.stringify(start)} is shown in a <bdi>`);
		}
		await unhurt(page);
	});
});

/* They do not widen the page, not even a telephone's, and axe-core still has nothing to say. */
test('titles stay inside', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { hash: '#/month/2024-12' });
		await named(page, 'month-titles').locator('tbody tr').first().waitFor();
		for (const width of [320, 768, 1440]) {
			await page.setViewportSize({ width, height: 800 });
			assert.deepEqual(await overflow(page), [], `${width} px`);
		}
		assert.deepEqual(await axe(page), []);
	});
});

/* Errors of months, notes of pauses and names of operators are text, too. */
test('errors, notes and names are text', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { name: HOSTILE[0].slice(0, 60) });
		await named(page, 'action-pause').click();
		await named(page, 'field-note').fill(HOSTILE[1]);
		await named(page, 'dialog-plan').waitFor();
		await named(page, 'dialog-confirm').click();
		await named(page, 'action-resume').waitFor();
		assert.ok((await named(page, 'banner').innerText()).includes(HOSTILE[1]));
		await unhurt(page);
		await goTo(page, '#/month/2024-11');
		await named(page, 'month-why').waitFor();
		assert.ok((await named(page, 'month-why').innerText()).includes(HOSTILE[0]));
		await unhurt(page);
		await goTo(page, '#/audit');
		assert.ok((await page.locator('main tbody').innerText()).includes(HOSTILE[0].slice(0, 40)));
		await unhurt(page);
		await goTo(page, '#/');
		await cell(page, '2024-11').waitFor();
		await named(page, 'action-resume').click();
		await named(page, 'dialog-plan').waitFor();
		await unhurt(page);
		await page.keyboard.press('Escape');
	});
});

/* An address that someone sends must not do anything either. */
test('addresses are text', async () => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/status of 40[04]/);
		await logIn(page, stand);
		for (const hash of ['#/<img src=x onerror=bfHurt=1>', '#/month/<svg onload=bfHurt=1>', '#/book/%3Cimg%20src%3Dx%3E',
			'#/constructor', '#/__proto__', '#/book/%E0%A4%A']) {
			await goTo(page, hash);
			await unhurt(page);
		}
	});
});

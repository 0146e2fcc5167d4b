/*
 * A month's page: everything that the database knows of the month is there, each title with who found its ISBN or why there
 * is none, and why the month is where it is. Runs on finished months whose providers know only a part of the books.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, cell } from './lib/browser.mjs';
import { Stand } from './lib/stand.mjs';

const NAMES = { gemini: 'Gemini', xai: 'Grok', isbndb: 'ISBNdb', google_books: 'Google Books', open_library: 'Open Library',
	archive_org: 'Archive.org', wikidata: 'Wikidata' };
let stand, browser;

before(async () => {
	const half = Object.fromEntries(['isbndb', 'google_books', 'open_library', 'archive_org', 'wikidata'].map(name =>
		[name, { coverage: 0.3 }]));
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 8 },
		enrichment: { enabled: 'false' } }, sandbox: { providers: half } }), launch()]);
	await stand.seed(2024, 2024);
	await stand.post('/api/internal/schedule-backfill', { batch_size: 3, year_range: { start: 2024, end: 2024 } });
	await stand.ask('finished', { months: 3, queue: false });
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Texts of the cells of a table below a named part, row by row. */
function cellsOf(page, part) {
	return named(page, part).locator('tbody tr').evaluateAll(rows => rows.map(row =>
		[...row.children].map(c => c.textContent.trim())));
}

/* A click on a cell opens the month; its page has one row for each answer, transition and title. */
test('a click opens the month with all its parts', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await cell(page, '2024-12').click();
		await named(page, 'month-why').waitFor();
		assert.match(await named(page, 'month-title').innerText(), /December 2024/);
		assert.match(page.url(), /#\/month\/2024-12$/);
		const month = await stand.get('/api/internal/months/2024/12');
		assert.equal((await cellsOf(page, 'month-answers')).length, month.answers.length);
		assert.equal((await cellsOf(page, 'month-titles')).length, month.candidates.length);
		assert.equal((await cellsOf(page, 'month-transitions')).length, month.transitions.length);
		assert.equal(month.transitions.length,
			await stand.value('SELECT count(*)::int FROM backfill_events WHERE year = 2024 AND month = 12'));
	});
});

/* Each answer of an AI is there with its outcome, latency, tokens and cost, as the database has them. */
test('the answers of the AIs with outcome, latency, tokens and cost', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { hash: '#/month/2024-12' });
		await named(page, 'month-answers').locator('tbody tr').first().waitFor();
		const shown = await cellsOf(page, 'month-answers');
		const rows = await stand.sql('SELECT * FROM backfill_answers WHERE year = 2024 AND month = 12');
		assert.equal(rows.length, 2);
		for (const row of rows) {
			const line = shown.find(cells => cells[0] === NAMES[row.provider])?.join(' | ');
			assert.ok(line, `${row.provider} is listed`);
			assert.ok(line.includes(row.outcome.replaceAll('_', ' ')), line);
			assert.ok(line.includes(row.tokens_in.toLocaleString('en-US')), line);
			assert.ok(line.includes(row.tokens_out.toLocaleString('en-US')), line);
			assert.match(line, /\$0\.\d+/);
			assert.match(line, /\d+ ms|\d+(\.\d+)? s/);
		}
	});
});

/* Every provider that was asked for ISBNs has a line with how often he found one. */
test('the calls to the ISBN providers', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { hash: '#/month/2024-12' });
		await named(page, 'month-calls').locator('tbody tr').first().waitFor();
		const shown = await cellsOf(page, 'month-calls');
		const { candidates } = await stand.get('/api/internal/months/2024/12');
		for (const provider of Object.keys(NAMES).slice(2)) {
			const hits = candidates.filter(c => c.answers?.[provider]?.outcome === 'hit').length;
			const asked = candidates.filter(c => c.answers?.[provider] &&
				!['skipped', 'not_askable'].includes(c.answers[provider].outcome)).length;
			const line = shown.find(cells => cells[0] === NAMES[provider]);
			if (asked === 0)
				continue;
			assert.ok(line, `${provider} is listed`);
			assert.equal(Number(line[1]), asked, `${provider} was asked`);
			assert.equal(Number(line[2]), hits, `${provider} found`);
		}
	});
});

/* Each title names who found its ISBN; one without says why. */
test('each title with who found its ISBN, or why none', async () => {
	const rows = await stand.sql(`SELECT title, isbn13, resolved_by, state FROM backfill_candidates
		WHERE year = 2024 AND month = 12 ORDER BY ord`);
	assert.ok(rows.some(r => r.isbn13) && rows.some(r => r.state === 'not_found'), 'the month has both kinds');
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { hash: '#/month/2024-12' });
		await named(page, 'month-titles').locator('tbody tr').first().waitFor();
		const shown = (await cellsOf(page, 'month-titles')).map(cells => cells.join(' | '));
		for (const row of rows) {
			const wanted = row.isbn13 ? [row.isbn13, NAMES[row.resolved_by]] :
				row.state === 'not_found' ? [/no ISBN/i, /nobody has it|offered another book/] : [];
			const line = shown.find(text => text.includes(row.title) && wanted.every(w =>
				w instanceof RegExp ? w.test(text) : text.includes(w)));
			assert.ok(line, `${row.title}: ${wanted} in ${shown.filter(text => text.includes(row.title))}`);
		}
		await named(page, 'titles-without').check();
		const without = rows.filter(r => !r.isbn13 && r.state !== 'merged').length;
		assert.equal((await cellsOf(page, 'month-titles')).length, without, 'the filter shows those without an ISBN');
	});
});

/* Why, of months in four situations: the page has every sentence of the interface's answer. */
test('why a month is where it is', async () => {
	await stand.sql(`UPDATE backfill_log SET status = 'retry', retry_count = 2, error_message = 'The AIs did not answer',
		last_retry_at = now(), next_attempt_at = now() + interval '3 hours' WHERE year = 2024 AND month = 1`);
	await stand.sql(`UPDATE backfill_log SET status = 'failed', retry_count = 5, error_message = 'attempts spent',
		last_retry_at = now() WHERE year = 2024 AND month = 2`);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		for (const [month, words] of [['2024-12', /done/i], ['2024-03', /can.t start by itself|can start/i],
			['2024-01', /next attempt/i], ['2024-02', /failed/i]]) {
			await goTo(page, `#/month/${month}`);
			const text = (await named(page, 'month-why').innerText()).replaceAll(/\s+/g, ' ');
			assert.match(text, words, month);
			const [year, m] = month.split('-').map(Number);
			const why = await stand.get(`/api/internal/months/${year}/${m}/why`);
			if (month === '2024-12')
				continue;
			for (const blocker of why.blockers)
				for (const piece of blocker.text.split(/\d{4}-\d\d-\d\dT\S+/))
					assert.ok(text.includes(piece.trim().replaceAll(/\s+/g, ' ')), `${month}: ${piece} in ${text}`);
		}
		assert.match(await named(page, 'month-why').innerText(), /attempts spent|failed/i);
	});
});

/* A month that has no row, and one that cannot exist, say so. */
test('months that are not there', async () => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/status of 404/);
		await logIn(page, stand);
		await goTo(page, '#/month/1999-05');
		await page.getByText(/not seeded/i).first().waitFor();
		await goTo(page, '#/month/2024-13');
		await page.getByText('There is no such month').waitFor();
		await goTo(page, '#/nowhere');
		await page.getByText('There is no such page', { exact: false }).waitFor();
	});
});

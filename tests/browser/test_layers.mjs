/*
 * The layers of the grid: each paints the same months by another figure, explains its colours, and says its value to those
 * who listen. Runs on a finished year with months that differ.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, cell } from './lib/browser.mjs';
import { Stand } from './lib/stand.mjs';

let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { enrichment: { enabled: 'false' } } }), launch()]);
	await stand.seed(2023, 2024);
	/* figures that put each month into another step of each scale; 2023-12 has none */
	await stand.sql(`UPDATE backfill_log SET status = 'completed', stage = 'completed', started_at = now() - interval '20 days',
		completed_at = now() - month * interval '9 hours', books_generated = month * 4, isbns_resolved = month * month / 4,
		resolution_rate = round(100.0 * (month * month / 4) / (month * 4), 2), cost_usd = month * 0.01,
		books_agreed = month, retry_count = month % 5, round = 1,
		created_at = now() - interval '30 days' WHERE year = 2024`);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* How every cell looks. */
function colours(page) {
	return page.$$eval('[data-test="grid"] [data-month]', cells => cells.map(c => {
		const style = getComputedStyle(c), after = getComputedStyle(c, '::after');
		return [style.backgroundColor, style.backgroundImage, style.boxShadow, style.clipPath, after.content,
			after.backgroundColor].join();
	}));
}

/* What a month's cell has to say in each layer, from the row of the database. */
const SAYS = {
	status: () => /completed/,
	rate: row => new RegExp(`\\b${Number(row.resolution_rate)} %`),
	books: row => new RegExp(`\\b${row.books_generated} (books|ISBNs)`),
	cost: row => new RegExp(`\\$${Number(row.cost_usd).toFixed(2)}`),
	attempts: row => new RegExp(`\\b${row.retry_count} failed attempt`),
	agreement: row => new RegExp(`both AIs named ${Math.round(1000 * row.books_agreed / row.books_generated) / 10} %`),
	age: row => new RegExp(`last moved .*(${Math.floor(row.month * 9 / 24)} d|\\d+ h).* ago`)
};

/* Every layer that the issue names is offered, repaints the cells, changes the legend, and speaks its value. */
test('every layer repaints, explains and speaks', async () => {
	const rows = await stand.sql('SELECT * FROM backfill_log WHERE year = 2024 ORDER BY month');
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		const layer = named(page, 'layer');
		const offered = await layer.locator('option').evaluateAll(options => options.map(o => o.value));
		assert.deepEqual([...offered].sort(), Object.keys(SAYS).sort());
		const looks = new Map(), legends = new Set();
		for (const id of offered) {
			await layer.selectOption(id);
			looks.set(id, (await colours(page)).join('|'));
			legends.add(await named(page, 'legend').innerText());
			for (const row of rows) {
				const key = `2024-${String(row.month).padStart(2, '0')}`;
				assert.match(await cell(page, key).getAttribute('aria-label'), SAYS[id](row), `${id} of ${key}`);
			}
		}
		assert.equal(new Set(looks.values()).size, offered.length, 'each layer looks different');
		assert.equal(legends.size, offered.length, 'each layer has its own legend');
	});
});

/* Whatever the layer, a status stays readable as a letter, and with it as the cell's state. */
test('the status is a letter and a shape, not only a colour', async () => {
	await stand.sql(`UPDATE backfill_log SET status = CASE month WHEN 1 THEN 'failed' WHEN 2 THEN 'retry' ELSE status END,
		next_attempt_at = CASE month WHEN 2 THEN now() + interval '1 day' END WHERE year = 2023`);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		for (const id of ['status', 'rate', 'age']) {
			await named(page, 'layer').selectOption(id);
			for (const [month, status, letter] of [['2023-01', 'failed', 'F'], ['2023-02', 'retry', 'R'],
				['2023-03', 'pending', '·'], ['2024-01', 'completed', 'C']]) {
				assert.equal(await cell(page, month).getAttribute('data-status'), status);
				assert.ok((await cell(page, month).textContent()).startsWith(letter), `${month} in ${id}`);
			}
		}
		await named(page, 'layer').selectOption('status');
		const shapes = await page.evaluate(() => ['2023-01', '2023-02', '2023-03', '2024-01'].map(month => {
			const node = document.querySelector(`[data-month="${month}"]`);
			const before = getComputedStyle(node, '::before'), style = getComputedStyle(node);
			return [style.borderRadius, style.clipPath, style.borderStyle, style.backgroundImage, before.borderRadius,
				before.clipPath, before.borderStyle, before.backgroundImage].join();
		}));
		assert.equal(new Set(shapes).size, shapes.length, `four states have four shapes: ${shapes.join(' ; ')}`);
	});
});

/* The choice outlives a visit to another view. */
test('the layer stays chosen', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await named(page, 'layer').selectOption('cost');
		await named(page, 'nav-providers').click();
		await page.getByRole('heading', { level: 1, name: 'Providers' }).waitFor();
		await named(page, 'nav-months').click();
		await cell(page, '2024-12').waitFor();
		assert.equal(await named(page, 'layer').inputValue(), 'cost');
		assert.match(await cell(page, '2024-12').getAttribute('aria-label'), SAYS.cost({ cost_usd: 0.12 }));
	});
});
